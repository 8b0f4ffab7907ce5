#!/bin/bash
# Runs in the guest as its administrator: the life cycle under the unit, then the stories. Each row of /out/rows is
# VERDICT, milliseconds, what was tried, with tabs between them; what a failure said stands in /out/failed.
set -u
kind=$1
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
modprobe 9pnet_virtio; mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 out /out || exit 1
uname -r > /out/kernel

now() { date +%s%3N; }
# Software emulation is about ten times slower than the machine, and the machine may be busy.
limit=120000
within() { # until CONDITION... holds
  local start; start=$(now)
  until "$@"; do
    [ $(($(now) - start)) -lt $limit ] || { echo "not within $((limit / 1000)) s: $*"; return 1; }
    sleep 0.05
  done
}
try() { # NAME COMMAND...: one row
  local name=$1 start status; shift
  start=$(now)
  ("$@") > /out/said 2>&1; status=$?
  if [ $status = 0 ]; then verdict=ok; else
    verdict=failed
    { echo "=== $name: status $status"; cat /out/said; journalctl -o cat -u liege --no-pager -n 60; } >> /out/failed
  fi
  printf '%s\t%d\t%s\n' $verdict $(($(now) - start)) "$name" >> /out/rows
  sync
}

# --- the zip tutorial under the unit ---------------------------------------------------------------------------------------------------
page() { curl -sS -f -m 10 http://127.0.0.1:9090/ 2>/dev/null | grep -q '^hello'; }
of() { pgrep -x "$1" | tr '\n' ' '; }
another() { local new; new=$(of fuse-zip); [ -n "$new" ] && [ "$new" != "$1" ]; }
said() { journalctl -o cat -u liege --no-pager | grep -cE "$1"; }
more_said() { [ "$(said "$1")" -gt "$2" ]; }
daemon() { systemctl show -p MainPID --value liege; }
app() { pgrep -xo uwsgi; }

start() {
  mkdir -p /app /var/www /tmp/src; chown www-data: /app
  printf '%s\n' 'my $app = sub { return [200, ["Content-Type" => "text/plain"], ["hello of pid $$\n"]] };' > /tmp/src/myapp.pl
  (cd /tmp/src && zip -q /var/www/app001.zip myapp.pl)
  cp /usr/local/share/doc/liege/vassals/zip-psgi.ini /etc/liege/vassals/app001.ini
  systemctl daemon-reload && systemctl start liege && within page
}
host_is_clean() { ! grep -q fuse-zip /proc/self/mountinfo && ! grep -q fuse-zip "/proc/$(daemon)/mountinfo"; }
heals() { # COMMAND...: after it there is another fuse-zip, and the page
  local old; old=$(of fuse-zip)
  "$@" || return 1
  within another "$old" && within page
}
kill_it() { kill -9 "$(pgrep -x fuse-zip)"; }
stop_it() { kill -STOP "$(pgrep -x fuse-zip)"; }
unmount_it() { nsenter -t "$(app)" -m -p umount -l /app; }
user_unmounts_it() { nsenter -t "$(app)" -m -p fusermount3 -u -z /app; }
# The kernel gives the classic mount id of what is gone to the next mount. The daemon is stopped, so that it looks before and after only.
replace_it() {
  local daemon app; daemon=$(daemon) app=$(app)
  kill -STOP "$daemon"
  nsenter -t "$app" -m -p sh -c 'umount -l /app && mount -t tmpfs imposter /app'
  local status=$?
  kill -CONT "$daemon"
  return $status
}
reloads() { # COMMAND...: after it the app was reloaded, and the same fuse-zip serves on
  local old before; old=$(of fuse-zip) before=$(said 'ready after .*app001.ini')
  "$@" || return 1
  within more_said 'ready after .*app001.ini' "$before" && within page && [ "$(of fuse-zip)" = "$old" ]
}
scores() {
  [ "$(cat "/proc/$(daemon)/oom_score_adj")" = -500 ] || { echo "the daemon is not protected"; return 1; }
  for pid in $(of uwsgi) $(of fuse-zip); do [ "$(cat "/proc/$pid/oom_score_adj")" = 0 ] || { echo "$pid is spared"; return 1; }; done
}
priorities() {
  printf '[vassal]\nuid = nosuchuser\ncommand = true\n' > /etc/liege/vassals/bad.ini
  within eval "journalctl -u liege -p err --no-pager -o cat | grep -q nosuchuser"
  local found=$?
  rm /etc/liege/vassals/bad.ini
  return $found
}
late_mounts() {
  mkdir -p /mnt/late; mount -t tmpfs late /mnt/late
  grep -q ' /mnt/late ' "/proc/$(app)/mountinfo" || { echo "a mount of the host's did not come in"; return 1; }
  umount /mnt/late; ! grep -q ' /mnt/late ' "/proc/$(app)/mountinfo"
}
restarts() { heals systemctl restart liege; }
killed_daemon() {
  local before; before=$(systemctl show -p NRestarts --value liege)
  systemctl kill -s KILL --kill-who=main liege
  within eval '[ "$(systemctl show -p NRestarts --value liege)" -gt '"$before"' ]' && within page
}
bounded() {
  mkdir -p /sys/fs/cgroup/vassals; echo +memory +pids > /sys/fs/cgroup/vassals/cgroup.subtree_control
  cat > /etc/liege/vassals/greedy.ini <<'V'
[vassal]
uid = www-data
gid = www-data
command = /bin/sh -c 'head -c 4800M /dev/zero | exec tail -n 1'
cgroup = /sys/fs/cgroup/vassals/greedy
cgroup-opt = memory.max=48M
cgroup-opt = pids.max=50
V
  within eval "grep -q '\"cause\": \"oom\"' /run/liege/deaths/greedy.ini.json 2>/dev/null"
  local found=$?
  rm /etc/liege/vassals/greedy.ini
  within eval '[ ! -e /sys/fs/cgroup/vassals/greedy ]' && return $found
}
group_options() { findmnt -no OPTIONS /sys/fs/cgroup | grep -q nsdelegate; }
stops() {
  systemctl stop liege || return 1
  [ "$(systemctl is-active liege)" = inactive ] || { systemctl status liege; return 1; }
  [ -z "$(of uwsgi)$(of fuse-zip)$(of liege-init)" ] || { ps -ef; return 1; }
  ! grep 'fuse-zip' /proc/self/mountinfo
}
healthy_log() { ! journalctl -o cat -u liege --no-pager | grep -iE 'panicked|unexpected'; }

try "the tutorial starts under the unit" start
try "no mount of a vassal reaches the host" host_is_clean
try "the daemon is protected from the OOM killer, its vassals are not" scores
try "the journal has the priority of each line" priorities
try "kill -9 of the FUSE daemon is healed" heals kill_it
if [ "$kind" = all ]; then
  try "a stopped FUSE daemon is healed" heals stop_it
  try "umount -l is healed" heals unmount_it
  try "fusermount3 -u -z is healed" heals user_unmounts_it
fi
try "another mount under the same id is healed" heals replace_it
try "systemctl reload keeps the mount" reloads systemctl reload liege
try "a touch keeps the mount" reloads touch /etc/liege/vassals/app001.ini
try "mounts of the host come and go in the vassal" late_mounts
try "a limit of memory names the OOM killer" bounded
try "systemctl restart serves again" restarts
try "kill -9 of the daemon: the unit starts it again" killed_daemon
try "systemctl stop leaves nothing" stops
try "the daemon's log has no panic" healthy_log

# --- the stories ---------------------------------------------------------------------------------------------------------------------------
export LIEGE=/usr/local/bin/liege ROOTFS_CACHE=/rootfs NO_COLOR=1 STORY_SLOWNESS=10 RUST_BACKTRACE=0
[ ! -e /programs/stories ] || while read -r name; do
  file=${name%%::*} one=()
  [ "$file" = "$name" ] || one=(--exact "${name#*::}")
  try "$name" timeout -k 10 300 "/programs/deps/$file" --test-threads=1 "${one[@]}"
done < /programs/stories
try "cgroup2 has kept its options" group_options
dmesg --level=err,crit,alert,emerg > /out/dmesg
touch /out/done; sync
