#!/usr/bin/env bash
# The zip tutorial, live: a page from a zip, its FUSE daemon killed, the page again from new processes, a graceful reload, and
# nothing left. Needs root and what deps.sh installs; makes nothing outside one temporary directory and cleans up after itself,
# also when it fails. make demo runs it.
set -euo pipefail

. "$(dirname "$0")/demo_stage.sh"

# --- a machine like any other -------------------------------------------------------------------------------------------------
user=www-data
id "$user" >/dev/null 2>&1 || user=nobody
group=$(id -gn "$user")
dir=$(mktemp -d /tmp/liege-demo.XXXXXX)
chmod 0755 "$dir"
mkdir "$dir/vassals" "$dir/app" "$dir/source"
chown "$user:$group" "$dir/app"
port=$(free_port)
mounts_before=$(cut -d' ' -f5- /proc/self/mountinfo)

say "1. An app in a zip archive"
# It reads its page from the mount for every request: while the mount is dead there is no page from memory.
cat > "$dir/source/myapp.pl" <<'APP'
my ($dir) = __FILE__ =~ m{(.*)/};
my $app = sub {
    open(my $file, '<', "$dir/page.txt") or return [503, [], ["$!\n"]];
    return [200, ['Content-Type' => 'text/plain'], [<$file>]];
};
APP
echo "Hello from inside the zip" > "$dir/source/page.txt"
(cd "$dir/source" && zip -q "$dir/app001.zip" myapp.pl page.txt)
echo "$dir/app001.zip"

say "2. The emperor"
cat > "$dir/emperor.ini" <<INI
[uwsgi]
emperor = $dir/vassals
emperor-use-clone = fs,pid
emperor-state-dir = $dir/state
emperor-control = $dir/control.sock
INI
cat "$dir/emperor.ini"
# Debian keeps psgi in a plugin, the tutorial's uwsgi has it built in: the variable stands for the latter.
UWSGI_PLUGIN=psgi "$liege" run --ini "$dir/emperor.ini" > "$dir/log" 2>&1 &
emperor=$!

say "3. The tutorial's vassal, with its own names, paths and port"
# Prepared beside the directory and moved in, so that the emperor sees it whole.
sed -e "s|user001|$user|; s|/var/www/app001.zip /app|$dir/app001.zip $dir/app|; s|= /app|= $dir/app|; s|:9090|127.0.0.1:$port|" \
  > "$dir/app001.ini" <<'INI'
[uwsgi]
uid = user001
gid = user001

; mount fuse filesystem under /app (but only if it is not a reload)
if-not-reload =
  exec-as-user = fuse-zip -r /var/www/app001.zip /app
endif =

http-socket = :9090
psgi = /app/myapp.pl

mountpoint-check = /app
INI
sed -i "s|^gid = .*|gid = $group|" "$dir/app001.ini"
cat "$dir/app001.ini"
start=$(now)
mv "$dir/app001.ini" "$dir/vassals/app001.ini"
until_served
echo "--> $(page)    (served $(($(now) - start)) ms after the file appeared)"

say "4. The host sees nothing of the mount"
in_vassal fuse-zip >/dev/null || fail "no fuse-zip inside the vassal"
grep " $dir/app " "/proc/$(in_vassal fuse-zip)/mountinfo" | sed 's/^/vassal: /'
! grep " $dir/app " /proc/self/mountinfo || fail "the mount has reached the host"
echo "host:   no line with $dir/app in /proc/self/mountinfo"

say "5. kill -9 of its FUSE daemon"
old=$(in_vassal fuse-zip)
namespace=$(readlink "/proc/$old/ns/pid")
exec 8< "/proc/$old/ns/pid" # held, else the kernel might give its number to the next one
echo "fuse-zip is $old, in $namespace"
start=$(now)
kill -KILL "$old"
until_served
took=$(($(now) - start))
new=$(in_vassal fuse-zip) || fail "the page is there, but no fuse-zip"
echo "--> $(page)    (again after $took ms, fuse-zip is $new in $(readlink "/proc/$new/ns/pid"))"
[ "$(readlink "/proc/$new/ns/pid")" != "$namespace" ] || fail "it is the old namespace"
living=$(readlink /proc/[0-9]*/ns/pid 2>/dev/null || true)
[[ $living != *"$namespace"* ]] || fail "something of the old namespace lives"
exec 8<&-
echo "nothing of $namespace is left"

say "6. touch: a graceful reload in the same namespaces, the mount untouched"
lines=$(wc -l < "$dir/log")
touch "$dir/vassals/app001.ini"
until_reloaded "$lines"
until_served
[ "$(in_vassal fuse-zip)" = "$new" ] || fail "fuse-zip was restarted by a reload"
echo "--> $(page)    (fuse-zip is still $new)"

say "7. The file goes, and everything of it"
rm "$dir/vassals/app001.ini"
until_gone "fuse-zip" in_vassal fuse-zip
until_gone "the page" page
echo "no process, no page"

say "8. The emperor goes"
emperor_goes

say "The whole tutorial, and nothing left behind."
