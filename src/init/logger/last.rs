//! What a source said last: a line that tells why its program fails, most likely.
//!
//! That is its last line, mostly. Some say more after it: node its version, gunicorn how its workers end. So a line that names an
//! error comes before those that follow it closely, and known lines of advice or of a mere consequence are skipped.
//!
//! Words of programs, so a guess: what is made of it is a sentence for people, never a decision.

use std::time::{Duration, Instant};

/// So many lines may follow a line that names an error, and so long.
const LINES_AFTER: usize = 32;
const TIME_AFTER: Duration = Duration::from_secs(1);
/// So long after a line another one belongs to it: a uwsgi looks once a second whether its workers have ended.
const FOLLOWS: Duration = Duration::from_secs(3);

/// The lines of one source, as far as they matter.
#[derive(Debug, Default)]
pub(super) struct Last {
    newest: Option<(String, Instant)>,
    /// The newest that names an error, or that a uwsgi said about its app; and how many came after it.
    error: Option<(String, Instant, usize)>,
    /// When the newest line that only follows a reason came: what it follows is said as late as that.
    followed: Option<Instant>,
}

impl Last {
    /// A line that is not blank.
    pub(super) fn hear(&mut self, line: String, now: Instant) {
        if follows_a_reason(&line)
            && let Some((_, newest)) = &self.newest
        {
            let before = self.followed.unwrap_or(*newest);
            self.followed = Some(now).filter(|now| now.saturating_duration_since(before) <= FOLLOWS).or(self.followed);
            return;
        }
        self.followed = None;
        if names_an_error(&line) {
            self.error = Some((line.clone(), now, 0));
        } else if tells_of_an_app(&line) && self.error_close_to(now).is_none() {
            self.error = Some((self.with_reason(&line), now, 0));
        } else if let Some((_, _, after)) = &mut self.error {
            *after += 1;
        }
        self.newest = Some((line, now));
    }

    /// A line that comes now, behind the one before it where uwsgi says the reason there: which address is taken, or why its app failed.
    pub(super) fn with_reason(&self, line: &str) -> String {
        match &self.newest {
            Some((reason, _)) if reason.contains("on the same address") => format!("{reason} {line}"),
            // `*** Operational MODE: single process ***` is no reason.
            Some((reason, _)) if tells_of_an_app(line) && !reason.starts_with("*** ") => format!("{reason}; {line}"),
            Some(_) | None => line.to_owned(),
        }
    }

    /// The line that tells most, and when it came.
    pub(super) fn telling(&self) -> Option<(&str, Instant)> {
        let (newest, last) = self.newest.as_ref()?;
        let (line, at) = self.error_close_to(*last).unwrap_or((newest, *last));
        Some((line, self.followed.unwrap_or(at)))
    }

    fn error_close_to(&self, now: Instant) -> Option<(&str, Instant)> {
        let is_close = |at: Instant, after: usize| after <= LINES_AFTER && now.saturating_duration_since(at) <= TIME_AFTER;
        self.error.as_ref().filter(|(_, at, after)| is_close(*at, *after)).map(|(line, at, _)| (&**line, *at))
    }
}

/// Whether a line tells more than the one that comes so long after it. The child that hears the second one may not have heard the first.
pub(crate) fn tells_more(before: &str, after: &str, apart: Duration) -> bool {
    let is_error = |line: &str| names_an_error(line) || tells_of_an_app(line);
    follows_a_reason(after) && apart <= FOLLOWS || is_error(before) && !is_error(after) && apart <= TIME_AFTER
}

/// What programs say behind the reason: advice, a consequence, where to read more.
const AFTERTHOUGHTS: [&str; 17] = [
    "note: ", // Rust, after a panic
    // mount, umount
    "dmesg(1) may have more information",
    "in some cases useful info",
    "dmesg | tail or so",
    "(in some cases useful info",
    "use the device is found by lsof",
    "for more details see mount(8)",
    // libfuse
    "fuse: if you are sure this is safe",
    // sshfs, after the words of its ssh
    "read: connection reset by peer",
    "remote host has disconnected",
    // perl
    "begin failed--compilation aborted",
    "compilation failed in require",
    // uwsgi, at its end
    "sigint/sigterm received...killing workers",
    "goodbye to uwsgi.",
    "vacuum: ",
    // npm
    "npm err! a complete log of this run",
    "npm error a complete log of this run",
];

/// Whether a line tells nothing without the one before it.
fn follows_a_reason(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    let names_help = line.starts_with("try ") && line.contains("--help"); // GNU's programs
    let is_buried = line.starts_with("worker ") && line.contains(" buried after "); // uwsgi's
    names_help || is_buried || AFTERTHOUGHTS.iter().any(|front| line.starts_with(front))
}

/// Whether a line of a uwsgi says that its app, or a hook, failed. The line before says why, unless it is any line of the app's.
fn tells_of_an_app(line: &str) -> bool {
    let is_of_a_hook = line.ends_with("FATAL hook failed, destroying instance"); // behind the time
    is_of_a_hook
        || ["unable to load app ", "unable to find PSGI function entry point"].iter().any(|front| line.starts_with(front))
}

/// `ModuleNotFoundError: ...`, `Error: ...`, `PHP Fatal error: ...`, `panic: ...`, `java.lang.IllegalStateException: ...`.
fn names_an_error(line: &str) -> bool {
    let Some((before, _)) = line.split_once(": ") else { return false };
    let word = before.rsplit(' ').next().unwrap_or_default().to_ascii_lowercase();
    ["error", "exception", "panic", "fatal"].iter().any(|end| word.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn telling(lines: &[(u64, &str)]) -> Option<String> {
        let (mut last, start) = (Last::default(), Instant::now());
        for (at, line) in lines {
            last.hear((*line).to_owned(), start + Duration::from_millis(*at));
        }
        last.telling().map(|(line, _)| line.to_owned())
    }

    #[test]
    fn a_line_that_names_an_error_comes_before_those_after_it() {
        for (lines, tells) in [
            (&["listening", "cannot open database"][..], "cannot open database"),
            (
                &["Error: Cannot find module '/x.js'", "    at Module._load", "Node.js v20.19.2"],
                "Error: Cannot find module '/x.js'",
            ),
            (
                &["ModuleNotFoundError: No module named 'app'", "[1] [INFO] Worker exiting", "Reason: Worker failed to boot."],
                "ModuleNotFoundError: No module named 'app'",
            ),
            (&["panic: no database", "goroutine 1 [running]:"], "panic: no database"),
            (&["thread 'main' panicked at src/main.rs:2:5:", "no database", "note: run with `RUST_BACKTRACE=1`"], "no database"),
            (
                &["failed to open python file /a.py", "unable to load app 0 (mountpoint='')", "*** no app loaded. GAME OVER ***"],
                "failed to open python file /a.py; unable to load app 0 (mountpoint='')",
            ),
            (&["KeyError: 'DB'", "unable to load app 0 (mountpoint='')", "*** no app loaded. GAME OVER ***"], "KeyError: 'DB'"),
            (
                &[
                    "Can't locate Shop.pm in @INC at /a.psgi line 1.",
                    "BEGIN failed--compilation aborted at /a.psgi line 1.",
                    "unable to find PSGI function entry point.",
                    "*** no app loaded. GAME OVER ***",
                ],
                "Can't locate Shop.pm in @INC at /a.psgi line 1.; unable to find PSGI function entry point.",
            ),
            (
                &[
                    "command \"./x\" exited with non-zero code: 127",
                    "Mon Nov 30 08:53:23 2026 - FATAL hook failed, destroying instance",
                    "SIGINT/SIGTERM received...killing workers...",
                ],
                "command \"./x\" exited with non-zero code: 127; Mon Nov 30 08:53:23 2026 - FATAL hook failed, destroying instance",
            ),
            (
                &["*** Operational MODE: single process ***", "*** no app loaded. GAME OVER ***"],
                "*** no app loaded. GAME OVER ***",
            ),
            (
                &["*** Operational MODE: single process ***", "unable to load app 0 (callable not found or import error)", "***"],
                "unable to load app 0 (callable not found or import error)",
            ),
        ] {
            let lines: Vec<_> = lines.iter().map(|line| (0, *line)).collect();
            assert_eq!(telling(&lines).as_deref(), Some(tells));
        }
        assert_eq!(telling(&[]), None);
    }

    #[test]
    fn advice_is_skipped_for_the_line_before_it() {
        for lines in [
            &["mount: /m: must be superuser to use mount.", "dmesg(1) may have more information after failed mount system call."]
                [..],
            &["mount: /m: wrong fs type", "In some cases useful info is found in syslog - try", "dmesg | tail or so."],
            &[
                "umount: /m: target is busy",
                "(In some cases useful info about processes that",
                "use the device is found by lsof(8) or fuser(1).)",
            ],
            &["fuse: mountpoint is not empty", "fuse: if you are sure this is safe, use the 'nonempty' mount option"],
            &["ssh: connect to host files port 22: Connection refused", "read: Connection reset by peer"],
            &["mount: unrecognized option '--nosuch'", "Try 'mount --help' for more information."],
            &[
                "npm error Missing script: \"start\"",
                "npm error A complete log of this run can be found in: /root/.npm/_logs/x.log",
            ],
            &[
                "hook failed",
                "SIGINT/SIGTERM received...killing workers...",
                "worker 1 buried after 1 seconds",
                "goodbye to uWSGI.",
            ],
            &["dmesg(1) may have more information after failed mount system call."], // nothing before it
        ] {
            let told = telling(&lines.iter().map(|line| (0, *line)).collect::<Vec<_>>());
            assert_eq!(told.as_deref(), lines.first().copied());
        }
    }

    #[test]
    fn what_a_line_closely_follows_is_said_as_late_as_that() {
        let (mut last, start) = (Last::default(), Instant::now());
        let mut hear = |second: u64, line: &str| {
            last.hear(line.to_owned(), start + Duration::from_secs(second));
            last.telling().map(|(line, at)| (line.to_owned(), (at - start).as_secs()))
        };
        hear(0, "FATAL hook failed");
        assert_eq!(hear(1, "worker 1 buried after 1 seconds"), Some(("FATAL hook failed".to_owned(), 1)));
        assert_eq!(hear(4, "goodbye to uWSGI."), Some(("FATAL hook failed".to_owned(), 4)));
        hear(5, "GET /");
        assert_eq!(hear(60, "goodbye to uWSGI."), Some(("GET /".to_owned(), 5)));
    }

    #[test]
    fn a_line_that_another_child_has_heard_may_tell_more() {
        for (before, after, apart, tells) in [
            ("FATAL: lock file", "HINT: is another one running", 1, true),
            ("FATAL: lock file", "HINT: is another one running", 2, false),
            ("FATAL: lock file", "panic: no database", 1, false),
            ("listening", "cannot open database", 1, false),
            ("hook failed", "goodbye to uWSGI.", 3, true),
        ] {
            assert_eq!(tells_more(before, after, Duration::from_secs(apart)), tells, "{before}, {after}");
        }
    }

    #[test]
    fn an_error_of_long_before_is_not_the_reason() {
        let unable = "unable to load app 0 (mountpoint='')";
        assert_eq!(
            telling(&[(0, "Error: no cache"), (1001, "*** single process ***"), (1001, unable), (1001, "GAME OVER")]).as_deref(),
            Some(unable)
        );
        assert_eq!(telling(&[(0, "Error: no cache"), (1001, "out of disk space")]).as_deref(), Some("out of disk space"));
        let many: Vec<(u64, &str)> = std::iter::once((0, "Error: no cache")).chain((0..40).map(|_| (1, "GET /"))).collect();
        assert_eq!(telling(&many).as_deref(), Some("GET /"));
    }
}
