#!/usr/bin/env bash
# The copy-on-write tutorial, live: two customers on one Debian root, a page from each, a write that lands in one's own layer, the
# root's FUSE daemon killed, the page again, an env line changed under the running root, and nothing left. Needs root, what deps.sh
# installs and what rootfs.sh keeps; makes nothing but two temporary directories and cleans up after itself, also when it fails.
# make demo-cow runs it.
set -euo pipefail

. "$(dirname "$0")/demo_stage.sh"
shared=${ROOTFS_CACHE:?where make rootfs keeps the root: run this through make demo-cow}/debian
[ -f "$shared/.recipe" ] || fail "$shared is not there: make rootfs"

# --- a host with one root and two customers -----------------------------------------------------------------------------------
one=www-data two=backup # every Debian has them, with the same numbers in the new root
dir=$(mktemp -d /tmp/liege-demo.XXXXXX)
elsewhere=$(mktemp -d "$ROOTFS_CACHE/demo.XXXXXX") # beside the shared root, so that links to it can be made
chmod 0755 "$dir"
ns=$elsewhere ufs=$dir/ufs
mkdir "$dir/vassals" "$ufs" "$ns/cow" "$ns/cow/$one" "$ns/cow/$two"
one_port=$(free_port)
two_port=$(free_port)
mounts_before=$(cut -d' ' -f5- /proc/self/mountinfo)

say "1. A Debian root for all, an empty layer for each"
cp -al "$shared" "$ns/precise"
mkdir -m 0777 "$ns/precise/srv/notes"
# It reads its page from the root for every request: while the root is dead there is no page from memory.
cat > "$ns/precise/var/www/myapp.pl" <<'APP'
my $app = sub {
    my ($path, $user) = (shift->{PATH_INFO}, scalar getpwuid($<));
    my $text = sub { my ($status, $line) = @_; [$status, ['Content-Type' => 'text/plain'], [$line]] };
    if ($path eq '/write') {
        open(my $file, '>', '/srv/notes/note.txt') or return $text->(503, "$!\n");
        print $file "written by $user\n";
        return $text->(close($file) ? 200 : 503, "written\n");
    }
    open(my $file, '<', $path eq '/note' ? '/srv/notes/note.txt' : '/etc/debian_version') or return $text->(503, "$!\n");
    my $line = <$file>;
    return $text->(200, $path eq '/note' ? $line : "Hello, $user" . ($ENV{GREETING} // q{}) . ", from Debian $line");
};
APP
untouched() { find "$ns/precise" -printf '%i %m %u %s %T@ %p\n' | sort; }
untouched > "$dir/root-before"
echo "$ns/precise ($(wc -l < "$dir/root-before") files, hard links to the one of make rootfs)"
echo "$ns/cow/$one $ns/cow/$two"

say "2. The emperor"
cat > "$dir/emperor.ini" <<INI
[uwsgi]
emperor = $dir/vassals
emperor-use-clone = fs,pid
emperor-state-dir = $dir/state
emperor-control = $dir/control.sock
INI
cat "$dir/emperor.ini"
"$liege" run --ini "$dir/emperor.ini" > "$dir/log" 2>&1 &
emperor=$!

say "3. The tutorial's vassal, with its own names, paths and port, once for each customer"
vassal() { # user, port
  sed -e "s|/ns/precise|@root@|; s|chroot=/ns,|chroot=$ns,|; s|/ufs|$ufs|g; s|@root@|$ns/precise|; s|user001|$1|; s|:9090|127.0.0.1:$2|" <<'INI'
[uwsgi]
; choose the approach that best suit for you here (plugins loading)
; this will be used for the first run ...
plugins-dir = /ns/precise/opt/uwsgi/plugins
; and this after a reload (where our rootfs is already /ns/precise)
plugins-dir = /opt/uwsgi/plugins
plugin = psgi

; drop privileges
uid = user001
gid = user001

; chdir to / for avoiding problems after pivot_root
hook-pre-jail = callret:chdir /
; run unionfs-fuse using chroot (it is required for avoiding deadlocks) and cow (we mount it under /ufs)
hook-pre-jail = exec:unionfs-fuse -ocow,chroot=/ns,default_permissions,allow_other /precise=RO:/cow/%(uid)=RW /ufs

; change the rootfs to the unionfs one
; the .old_root directory is where the old rootfs is still available
pivot_root = /ufs /ufs/.old_root

; now we are in the new rootfs and in 'as-root' phase
; remount the /proc filesystem
hook-as-root = mount:proc none /proc
; bind mount the original /dev in the new rootfs (simplify things a lot)
hook-as-root = mount:none /.old_root/dev /dev bind
; recursively un-mount the old rootfs
hook-as-root = umount:/.old_root rec,detach

; common bind
http-socket = :9090

; load the app (fix it with your requirements)
psgi = /var/www/myapp.pl

; constantly check for the rootfs (seems odd but is is very useful)
mountpoint-check = /
INI
}
# Prepared beside the directory and moved in, so that the emperor sees each whole.
put() { cat > "$dir/$1.new" && mv "$dir/$1.new" "$dir/vassals/$1.ini"; }
vassal "$one" "$one_port"
start=$(now)
vassal "$one" "$one_port" | put "$one"
vassal "$two" "$two_port" | put "$two"
until_served "$one_port"
until_served "$two_port"
echo "--> $one: $(page "$one_port")"
echo "--> $two: $(page "$two_port")    (both served $(($(now) - start)) ms after the first file appeared)"

say "4. A write lands in one's own layer"
[ "$(page "$one_port" /write)" = written ] || fail "$one cannot write"
echo "$one reads:  $(page "$one_port" /note)"
(cd "$ns" && find cow -type f) | sed 's/^/layers:         /'
[ "$(cat "$ns/cow/$one/srv/notes/note.txt")" = "written by $one" ] || fail "the file is not in the layer of $one"
[ -z "$(find "$ns/cow/$two" -type f)" ] || fail "the layer of $two is not empty"
! page "$two_port" /note || fail "$two can read it"
echo "$two reads:    nothing, it has no such file"
untouched | diff -q "$dir/root-before" - >/dev/null || fail "the shared root was touched"
echo "the shared root is what it was"

say "5. The host sees nothing of it"
union() { in_vassal unionfs-fuse "/cow/$1=RW"; }
grep ' / / .*fuse' "/proc/$(in_vassal uwsgi "emperor://$one.ini")/mountinfo" | sed "s/^/$one: /"
! grep -q unionfs /proc/self/mountinfo || fail "a union has reached the host"
echo "host:     no unionfs in /proc/self/mountinfo"

say "6. kill -9 of the root's FUSE daemon"
old=$(union "$one") || fail "$one has no unionfs-fuse"
bystander=$(union "$two") || fail "$two has no unionfs-fuse"
namespace=$(readlink "/proc/$old/ns/pid")
exec 8< "/proc/$old/ns/pid" # held, else the kernel might give its number to the next one
echo "unionfs-fuse of $one is $old, in $namespace"
start=$(now)
kill -KILL "$old"
until_served "$one_port"
took=$(($(now) - start))
new=$(union "$one") || fail "the page is there, but no unionfs-fuse"
echo "--> $(page "$one_port")    (again after $took ms, unionfs-fuse is $new in $(readlink "/proc/$new/ns/pid"))"
[ "$(readlink "/proc/$new/ns/pid")" != "$namespace" ] || fail "it is the old namespace"
living=$(readlink /proc/[0-9]*/ns/pid 2>/dev/null || true)
[[ $living != *"$namespace"* ]] || fail "something of the old namespace lives"
exec 8<&-
[ "$(union "$two")" = "$bystander" ] || fail "$two was disturbed"
[ "$(page "$one_port" /note)" = "written by $one" ] || fail "the layer was lost"
echo "nothing of $namespace is left, $two did not notice, the note is still there"

say "7. A changed env line: a new value in the old root"
mounts() { cat "/proc/$(in_vassal uwsgi "emperor://$one.ini")/mountinfo"; }
kept=$(mounts)
lines=$(wc -l < "$dir/log")
echo "env = GREETING= and everybody"
{ vassal "$one" "$one_port"; echo "env = GREETING= and everybody"; } | put "$one"
until_reloaded "$lines"
# uwsgi is in the middle of its reload: the socket is there all the time, the new app answers when it is loaded.
deadline=$(($(now) + 20000))
until [[ $(page "$one_port") == *"and everybody"* ]]; do [ "$(now)" -lt "$deadline" ] || fail "the new value is not served"; done
[ "$(union "$one")" = "$new" ] || fail "unionfs-fuse was restarted"
[ "$(mounts)" = "$kept" ] || fail "the mounts are not what they were"
echo "--> $(page "$one_port")    (unionfs-fuse is still $new, the mount table is the same)"

say "8. The files go, and everything of them but the layers"
rm "$dir/vassals/$one.ini" "$dir/vassals/$two.ini"
until_gone "unionfs-fuse" in_vassal unionfs-fuse
until_gone "the page" page "$one_port"
until_gone "the page" page "$two_port"
[ "$(cat "$ns/cow/$one/srv/notes/note.txt")" = "written by $one" ] || fail "the layer was lost"
echo "no process, no page"

say "9. The emperor goes"
emperor_goes
untouched | diff -q "$dir/root-before" - >/dev/null || fail "the shared root was touched"

say "One root for many, and nothing left behind."
