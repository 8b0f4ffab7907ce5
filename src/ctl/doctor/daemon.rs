//! Whoever rules here already: a liege in the state directory, whether it answers, and uWSGI's own Emperor beside it.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use liege_sys::attempt;

use super::finding::{Finding, Subject};
use crate::{Client, Failure};

const DAEMON: Subject = Subject("daemon");

pub(super) fn look(control: &Path, state: &Path) -> Vec<Finding> {
    let holder = holder(state);
    vec![state_directory(state, holder), socket(control, holder), other_emperors()]
}

fn state_directory(state: &Path, holder: Option<u32>) -> Finding {
    const NAME: &str = "state directory";
    let shown = state.display();
    if let Some(pid) = holder {
        return DAEMON.ok(NAME, format!("{shown} is pid {pid}'s: a second liege needs an emperor-state-dir of its own"));
    }
    // What is not there is made, so what counts is the first of its parents that is.
    let there = state.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    match attempt::writable(there) {
        Ok(()) if there == state => DAEMON.ok(NAME, format!("{shown} is there, and nobody's")),
        Ok(()) => DAEMON.ok(NAME, format!("{shown} can be made")),
        Err(_) if attempt::user() != 0 => DAEMON.unknown(NAME, format!("only root writes to {}", there.display())),
        Err(errno) => DAEMON
            .missing(NAME, format!("{} cannot be written: {errno}", there.display()))
            .costs("the daemon does not start with this state directory")
            .mended_by("emperor-state-dir = ANOTHER in the emperor's file"),
    }
}

fn socket(control: &Path, holder: Option<u32>) -> Finding {
    const NAME: &str = "control socket";
    let shown = control.display();
    match (Client::new(control).vassals(&[], false), holder) {
        (Ok(view), _) => DAEMON.ok(NAME, format!("{shown}: a daemon of {} vassals answers", view.vassals.len())),
        (Err(Failure::NoDaemon { .. }), None) => DAEMON.ok(NAME, "no daemon runs, so none answers"),
        (Err(Failure::Refused { .. }), _) => DAEMON.ok(NAME, format!("{shown}: a daemon answers, but not this user")),
        (Err(failure), _) => DAEMON
            .degraded(NAME, failure.to_string())
            .costs("status, reload and the other verbs do not reach the daemon")
            .mended_by("journalctl -u liege"),
    }
}

/// Who has locked the state directory, by the kernel's list of locks: a lock of our own could keep a daemon from starting.
fn holder(state: &Path) -> Option<u32> {
    let inode = fs::metadata(state).ok()?.ino().to_string();
    fs::read_to_string("/proc/locks").ok()?.lines().find_map(|line| holder_of(line, &inode))
}

/// `1: FLOCK  ADVISORY  WRITE 4242 00:19:1043 0 EOF`
fn holder_of(line: &str, inode: &str) -> Option<u32> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_, "FLOCK", _, "WRITE", pid, place, ..] = words[..] else { return None };
    if place.rsplit(':').next() == Some(inode) { pid.parse().ok() } else { None }
}

/// Two emperors of one directory start every vassal twice.
fn other_emperors() -> Finding {
    const NAME: &str = "other emperors";
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbered = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let rules = |pid: &u32| {
        let line = fs::read(PathBuf::from(format!("/proc/{pid}/cmdline"))).unwrap_or_default();
        is_emperor(&String::from_utf8_lossy(&line))
    };
    let mut pids: Vec<u32> = numbered.filter(rules).collect();
    pids.sort_unstable();
    if pids.is_empty() {
        return DAEMON.ok(NAME, "uWSGI's Emperor does not run");
    }
    let pids = pids.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    DAEMON
        .degraded(NAME, format!("uWSGI's Emperor runs too (pid {pids})"))
        .costs("where both rule the same directory, every vassal runs twice")
        .mended_by("systemctl disable --now uwsgi-emperor")
}

/// A command line, its words ended by zero bytes.
fn is_emperor(line: &str) -> bool {
    let mut words = line.split('\0');
    let program = words.next().unwrap_or_default();
    program.rsplit('/').next().is_some_and(|name| name.starts_with("uwsgi")) && words.any(|word| word.starts_with("--emperor"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_of_the_whole_directory_has_a_holder() {
        assert_eq!(holder_of("1: FLOCK  ADVISORY  WRITE 4242 00:19:1043 0 EOF", "1043"), Some(4242));
        assert_eq!(holder_of("1: FLOCK  ADVISORY  WRITE 4242 00:19:1043 0 EOF", "43"), None);
        assert_eq!(holder_of("2: POSIX  ADVISORY  WRITE 7 00:19:1043 0 EOF", "1043"), None);
    }

    #[test]
    fn an_emperor_says_so_in_its_words() {
        assert!(is_emperor("/usr/bin/uwsgi\0--emperor\0/etc/uwsgi\0"));
        assert!(is_emperor("uwsgi-core\0--emperor=/etc/uwsgi\0"));
        assert!(!is_emperor("/usr/bin/uwsgi\0--ini\0emperor://a.ini\0"));
        assert!(!is_emperor("grep\0--emperor\0"));
    }
}
