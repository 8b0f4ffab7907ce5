#!/usr/bin/env bash
# Runs the tests of the whole workspace (or what the arguments name) and closes with one line that says how many passed.
set -euo pipefail
cd "$(dirname "$0")/../.."
[ $# -gt 0 ] || set -- --workspace

if cargo nextest --version >/dev/null 2>&1; then
  # Twice as many at a time as there are processors: two thirds of what a story takes it waits for kernel, timers and programs.
  exec cargo nextest run --config-file integration-tests/nextest.toml --no-fail-fast --test-threads $((2 * $(nproc))) \
    "$@" # its summary is the closing line
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
cargo test --no-fail-fast "$@" 2>&1 | tee "$log" || status=$?
awk '/^test result:/ { passed += $4; failed += $6 } END { printf "Summary: %d passed, %d failed\n", passed, failed }' "$log"
exit "$status"
