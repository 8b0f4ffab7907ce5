//! Lines of an app that say more than that it runs: it serves nothing, or an address it wants is taken.
//!
//! Words of programs, so a guess: what is made of it is a sentence for people, never a decision.
//!
//! A uwsgi announces the death of a process that it kills itself, and tells of it a moment later as of any other, with the signal: a request
//! that lasts too long (`harakiri`), a worker that has grown too large (`evil-reload-on-rss`, `evil-reload-on-as`), one that does not leave
//! at a reload (mercy). The first is told by its announcement, the others are as asked for and not told; the death itself never is.

use std::{collections::VecDeque, time::Duration};

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

/// What announces a death, and what is told of it.
const ANNOUNCED: [(&str, Option<Notice>); 3] =
    [("*** harakiri on ", Some(Notice::Harakiri)), ("*** evil reload on ", None), ("die...no mercy !!!", None)];

/// Older announcements are forgotten: a uwsgi has not so many processes that are about to be killed.
const MOST: usize = 256;

/// Longer lines are not searched.
const LONGEST: usize = 1024;

/// How long init is not told of another line of this kind from the same run of the app: a uwsgi may say the same for every request. What
/// is only of use where it was said just before an end is told more often, and deaths are counted.
pub(super) fn apart(notice: Notice) -> Duration {
    match notice {
        Notice::NoApp | Notice::NoPlugin => Duration::from_secs(10),
        Notice::AddressInUse => Duration::from_millis(500),
        Notice::WorkerDied | Notice::Harakiri | Notice::LeftBehind => Duration::from_secs(1),
    }
}

/// The processes whose deaths were announced and not told yet, as their lines name them.
#[derive(Debug, Default)]
pub(super) struct Announced(VecDeque<String>);

impl Announced {
    /// What a line tells, if it is one of these.
    pub(super) fn of(&mut self, line: &[u8]) -> Option<Notice> {
        let text = String::from_utf8_lossy(&line[..line.len().min(LONGEST)]).to_lowercase();
        let told = ANNOUNCED.iter().find(|(sign, _)| text.contains(sign)).map(|(_, told)| *told);
        let at = victim(&text).and_then(|victim| self.0.iter().position(|announced| announced == victim));
        let notice = SIGNS.iter().find(|(_, signs)| signs.iter().any(|sign| text.contains(sign))).map(|(notice, _)| *notice);
        match (told, at) {
            (Some(told), None) => {
                self.0.extend(victim(&text).map(str::to_owned));
                self.0.drain(..self.0.len().saturating_sub(MOST));
                told
            }
            (Some(_), Some(_)) => None, // it is tried again each second while the process does not end
            (None, Some(at)) if notice == Some(Notice::WorkerDied) => {
                self.0.remove(at);
                None
            }
            (None, _) => notice,
        }
    }
}

/// Which process a line is about: its pid, but a spooler that died is called by no pid.
fn victim(text: &str) -> Option<&str> {
    const SPOOLER: &str = "the spooler";
    if text.contains("harakiri on the spooler") || text.contains("the spooler is no more") {
        return Some(SPOOLER);
    }
    let pid = text.split_once("(pid: ")?.1;
    let pid = &pid[..pid.find(|c: char| !c.is_ascii_digit())?];
    (1..=10).contains(&pid.len()).then_some(pid)
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
            assert_eq!(Announced::default().of(line.as_bytes()), notice, "{line}");
        }
    }

    #[test]
    fn a_death_that_uwsgi_announced_is_told_by_that() {
        let mut announced = Announced::default();
        for (line, notice) in [
            ("Mon Nov 30 15:34:11 2026 - *** HARAKIRI ON WORKER 1 (pid: 24, try: 1) ***", Some(Notice::Harakiri)),
            ("Mon Nov 30 15:34:11 2026 - HARAKIRI !!! worker 1 status !!!", None),
            ("Mon Nov 30 15:34:12 2026 - *** HARAKIRI ON WORKER 1 (pid: 24, try: 2) ***", None),
            ("DAMN ! worker 2 (pid: 25) died, killed by signal 9 :( trying respawn ...", Some(Notice::WorkerDied)),
            ("DAMN ! worker 1 (pid: 24) died, killed by signal 9 :( trying respawn ...", None),
            ("DAMN ! worker 1 (pid: 24) died, killed by signal 9 :( trying respawn ...", Some(Notice::WorkerDied)),
            ("*** EVIL RELOAD ON WORKER 1 RSS: 41439232 (pid: 7) ***", None),
            ("DAMN ! worker 1 (pid: 7) died, killed by signal 9 :( trying respawn ...", None),
            ("*** EVIL RELOAD ON WORKER 1 ADDRESS SPACE: 41439232 (pid: 8) ***", None),
            ("DAMN ! worker 1 (pid: 8) died, killed by signal 9 :( trying respawn ...", None),
            ("worker 1 (pid: 9) is taking too much time to die...NO MERCY !!!", None),
            ("DAMN ! worker 1 (pid: 9) died, killed by signal 9 :( trying respawn ...", None),
            ("*** HARAKIRI ON MULE 1 (pid: 11) ***", Some(Notice::Harakiri)),
            ("OOOPS mule 1 (pid: 11) crippled...trying respawn...", None),
            ("*** HARAKIRI ON THE SPOOLER (pid: 12) ***", Some(Notice::Harakiri)),
            ("OOOPS the spooler is no more...trying respawn...", None),
            ("OOOPS the spooler is no more...trying respawn...", Some(Notice::WorkerDied)),
        ] {
            assert_eq!(announced.of(line.as_bytes()), notice, "{line}");
        }
        for pid in 0..10_000 {
            announced.of(format!("*** EVIL RELOAD ON WORKER 1 RSS: 1 (pid: {pid}) ***").as_bytes());
        }
        assert_eq!(announced.0.len(), MOST);
    }
}
