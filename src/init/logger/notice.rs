//! Lines of an app that say more than that it runs: it serves nothing, or an address it wants is taken.
//!
//! Words of programs, so a guess: what is made of it is a sentence for people, never a decision.

use liege_plan::Notice;

/// What each kind of line has in it, in lower case.
const SIGNS: [(Notice, &[&str]); 3] = [
    (Notice::AddressInUse, &["address already in use", "eaddrinuse", "address in use", "connection in use:"]),
    (Notice::NoPlugin, &["unable to load uwsgi plugin", "unavailable modifier requested"]),
    (Notice::NoApp, &["no app loaded. going in full dynamic mode", "unable to load app"]),
];

/// Longer lines are not searched.
const LONGEST: usize = 1024;

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
            ("!!! UNABLE to load uWSGI plugin: ./psgi_plugin.so: cannot open shared object file", Some(Notice::NoPlugin)),
            ("-- unavailable modifier requested: 5 --", Some(Notice::NoPlugin)),
            ("WSGI app 0 (mountpoint='') ready in 0 seconds", None),
        ] {
            assert_eq!(of(line.as_bytes()), notice, "{line}");
        }
    }
}
