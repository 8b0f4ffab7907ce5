//! Names of options: uWSGI's and liege's own, and the nearest one to a name that is neither.
//!
//! `uwsgi-options.txt` lists every option of uWSGI 2.0.21 and 2.1-dev, core and plugins. A `!` marks the *immediate* ones: they
//! act when they are read, so placeholders in their values are never expanded.

use std::collections::HashMap;
use std::sync::LazyLock;

/// liege's own options of a vassal, and uWSGI's that liege carries out.
pub const KNOWN_OPTIONS: &[&str] = &[
    "add-gid",
    "binary-path",
    "check-mount",
    "check-mountpoint",
    "chroot",
    "command",
    "emperor",
    "emperor-control",
    "emperor-curse-tolerance",
    "emperor-death",
    "emperor-extra-ext",
    "emperor-extra-extension",
    "emperor-flapping-failures",
    "emperor-flapping-window",
    "emperor-freq",
    "emperor-graceful-shutdown",
    "emperor-health-log",
    "emperor-log-dir",
    "emperor-max-starts",
    "emperor-max-throttle",
    "emperor-metrics",
    "emperor-metrics-host",
    "emperor-nofollow",
    "emperor-pidfile",
    "emperor-required-heartbeat",
    "emperor-shrink-guard",
    "emperor-start-limit",
    "emperor-state-dir",
    "emperor-throttle",
    "emperor-use-clone",
    "env-file",
    "flapping-failures",
    "flapping-window",
    "gid",
    "hook-timeout",
    "inherit-env",
    "listen",
    "mount-check",
    "mountpoint-check",
    "mountpoint-check-interval",
    "mountpoint-check-required",
    "mountpoint-check-timeout",
    "mountpoint-check-tolerance",
    "no-initgroups",
    "no-new-privs",
    "oom-score-adjust",
    "pivot-root",
    "pivot_root",
    "privileged-binary-patch-arg",
    "ready-timeout",
    "reload-signal",
    "start-limit",
    "stop-signal",
    "stop-timeout",
    "uid",
    "unprivileged-binary-patch-arg",
    "vassal-log",
    "vassal-log-keep",
    "vassal-log-rate",
    "vassal-log-size",
    "vassal-proc",
    "vassal-set",
    "vassals-set",
    "wait-for-dir",
    "wait-for-file",
    "wait-for-fs",
    "wait-for-iface",
    "wait-for-interface",
    "wait-for-mountpoint",
    "wait-for-socket",
];

/// Name and whether it is immediate.
static UWSGI: LazyLock<HashMap<&'static str, bool>> = LazyLock::new(|| {
    let lines = include_str!("uwsgi-options.txt").lines();
    lines.map(|line| line.strip_suffix(" !").map_or((line, false), |name| (name, true))).collect()
});

/// Whether uWSGI knows an option of this name.
pub(crate) fn is_uwsgi_option(name: &str) -> bool {
    UWSGI.contains_key(name)
}

/// Whether uWSGI or liege knows an option of this name.
pub(crate) fn is_known(name: &[u8]) -> bool {
    std::str::from_utf8(name).is_ok_and(|name| is_uwsgi_option(name) || KNOWN_OPTIONS.contains(&name))
}

/// Whether an option of this name acts when it is read.
pub(crate) fn is_immediate(name: &[u8]) -> bool {
    std::str::from_utf8(name).is_ok_and(|name| UWSGI.get(name).copied().unwrap_or(false))
}

/// Whether uWSGI looks through the value of such an option for `$(`, `@(` and `%(`.
#[must_use]
pub fn is_looked_through(name: &str) -> bool {
    !is_immediate(name.as_bytes())
}

/// The known option that was probably meant.
#[must_use]
pub fn nearest_option(name: &str) -> Option<&'static str> {
    nearest(name, KNOWN_OPTIONS.iter().copied().chain(UWSGI.keys().copied()))
}

/// About how many options there are to compare with.
pub(crate) const COUNT: usize = 1_500;
/// No option's name is longer.
const LONGEST: usize = 64;

/// The nearest of some words, where it is near enough to be a slip of the pen.
pub(crate) fn nearest<'a>(name: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let most = match name.len() {
        0..=3 => 1,
        4..=9 => 2,
        _ => 3,
    };
    let near =
        words.filter(|word| *word != name).filter_map(|word| Some((distance(name.as_bytes(), word.as_bytes(), most)?, word)));
    near.min().map(|(_, word)| word)
}

/// How many letters must be put in, taken out, changed or swapped with their neighbour; None where it is more than `most`.
///
/// Whole files of unknown names are compared with more than a thousand options, so it gives up as early as it can.
fn distance(left: &[u8], right: &[u8], most: usize) -> Option<usize> {
    if left.len().abs_diff(right.len()) > most || left.len() > LONGEST {
        return None;
    }
    let mut above: Vec<usize> = vec![0; right.len() + 1];
    let mut next = above.clone();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for i in 1..=left.len() {
        next[0] = i;
        for j in 1..=right.len() {
            let change = row[j - 1] + usize::from(left[i - 1] != right[j - 1]);
            next[j] = change.min(row[j] + 1).min(next[j - 1] + 1);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                next[j] = next[j].min(above[j - 2] + 1);
            }
        }
        // A swap reaches two rows back, so both must be beyond hope.
        if next.iter().chain(&row).all(|far| *far > most) {
            return None;
        }
        std::mem::swap(&mut above, &mut row);
        std::mem::swap(&mut row, &mut next);
    }
    (row[right.len()] <= most).then_some(row[right.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses() {
        for (typed, meant) in [
            ("mountpoint-chek", Some("mountpoint-check")),
            ("exec-as-usr", Some("exec-as-user")),
            ("piovt_root", Some("pivot_root")),
            ("comand", Some("command")),
            ("http-socekt", Some("http-socket")),
            ("my-own-placeholder", None),
        ] {
            assert_eq!(nearest_option(typed), meant, "{typed}");
        }
    }

    #[test]
    fn immediate_options_are_marked() {
        assert!(is_immediate(b"plugins-dir") && is_immediate(b"if-env") && !is_immediate(b"socket"));
        assert!(is_uwsgi_option("psgi") && !is_uwsgi_option("command"));
    }

    #[test]
    fn distances() {
        for (left, right, far) in [
            ("", "", Some(0)),
            ("ab", "ba", Some(1)),
            ("kitten", "sitting", Some(3)),
            ("uid", "gid", Some(1)),
            ("kitten", "mountain", None),
        ] {
            assert_eq!(distance(left.as_bytes(), right.as_bytes(), 3), far, "{left} {right}");
        }
    }
}
