//! Processes of a vassal that died lately: one of them may have been the daemon of a mount.
//!
//! Of several the one that the file names comes first, then one that failed, then the newest. One that ended well and that the file
//! does not name is no reason for anything: a helper of a hook, most likely.

use std::{collections::VecDeque, time::Duration};

use liege_plan::{Exit, signal_name};
use liege_spec::{VassalSpec, Verb};

use crate::Time;

/// A death this close before is probably the reason: a push follows it within milliseconds, a poll within an interval.
const JUST_BEFORE: Duration = Duration::from_secs(3);
/// How many are remembered.
const KEPT: usize = 8;
/// Bytes of a process's name (`TASK_COMM_LEN` without its end).
const NAME: usize = 15;

/// The deaths of one life.
#[derive(Debug, Default)]
pub(super) struct Fallen(VecDeque<One>);

#[derive(Debug)]
struct One {
    at: Time,
    what: String,
    named: bool,
    failed: bool,
}

impl Fallen {
    /// A daemon that the file attaches.
    pub(super) fn attached(&mut self, at: Time, what: String) {
        self.add(One { at, what, named: true, failed: true });
    }

    /// A process nobody waited for.
    pub(super) fn orphan(&mut self, at: Time, pid: i32, name: Option<&str>, exit: Exit, spec: Option<&VassalSpec>) {
        let how = match exit {
            Exit::Code(code) => format!("exited with status {code}"),
            Exit::Signal(signal) => format!("killed by {}", signal_name(signal)),
        };
        let who = name.unwrap_or("a daemon of the vassal");
        let named = name.zip(spec).is_some_and(|(name, spec)| names(spec, name));
        self.add(One { at, what: format!("{who} (pid {pid} in its namespace) {how}"), named, failed: exit != Exit::Code(0) });
    }

    fn add(&mut self, one: One) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(one);
    }

    /// The one that is probably why a mount died.
    pub(super) fn blamed(&self, now: Time) -> Option<String> {
        let before = |one: &One| now - one.at;
        let counts = |one: &&One| (one.named || one.failed) && before(one) < JUST_BEFORE;
        let one = self.0.iter().filter(counts).max_by_key(|one| (one.named, one.failed, one.at))?;
        Some(format!("{} {:.3}s before", one.what, before(one).as_secs_f64()))
    }
}

/// Whether a hook or an attached daemon of this file starts a program of this name.
fn names(spec: &VassalSpec, name: &str) -> bool {
    let hooks = spec
        .jail
        .hooks
        .iter()
        .filter_map(|hook| if let Verb::Exec(line) | Verb::SafeExec(line) = &hook.verb.value { Some(line) } else { None });
    let mut lines = hooks.chain(spec.app.daemons.iter().map(|daemon| &daemon.value.command));
    lines.any(|line| line.split(|c: char| c.is_whitespace() || ";&|()'\"".contains(c)).any(|word| is_called(word, name)))
}

fn is_called(word: &str, name: &str) -> bool {
    let program = word.rsplit('/').next().unwrap_or(word);
    !program.is_empty() && program.as_bytes()[..program.len().min(NAME)] == *name.as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Time {
        Time((seconds * 1e6) as u64)
    }

    #[test]
    fn the_daemon_is_blamed_and_no_helper_that_had_ended_before() {
        let mut fallen = Fallen::default();
        fallen.orphan(seconds(10.0), 4, Some("mkdir"), Exit::Code(0), None);
        assert_eq!(fallen.blamed(seconds(10.001)), None, "it ended well");
        fallen.orphan(seconds(12.0), 5, Some("fuse-zip"), Exit::Signal(9), None);
        fallen.orphan(seconds(12.1), 6, Some("sh"), Exit::Code(0), None);
        let blamed = fallen.blamed(seconds(12.2)).unwrap();
        assert_eq!(blamed, "fuse-zip (pid 5 in its namespace) killed by SIGKILL 0.200s before");
        assert_eq!(fallen.blamed(seconds(15.2)), None);
    }

    #[test]
    fn names_are_compared_as_the_kernel_cuts_them() {
        assert!(is_called("/usr/bin/unionfs-fuse", "unionfs-fuse") && is_called("a-very-long-program", "a-very-long-pro"));
        assert!(!is_called("fuse-zip", "fuse") && !is_called("", ""));
    }
}
