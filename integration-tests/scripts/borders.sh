#!/usr/bin/env bash
# The borders between the rooms, as far as a compiler does not already hold them. Prints every breach, then fails.
set -euo pipefail
cd "$(dirname "$0")/../.."
breaches=0

breach() { # a headline, and what was found
  [ -n "$2" ] || return 0
  printf '%s\n%s\n' "$1" "$(sed 's/^/  /' <<<"$2")"
  breaches=$((breaches + 1))
}

tree() { cargo tree --locked -p "$1" --edges normal,build --prefix none --format '{p}' | awk '{print $1}' | sort -u; }

for room in spec plan core; do
  breach "src/$room is pure, but its dependencies name:" "$(tree "liege-$room" | grep -E '^(tokio|nix|mio)$' || true)"
done
breach "src/init is single-threaded, but its dependencies name:" "$(tree liege-init | grep -E '^(tokio|mio)$' || true)"
for room in init sys plan; do
  breach "src/$room must not know:" "$(tree "liege-$room" | grep -E '^liege-(spec|core|host|ctl|cli)$' || true)"
done

sources() { git ls-files --cached --others --exclude-standard '*.rs'; }
in_code() { grep -vE ':[[:space:]]*//'; } # not what a comment says

breach "unsafe lives in src/sys alone:" \
  "$(sources | grep -v '^src/sys/' | xargs grep -HnE '(^|[^_[:alnum:]"])unsafe([[:space:]]|\{)' | in_code | grep -vE 'forbid|deny' || true)"
# An unsafe block or function has a line that says SAFETY (or # Safety) at most eight lines above it.
breach "unsafe without a SAFETY line:" "$(sources | grep '^src/sys/' | xargs awk '
    FNR == 1 { said = -9 }
    /SAFETY|# Safety/ { said = FNR }
    /(^|[^_a-zA-Z"])unsafe ([{]|fn|impl)/ && !/^[ \t]*\/\// && FNR - said > 8 { print FILENAME ":" FNR ": " $0 }')"
breach "the clock or the world in a pure room:" "$(sources | grep -E '^src/(spec|plan|core)/' | grep -v /tests/ |
  xargs grep -HnE 'Instant::now|SystemTime::now|std::fs::|std::env::|thread::sleep' | in_code || true)"
breach "each phase answers each event, by name:" \
  "$(sources | grep -E '^src/core/(vassal|emperor)' | xargs -r grep -HnE '^[[:space:]]*(_|\(_, _\)) =>' || true)"
breach "one concept, one file, at most 600 lines:" "$(sources | xargs wc -l | awk '$2 != "total" && $1 > 600 { print $2 ": " $1 " lines" }')"
breach "a panic where no thread can be had (src/host/workers.rs has threads):" \
  "$(sources | grep -E '^src/' | grep -vE '/tests(/|\.rs)' | xargs awk '/^#\[cfg\(test\)\]/ { nextfile }
    /spawn_blocking\(|[^_]thread::spawn\(/ && !/^[ \t]*\/\// { print FILENAME ":" FNR ": " $0 }' || true)"
breach "tests wait for events:" "$(sources | grep -E '(^|/)(tests|integration-tests)/' | xargs grep -HnE '(thread|time)::sleep' || true)"
breach "unfinished:" "$(sources | xargs grep -HnE 'todo!\(|unimplemented!\(|#\[ignore' || true)"

[ "$breaches" = 0 ] || exit 1
echo "The borders hold."
