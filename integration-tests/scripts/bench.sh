#!/usr/bin/env bash
# Side by side: recovery from a dead FUSE daemon and a changed line in a pivoted root beside the real Emperor, then start-up beside
# peers. Root. make bench runs it.
set -euo pipefail
cd "$(dirname "$0")/../.."
export LIEGE=${LIEGE:?the liege binary: run this through make bench}
python=/usr/bin/python3

echo "== Recovery =="
"$python" integration-tests/bench/recover.py --rounds "${ROUNDS:-20}" --at-least 10

echo
echo "== The copy-on-write root =="
"$python" integration-tests/bench/cow.py --rounds "${ROUNDS:-20}" --at-least 10

echo
echo "== Start-up =="
"${CARGO:-cargo}" build --quiet -p liege-integration-tests --bin stamp
STAMP=${CARGO_TARGET_DIR:-$PWD/target}/debug/stamp "$python" integration-tests/bench/start.py

# The wider comparison with other supervisors lives outside this repository; where it lies beside the checkout it is run too.
peers=../shared/bench
if [ -f "$peers/bench.py" ]; then
  echo
  echo "== Peers =="
  for run in "liege:ns lat" "liege:ns scale" "floor:ns lat" "floor:ns scale" "uwsgi:clone lat"; do
    # shellcheck disable=SC2086 # two words on purpose
    "$python" "$peers/bench.py" run $run
  done
  "$python" "$peers/report.py"
fi
