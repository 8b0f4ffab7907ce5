#!/usr/bin/env bash
# Installs what is missing, and nothing else. `deps.sh build`: what compiling needs. `deps.sh all`: also what the stories drive.
# `deps.sh vm`: also what the guests of `make vm` are made with.
#
# uwsgi-emperor is deliberately not in the list: the real Emperor is in uwsgi-core, and that package would start a service.
set -euo pipefail

# command (or file) that proves the package is there = package
build=(cc=gcc make=make git=git)
drive=(
  uwsgi=uwsgi-core
  /usr/lib/uwsgi/plugins/psgi_plugin.so=uwsgi-plugin-psgi
  /usr/lib/uwsgi/plugins/python3_plugin.so=uwsgi-plugin-python3
  fuse-zip=fuse-zip
  unionfs-fuse=unionfs-fuse
  bindfs=bindfs
  squashfuse=squashfuse
  mksquashfs=squashfs-tools
  debootstrap=debootstrap
  fusermount3=fuse3
  zip=zip
  curl=curl
  promtool=prometheus
  chromium-headless-shell=chromium-headless-shell
  /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf=fonts-dejavu-core
  mandoc=mandoc
  gunicorn=gunicorn
  /lib/systemd/systemd-journald=systemd
  /usr/bin/python3=python3
  ps=procps
  unshare=util-linux
  setpriv=util-linux
  find=findutils
)

guest=(
  qemu-system-x86_64=qemu-system-x86
  mmdebstrap=mmdebstrap
  busybox=busybox-static
  depmod=kmod
  cpio=cpio
  mkfs.ext4=e2fsprogs
  objcopy=binutils
)

wanted=("${build[@]}")
case ${1:-all} in
  all) wanted+=("${drive[@]}") ;;
  vm) wanted+=("${drive[@]}" "${guest[@]}") ;;
esac

missing=()
for pair in "${wanted[@]}"; do
  proof=${pair%=*} package=${pair#*=}
  case $proof in
    /*) [ -e "$proof" ] ;;
    *) command -v "$proof" >/dev/null ;;
  esac || missing+=("$package")
done

if [ ${#missing[@]} -gt 0 ]; then
  if ! command -v apt-get >/dev/null; then
    echo "Missing, and this is no Debian to install them on: ${missing[*]}" >&2
    exit 1
  fi
  if [ "$(id -u)" != 0 ]; then
    echo "Missing: ${missing[*]}. Install them (as root: apt-get install --no-install-recommends ${missing[*]}), or run make as root." >&2
    exit 1
  fi
  echo "Installing: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q
  # Debian starts the services that come with what it installs, at once and at each boot. Prometheus is wanted as a program only.
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  fi
  apt-get install -y -q --no-install-recommends "${missing[@]}"
  case " ${missing[*]} " in *" prometheus "*) update-rc.d prometheus disable ;; esac
fi

if ! command -v "${CARGO:-cargo}" >/dev/null; then
  echo "Rust 1.88 or newer is missing (cargo is not in the PATH): https://rustup.rs" >&2
  exit 1
fi

if [ "${1:-all}" != build ]; then
  if [ ! -e /dev/fuse ]; then
    modprobe fuse 2>/dev/null || { echo "There is no /dev/fuse and modprobe fuse did not help: this kernel has no FUSE." >&2; exit 1; }
  fi
  # Every ordinary host has 0666, and users can mount nothing without it; some bare machines come with 0600.
  if [ "$(stat -c %a /dev/fuse)" != 666 ]; then
    echo "/dev/fuse is $(stat -c %a /dev/fuse): making it 0666, as udev would"
    chmod 0666 /dev/fuse
  fi
fi
