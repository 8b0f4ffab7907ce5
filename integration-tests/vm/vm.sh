#!/usr/bin/env bash
# The life cycle under config/liege.service and the stories that matter, on Debian's own kernels with systemd as pid 1.
# Prints one table for all kernels. `make vm` and `make check-vm` call it.
#
#   vm.sh all|short [KERNEL_SUITE...]       default: bookworm (6.1) and trixie (6.12)
#
# Each guest runs under QEMU's software emulation, so a /dev/kvm is not needed. It has no network. Its user land is Debian bookworm,
# made once by mmdebstrap; its disk is made anew for each run, with the built programs and this source tree in it. What the
# guest finds comes back over a shared directory, row by row, so that a guest that hangs still has told what it did.
#
#   VM_CACHE     where kernels and user land are kept   (target/vm)
#   VM_SECONDS   how long one guest may take            (3000; short: 900)
#   VM_STORIES   stories instead of those of the list   (names of files, or FILE::STORY, separated by blanks)
set -euo pipefail
cd "$(dirname "$0")/../.."

kind=${1:?all or short}; shift
[ $# -gt 0 ] || set -- bookworm trixie
target=${CARGO_TARGET_DIR:-$PWD/target}
cache=${VM_CACHE:-$target/vm}
seconds=${VM_SECONDS:-$([ "$kind" = short ] && echo 900 || echo 3000)}
suite=bookworm
# The stories' own files, by the path they were compiled at.
source=$PWD
packages=systemd,systemd-sysv,dbus,udev,kmod,fuse3,fuse-zip,unionfs-fuse,bindfs,squashfuse,squashfs-tools,uwsgi-core,uwsgi-plugin-psgi
packages+=,uwsgi-plugin-python3,procps,curl,zip,unzip,iproute2,python3,util-linux
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

fail() { echo "vm: $*" >&2; exit 1; }
started=$SECONDS
say() { printf 'vm: %4d s  %s\n' $((SECONDS - started)) "$*"; }

[ "$(id -u)" = 0 ] || fail "this needs root, for the files of the guest: sudo -E make vm"
mkdir -p "$cache"
exec 8> "$cache/.lock"
flock -n 8 || { say "another run uses $cache: waiting"; flock 8; }
for tool in qemu-system-x86_64 mmdebstrap busybox depmod cpio mkfs.ext4; do
  command -v "$tool" >/dev/null || fail "$tool is missing: apt-get install --no-install-recommends qemu-system-x86 mmdebstrap busybox-static kmod cpio e2fsprogs"
done
mirror=$(apt-get indextargets --no-release-info --format '$(SITE) $(RELEASE)' 'Created-By: Packages' | awk '$2 == "bookworm" { print $1; exit }')
[ -n "$mirror" ] || fail "apt of this machine names no mirror for $suite: run apt-get update"

# --- what runs in the guest ---------------------------------------------------------------------------------------------------------
stories() {
  if [ -n "${VM_STORIES:-}" ]; then tr ' ' '\n' <<< "$VM_STORIES"; return; fi
  grep -v '^#' integration-tests/vm/stories | awk -v kind="$kind" 'NF && (kind == "all" || $2 == "short") { print $1 }'
}
[ -x "$target/release/liege" ] || fail "there is no $target/release/liege: make build"
programs=$cache/programs
rm -rf "$programs"; mkdir -p "$programs/deps"
if [ -n "$(stories)" ]; then
  # The binaries of today, by cargo's own word: deps/ also has those of yesterday.
  cargo test --no-run --quiet --message-format json -p liege-integration-tests $(stories | sed 's/::.*//; s/^/--test /' | sort -u) \
    | python3 -c '
import json, sys
for line in sys.stdin:
    made = json.loads(line)
    if made.get("executable") and made["target"]["src_path"].count("/integration-tests/"):
        print(made["target"]["kind"][0], made["target"]["name"], made["executable"])' > "$programs/list"
  while read -r is name path; do
    [ "$is" = bin ] && into=$programs/$name || into=$programs/deps/$name
    objcopy --strip-debug "$path" "$into"
  done < "$programs/list"
  for helper in $(grep -oP '^name = "\K[a-z]+(?="$)' integration-tests/Cargo.toml); do
    [ ! -x "$target/debug/$helper" ] || objcopy --strip-debug "$target/debug/$helper" "$programs/$helper"
  done
  stories > "$programs/stories"
fi

# --- a kernel: downloaded and unpacked, never installed -------------------------------------------------------------------------------
fetch_kernel() { # SUITE; sets kernel and release
  kernel=$cache/kernel-$1
  [ -e "$kernel/.whole" ] || unpack_kernel "$1"
  release=$(basename "$kernel"/tree/boot/vmlinuz-* | cut -d- -f2-)
}
unpack_kernel() { # SUITE
  local apt=$kernel/apt image
  rm -rf "$kernel"; mkdir -p "$apt"/{lists/partial,archives/partial,empty} "$kernel/tree"
  echo "deb [signed-by=$keyring] $mirror $1 main" > "$apt/sources.list"
  : > "$apt/status"
  local own=(-o "Dir::Etc::sourcelist=$apt/sources.list" -o "Dir::Etc::sourceparts=$apt/empty" -o "Dir::State=$apt" -o "Dir::State::lists=$apt/lists"
    -o "Dir::State::status=$apt/status" -o "Dir::Cache=$apt" -o APT::Sandbox::User=root)
  apt-get "${own[@]}" -q update >/dev/null
  depends() { apt-cache "${own[@]}" depends --important "$1" | awk '$1 == "Depends:" { print $2 }'; }
  image=$(depends linux-image-amd64 | grep '^linux-image-' | head -n 1)
  # From 6.17 on the image is two packages more.
  (cd "$apt" && apt-get "${own[@]}" -q download "$image" $(depends "$image" | grep -E '^linux-(binary|modules)-' || true) >/dev/null)
  for package in "$apt"/*.deb; do dpkg -x "$package" "$kernel/tree"; done
  [ -d "$kernel/tree/lib/modules" ] || ln -s usr/lib "$kernel/tree/lib"
  local modules
  for modules in "$kernel"/tree/lib/modules/*; do depmod -b "$kernel/tree" -a "${modules##*/}"; done
  rm -rf "$apt"; touch "$kernel/.whole"
  say "kernel of $1 fetched"
}

# --- the user land: once -------------------------------------------------------------------------------------------------------------------
fetch_root() {
  tar=$cache/root-$suite.tar
  local recipe="$suite $packages"
  [ "$(cat "$tar.recipe" 2>/dev/null)" != "$recipe" ] || return 0
  mmdebstrap --quiet --variant=minbase --components=main --include="$packages" "$suite" "$tar" "$mirror"
  echo "$recipe" > "$tar.recipe"
  say "user land fetched"
}

# --- a disk, an initramfs, and the guest ------------------------------------------------------------------------------------------------------
make_disk() { # WORK
  local work=$1 root=$1/root modules part
  modules=$kernel/tree/lib/modules/$release
  rm -rf --one-file-system "$root"; mkdir -p "$root"
  tar -C "$root" --exclude='./dev/*' --exclude=./usr/share/doc --exclude=./usr/share/man --exclude=./usr/share/locale -xf "$tar"
  mkdir -p "$root/usr/lib/modules/$release/kernel/drivers"
  for part in fs lib crypto net arch drivers/virtio drivers/block drivers/char; do
    [ ! -d "$modules/kernel/$part" ] || cp -a "$modules/kernel/$part" "$root/usr/lib/modules/$release/kernel/$(dirname "$part")/"
  done
  cp -a "$modules"/modules.{builtin,order,builtin.modinfo} "$root/usr/lib/modules/$release/" 2>/dev/null || true
  depmod -b "$root" -a "$release"
  printf 'fuse\noverlay\n9pnet_virtio\n' > "$root/etc/modules-load.d/vm.conf"
  echo 'kernel.printk = 4 4 1 4' > "$root/etc/sysctl.d/vm.conf"
  echo vm > "$root/etc/hostname"; echo '127.0.0.1 localhost vm' > "$root/etc/hosts"
  : > "$root/etc/machine-id"; : > "$root/etc/fstab"
  for part in apt-daily.timer apt-daily-upgrade.timer systemd-networkd.service systemd-timesyncd.service getty@tty1.service serial-getty@ttyS0.service; do
    ln -sf /dev/null "$root/etc/systemd/system/$part"
  done
  # The product as `make install` lays it out, and the stories where they were compiled.
  make --no-print-directory -s install DESTDIR="$root" PREFIX=/usr/local >/dev/null
  mkdir -p "$root/out" "$root/etc/liege/vassals" "$root$source"
  cp -a "$programs" "$root/programs"
  git ls-files -z -- config README.md Cargo.toml integration-tests src | xargs -0 cp -a --parents -t "$root$source" 2>/dev/null
  [ ! -d "${ROOTFS_CACHE:-$target/rootfs}/debian" ] || { mkdir -p "$root/rootfs"; cp -a "${ROOTFS_CACHE:-$target/rootfs}/debian" "$root/rootfs/debian"; }
  cp config/emperor.ini "$root/etc/liege/emperor.ini"
  install -m 0755 integration-tests/vm/guest.sh "$root/root/guest.sh"
  cat > "$root/etc/systemd/system/guest.service" <<UNIT
[Unit]
After=multi-user.target
[Service]
Type=oneshot
TimeoutStartSec=infinity
Environment=HOME=/root
ExecStart=/root/guest.sh $kind
ExecStopPost=/bin/systemctl --no-block --force poweroff
StandardOutput=tty
StandardError=tty
TTYPath=/dev/console
UNIT
  cat > "$root/etc/systemd/system/vm.target" <<UNIT
[Unit]
Requires=multi-user.target
Wants=guest.service
After=multi-user.target
UNIT
  rm -f "$work/disk"; truncate -s 4G "$work/disk"
  mkfs.ext4 -q -F -O ^has_journal -E lazy_itable_init=1,nodiscard -d "$root" "$work/disk"
  rm -rf --one-file-system "$root"
}

make_initramfs() { # WORK: busybox and the modules that find the disk
  local early=$1/early name
  rm -rf "$early"; mkdir -p "$early"/{bin,dev,proc,new}
  cp "$(command -v busybox)" "$early/bin/busybox"
  for name in virtio_pci virtio_blk ext4; do modprobe -d "$kernel/tree" -S "$release" --show-depends "$name"; done \
    | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' > "$1/modules"
  while read -r name; do cp "$name" "$early/"; done < "$1/modules"
  for name in "$early"/*.ko.xz; do [ ! -e "$name" ] || unxz "$name"; done
  {
    echo '#!/bin/busybox sh'
    sed 's|.*/|/|; s|\.xz$||; s|^|/bin/busybox insmod |' "$1/modules"
    echo 'b=/bin/busybox; $b mount -t devtmpfs dev /dev'
    echo 'until [ -b /dev/vda ]; do $b usleep 50000; done; $b mount -t ext4 -o noatime /dev/vda /new'
    echo '$b umount /dev; exec $b switch_root /new /lib/systemd/systemd --unit=vm.target'
  } > "$early/init"
  chmod 0755 "$early/init"
  (cd "$early" && find . | cpio -o -H newc --quiet) | gzip -1 > "$1/initramfs"
  rm -rf "$early"
}

boot() { # WORK
  local work=$1
  # A busy host makes a guest as slow as it likes: nothing of systemd's may give up on it.
  timeout --kill-after=5 "$seconds" qemu-system-x86_64 -accel tcg,thread=multi -cpu max,la57=off -machine q35 -smp 2 -m 2G \
    -nodefaults -nic none -display none -no-reboot -serial stdio -kernel "$(echo "$kernel"/tree/boot/vmlinuz-*)" -initrd "$work/initramfs" \
    -drive file="$work/disk",if=virtio,format=raw,cache=unsafe -device virtio-rng-pci \
    -virtfs "local,path=$work/out,mount_tag=out,security_model=none" \
    -append "console=ttyS0 quiet mitigations=off nowatchdog panic=-1 systemd.show_status=0 systemd.default_timeout_start_sec=600 systemd.default_device_timeout_sec=600" \
    < /dev/null > "$work/console" 2>&1 || true
}

fetch_root
status=0
for kernel_suite in "$@"; do
  fetch_kernel "$kernel_suite"
  work=$cache/run-$kernel_suite
  rm -rf --one-file-system "$work"; mkdir -p "$work/out"
  make_disk "$work"
  make_initramfs "$work"
  say "$kernel_suite: booting"
  boot "$work"
  rm -f "$work/disk" "$work/initramfs"
  if [ ! -e "$work/out/done" ]; then
    echo "failed	-	the guest came to its end (its console: $work/console)" >> "$work/out/rows"
  fi
  say "$kernel_suite: $(cut -f1 "$work/out/rows" | sort | uniq -c | awk '{ printf "%s%d %s", sep, $1, $2; sep = ", " }')"
  cut -f1 "$work/out/rows" | grep -q failed && status=1
done

# --- the table ------------------------------------------------------------------------------------------------------------------------------------
printf '\n'
for kernel_suite in "$@"; do echo "$cache/run-$kernel_suite/out"; done | python3 integration-tests/vm/table.py
exit "$status"
