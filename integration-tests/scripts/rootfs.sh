#!/usr/bin/env bash
# The root file system that copy-on-write stories, demo and bench share: a Debian made by debootstrap, with uwsgi and its psgi plugin.
# Made once and kept in $ROOTFS_CACHE/debian; made anew only when the recipe below changes. Prints where it is. Root.
#
# Built beside its place and renamed, so what is there is whole. Everything debootstrap mounts is mounted in a namespace of its own and
# ends with it, also when it is killed. Mirror, components and proxy are those of this machine's apt; ROOTFS_MIRROR and ROOTFS_SUITE
# name others. Whoever uses the tree must not write to it: copy it (cp -al), and replace files instead of changing them.
set -euo pipefail

cache=${ROOTFS_CACHE:?where root file systems are kept: run this through make rootfs}
include=uwsgi-core,uwsgi-plugin-psgi
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

fail() { echo "make rootfs: $*" >&2; exit 1; }

# --- what to make, and out of what -----------------------------------------------------------------------------------------------
. /etc/os-release
suite=${ROOTFS_SUITE:-${VERSION_CODENAME:-}}
[ -n "$suite" ] || fail "this machine names no VERSION_CODENAME in /etc/os-release: set ROOTFS_SUITE (bookworm, for one)"

# MIRROR COMPONENTS, as apt has them for this suite; it may call it by its codename or by its role.
apt_source() {
  apt-get indextargets --no-release-info --format '$(SITE) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null | awk -v suite="$suite" '
    $1 !~ /^(https?|file):/ { next }
    $2 == suite { kind = 1 }
    $2 ~ /^(stable|testing|unstable)$/ { kind = 2 }
    $2 != suite && $2 !~ /^(stable|testing|unstable)$/ { next }
    !(kind in site) { site[kind] = $1 }
    $1 == site[kind] && !seen[kind, $3]++ { parts[kind] = parts[kind] (parts[kind] ? "," : "") $3 }
    END { for (kind = 1; kind <= 2; kind++) if (kind in site) { print site[kind], parts[kind]; exit } }'
}
read -r mirror components < <(apt_source) || true
if [ -n "${ROOTFS_MIRROR:-}" ]; then
  mirror=$ROOTFS_MIRROR
elif [ -z "${mirror:-}" ]; then
  fail "apt of this machine names no mirror for $suite: run apt-get update, or set ROOTFS_MIRROR"
fi
components=${components:-main}
eval "$(apt-config shell http_proxy Acquire::http::Proxy https_proxy Acquire::https::Proxy)"
[ "${http_proxy:-DIRECT}" = DIRECT ] && unset http_proxy || export http_proxy
[ "${https_proxy:-DIRECT}" = DIRECT ] && unset https_proxy || export https_proxy

recipe="$suite $include $(sha256sum "$0" | cut -c1-16)"
root=$cache/debian
is_there() { [ "$(cat "$root/.recipe" 2>/dev/null)" = "$recipe" ]; }
if is_there; then
  echo "$root is there already"
  exit 0
fi
command -v debootstrap >/dev/null || fail "debootstrap is missing: make deps"

# --- making it -------------------------------------------------------------------------------------------------------------------
mkdir -p "$cache"
# debootstrap inherits it: one that outlives a killed script still holds it.
exec 9> "$cache/.lock"
flock -n 9 || { echo "Somebody else is making it: waiting"; flock 9; }
if is_there; then echo "$root is there by now"; exit 0; fi

new=$cache/.debian.new
trap 'rm -rf --one-file-system "$new"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
started=$SECONDS

# debootstrap names every package three times; a line for each turn of the work and for every fiftieth package is enough.
progress() {
  local line kind last=
  local -A count=()
  while IFS= read -r line; do
    case $line in
      "I: Retrieving "*) kind=fetching ;;
      "I: Extracting "*) kind="extracting the base" ;;
      "I: Unpacking "*) kind=unpacking ;;
      "I: Configuring "*) kind=configuring ;;
      W:* | E:*) echo "  $line"; continue ;;
      *) continue ;;
    esac
    count[$kind]=$((${count[$kind]:-0} + 1))
    [ "$kind" = "$last" ] && [ $((count[$kind] % 50)) != 0 ] || printf '  %3d s  %s, package %d\n' $((SECONDS - started)) "$kind" "${count[$kind]}"
    last=$kind
  done
}
make_it() {
  rm -rf --one-file-system "$new"
  local trust=()
  [ "${ID:-}" != debian ] || [ ! -e "$keyring" ] || trust=(--keyring="$keyring")
  unshare --mount --propagation private --pid --fork --kill-child --mount-proc \
    debootstrap "${trust[@]}" --variant=minbase --components="$components" --include="$include" "$suite" "$new" "$mirror" 2>&1 | progress
}
echo "A Debian root ($suite, $components) into $root: half a minute where the mirror is near"
for attempt in 1 2 3; do
  make_it && break
  [ ! -f "$new/debootstrap/debootstrap.log" ] || tail -n 15 "$new/debootstrap/debootstrap.log" >&2
  [ "$attempt" != 3 ] || fail "debootstrap failed three times (its last words are above; ROOTFS_MIRROR names another mirror)"
  echo "  once more"
done

# What no vassal needs is half of it, and copying is what it is for.
rm -rf "$new"/var/cache/apt/archives/*.deb "$new"/var/lib/apt/lists/* "$new"/usr/share/{doc,man,info,locale}/*
mkdir -p "$new/.old_root" "$new/opt/uwsgi/plugins" "$new/var/www"
# Relative: it is the same plugin seen from the host, before the root changes, and from inside.
ln -s ../../../usr/lib/uwsgi/plugins/psgi_plugin.so "$new/opt/uwsgi/plugins/psgi_plugin.so"
[ -e "$new/usr/lib/uwsgi/plugins/psgi_plugin.so" ] && chroot "$new" uwsgi --version >/dev/null || fail "$suite gave no uwsgi that runs"
echo "$recipe" > "$new/.recipe"

rm -rf --one-file-system "$root"
mv -T "$new" "$root"
echo "$root: $(du -sh "$root" | cut -f1), made in $((SECONDS - started)) s"
