# The stage of the demos, sourced by them: saying, waiting, looking into a vassal, and the cleaning up, also after a failure.
#
# A demo sets `dir` (its only directory outside the repository, with the daemon's log in it), `emperor` (the daemon's pid) and, where it
# needs a second place, `elsewhere`.
# shellcheck shell=bash

liege=${LIEGE:?the liege binary: run this through make demo}
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
emperor= dir= elsewhere=

say() { printf '\n\033[1m%s\033[0m\n' "$*" | if [ -t 1 ]; then cat; else sed 's/\x1b\[[0-9]*m//g'; fi; }
fail() { echo "FAILED: $*" >&2; exit 1; }
now() { date +%s%3N; }

# kill -9 of pid 1 of a pid namespace takes everything in it along; only processes below our own daemon are ever touched.
below() { # all descendants of a pid, children first
  local child
  for child in $(cat "/proc/$1"/task/*/children 2>/dev/null); do below "$child"; echo "$child"; done
}
clean() {
  local status=$? pids
  trap - EXIT INT TERM
  if [ -n "$emperor" ] && kill -0 "$emperor" 2>/dev/null; then
    pids=$(below "$emperor")
    kill -KILL "$emperor" $pids 2>/dev/null || true
    wait "$emperor" 2>/dev/null || true
  fi
  if [ "$status" != 0 ] && [ -n "$dir" ] && [ -f "$dir/log" ]; then echo "--- the end of the daemon's log:"; uniq "$dir/log" | tail -n 60; fi
  [ -z "$dir" ] || rm -rf --one-file-system "$dir"
  [ -z "$elsewhere" ] || rm -rf --one-file-system "$elsewhere"
  exit "$status"
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The process of a vassal that has this name, by its place in the tree: below our emperor, in another pid namespace than ours. Where
# there are several vassals, the second word is a part of a command line of the one that is meant.
in_vassal() {
  local pid ours space
  ours=$(readlink /proc/self/ns/pid)
  space=$([ $# = 1 ] || space_of "$2")
  for pid in $(below "$emperor"); do
    [ "$(readlink "/proc/$pid/ns/pid" 2>/dev/null)" != "$ours" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$1" ] || continue
    [ -z "$space" ] || [ "$(readlink "/proc/$pid/ns/pid" 2>/dev/null)" = "$space" ] || continue
    echo "$pid"
    return
  done
  return 1
}
space_of() { # the pid namespace of whoever below our emperor has this in its command line
  local pid
  for pid in $(below "$emperor"); do
    [[ $(tr '\0' ' ' 2>/dev/null < "/proc/$pid/cmdline") != *"$1"* ]] || { readlink "/proc/$pid/ns/pid"; return; }
  done
  echo none
}
page() { curl -sS -f -m 5 "http://127.0.0.1:${1:-$port}${2:-/}" 2>/dev/null; } # port, path
until_served() { # polls until the page is there, gives up after 20 s
  local deadline=$(($(now) + 20000))
  until page "$@" >/dev/null; do
    [ "$(now)" -lt "$deadline" ] || fail "no page within 20 s"
    kill -0 "$emperor" 2>/dev/null || fail "the emperor has died"
  done
}
until_gone() { # what, then a command that must come to fail
  local what=$1 deadline=$(($(now) + 20000))
  shift
  while "$@" >/dev/null 2>&1; do
    [ "$(now)" -lt "$deadline" ] || fail "$what is still there after 20 s"
  done
}
# The emperor is asked to go: exit code 0, the host's mounts what $mounts_before says, no process with one of our paths left.
emperor_goes() {
  local status=0 left= process words
  kill -TERM "$emperor"
  wait "$emperor" || status=$?
  [ "$status" = 0 ] || fail "the emperor ended with $status"
  emperor=
  [ "$(cut -d' ' -f5- /proc/self/mountinfo)" = "$mounts_before" ] || fail "the host's mounts are not what they were"
  for process in /proc/[0-9]*; do
    words=$(tr '\0' ' ' 2>/dev/null < "$process/cmdline" || true)
    [[ $words != *"$dir"* ]] && [[ -z $elsewhere || $words != *"$elsewhere"* ]] || left+="$process: $words; "
  done
  [ -z "$left" ] || fail "still running: $left"
  echo "exit code 0, the mount table as it was, no process left"
}
free_port() { /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
until_reloaded() { # a number of log lines, after which it must come
  local deadline=$(($(now) + 20000))
  until [[ $(tail -n +$(($1 + 1)) "$dir/log") == *": reloaded after"* ]]; do
    [ "$(now)" -lt "$deadline" ] || fail "no reload within 20 s"
  done
}
