//! Lines of an app that say more than that it runs: it serves nothing, or an address it wants is taken.
//!
//! Words of programs, so a guess: what is made of it is a sentence for people, never a decision.

use std::time::Duration;

use liege_plan::Notice;

/// What each kind of line has in it, in lower case.
const SIGNS: [(Notice, &[&str]); 4] = [
    (Notice::AddressInUse, &["address already in use", "eaddrinuse", "address in use", "connection in use:"]),
    // A request for a modifier that no plugin serves is none of these: it may be the request that is odd, and an app that could not be loaded
    // leads to the same line.
    (Notice::NoPlugin, &["unable to load uwsgi plugin"]),
    (
        Notice::WorkerDied,
        &[
            "damn ! worker",
            "respawning too fast",
            "the spooler is no more",
            "crippled...trying respawn",
            "[uwsgi-daemons] throttling",
            "was sent sigsegv!",
            "was sent sigkill!",
            "was sent sigabrt!",
            ") exited with code ",
        ],
    ),
    (
        Notice::NoApp,
        &["no app loaded. going in full dynamic mode", "unable to load app", "unable to find psgi function entry point"],
    ),
];

/// Longer lines are not searched.
const LONGEST: usize = 1024;

/// How long init is not told of another line of this kind from the same run of the app: a uwsgi may say the same for every request. What
/// is only of use where it was said just before an end is told more often, and deaths are counted.
pub(super) fn apart(notice: Notice) -> Duration {
    match notice {
        Notice::NoApp | Notice::NoPlugin => Duration::from_secs(10),
        Notice::AddressInUse => Duration::from_millis(500),
        Notice::WorkerDied | Notice::LeftBehind => Duration::from_secs(1),
    }
}

/// What a line tells, if it is one of these.
pub(super) fn of(line: &[u8]) -> Option<Notice> {
    let text = String::from_utf8_lossy(&line[..line.len().min(LONGEST)]).to_lowercase();
    SIGNS.iter().find(|(_, signs)| signs.iter().any(|sign| text.contains(sign))).map(|(notice, _)| *notice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_say_it_in_their_own_words() {
        for (line, notice) in [
            ("bind(): Address already in use [core/socket.c line 769]", Some(Notice::AddressInUse)),
            ("OSError: [Errno 98] Address already in use", Some(Notice::AddressInUse)),
            ("Error: listen EADDRINUSE: address already in use 127.0.0.1:8080", Some(Notice::AddressInUse)),
            ("[ERROR] Connection in use: ('127.0.0.1', 8000)", Some(Notice::AddressInUse)),
            ("*** no app loaded. going in full dynamic mode ***", Some(Notice::NoApp)),
            ("unable to find PSGI function entry point.", Some(Notice::NoApp)),
            ("!!! UNABLE to load uWSGI plugin: ./psgi_plugin.so: cannot open shared object file", Some(Notice::NoPlugin)),
            ("-- unavailable modifier requested: 5 --", None),
            ("DAMN ! worker 1 (pid: 7) died :( trying respawn ...", Some(Notice::WorkerDied)),
            ("DAMN ! worker 2 (pid: 9) died, killed by signal 11 :( trying respawn ...", Some(Notice::WorkerDied)),
            ("worker respawning too fast !!! i have to sleep a bit (2 seconds)...", Some(Notice::WorkerDied)),
            ("OOOPS mule 1 (pid: 8) crippled...trying respawn...", Some(Notice::WorkerDied)),
            ("[uwsgi-daemons] throttling \"sh -c 'exit 3'\" for 2 seconds", Some(Notice::WorkerDied)),
            ("[2026-11-30] [7] [ERROR] Worker (pid:8) was sent SIGSEGV!", Some(Notice::WorkerDied)),
            ("[2026-11-30] [7] [ERROR] Worker (pid:8) exited with code 1", Some(Notice::WorkerDied)),
            ("[2026-11-30] [7] [ERROR] Worker (pid:8) was sent SIGTERM!", None),
            ("[2026-11-30] [8] [INFO] Worker exiting (pid: 8)", None),
            ("Respawned uWSGI worker 1 (new pid: 8)", None),
            ("worker 1 buried after 1 seconds", None),
            ("WSGI app 0 (mountpoint='') ready in 0 seconds", None),
        ] {
            assert_eq!(of(line.as_bytes()), notice, "{line}");
        }
    }
}
