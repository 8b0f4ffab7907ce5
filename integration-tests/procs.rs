//! Processes as `/proc` shows them: who descends from whom, in which pid namespace.

use std::fs;

use liege_sys::pidfd;
use nix::sys::signal::Signal;

/// One line of the process table.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its pid, as the story's namespace sees it.
    pub pid: i32,
    /// Its parent.
    pub parent: i32,
    /// `R`, `S`, `Z` ...
    pub state: char,
    /// Clock ticks from boot to its start: with the pid, a name that is never reused.
    pub start: u64,
    /// `comm`: the program's name, at most 15 bytes.
    pub name: String,
}

/// Two are the same when pid and start are: what a process does at the moment says nothing about who it is.
impl PartialEq for Process {
    fn eq(&self, other: &Self) -> bool {
        (self.pid, self.start) == (other.pid, other.start)
    }
}

impl Eq for Process {}

impl Process {
    /// Reads one process; None when there is none (any more).
    #[must_use]
    pub fn read(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name stands in parentheses and may itself contain any character: the last one closes it.
        let (open, close) = (stat.find('(')?, stat.rfind(')')?);
        let rest: Vec<&str> = stat.get(close + 2..)?.split(' ').collect();
        Some(Self {
            pid,
            parent: rest.get(1)?.parse().ok()?,
            state: rest.first()?.chars().next()?,
            start: rest.get(19)?.parse().ok()?,
            name: stat.get(open + 1..close)?.to_owned(),
        })
    }

    /// Whether this very process (not a successor with its pid) still runs.
    #[must_use]
    pub fn lives(&self) -> bool {
        Self::read(self.pid).is_some_and(|now| now.start == self.start && now.state != 'Z' && now.state != 'X')
    }

    /// Its command line, arguments separated by blanks.
    #[must_use]
    pub fn command_line(&self) -> String {
        let raw = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        String::from_utf8_lossy(&raw).trim_end_matches('\0').replace('\0', " ")
    }

    /// The inode of one of its namespaces (`pid`, `mnt` ...).
    #[must_use]
    pub fn namespace(&self, kind: &str) -> Option<u64> {
        let link = fs::read_link(format!("/proc/{}/ns/{kind}", self.pid)).ok()?;
        link.to_str()?.split(['[', ']']).nth(1)?.parse().ok()
    }

    /// Its pid as its own innermost pid namespace sees it.
    #[must_use]
    pub fn inner_pid(&self) -> Option<i32> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        status.lines().find_map(|line| line.strip_prefix("NSpid:"))?.split_whitespace().last()?.parse().ok()
    }

    /// Real uid.
    #[must_use]
    pub fn uid(&self) -> Option<u32> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().next()?.parse().ok()
    }

    /// Its mount table.
    #[must_use]
    pub fn mountinfo(&self) -> String {
        fs::read_to_string(format!("/proc/{}/mountinfo", self.pid)).unwrap_or_default()
    }

    /// Whether every thread of it is stopped: SIGSTOP takes its time, and a thread may answer somebody meanwhile.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        let mut tasks = fs::read_dir(format!("/proc/{}/task", self.pid)).into_iter().flatten().flatten();
        tasks.all(|task| {
            let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
        })
    }

    /// Sends a signal to this very process, and to no successor of it.
    ///
    /// # Panics
    /// When it is gone already: a story that kills wants something alive to kill.
    #[track_caller]
    pub fn kill(&self, signal: Signal) {
        assert!(self.kill_if_there(signal), "{} ({}) was to be killed: it is gone", self.name, self.pid);
    }

    /// The same of one that may have ended by itself. Whether it was there.
    pub fn kill_if_there(&self, signal: Signal) -> bool {
        let Ok(pidfd) = pidfd::open(self.pid) else { return false };
        // Looked at after the descriptor was opened: from here on nobody else can be meant.
        self.lives() && pidfd::signal(&pidfd, signal as i32).is_ok()
    }
}

/// Everything in the process table.
#[must_use]
pub fn all() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter_map(Process::read).collect()
}

/// Every process that descends from `ancestor`, zombies included, the ancestor not.
///
/// Complete, because the ancestor is a subreaper: nothing can leave its tree by forking twice.
#[must_use]
pub fn descendants(ancestor: i32) -> Vec<Process> {
    let all = all();
    let mut tree = vec![ancestor];
    let mut next = 0;
    while let Some(&parent) = tree.get(next) {
        tree.extend(all.iter().filter(|process| process.parent == parent).map(|process| process.pid));
        next += 1;
    }
    all.into_iter().filter(|process| process.pid != ancestor && tree.contains(&process.pid)).collect()
}

/// The table of some processes in words, for failures.
#[must_use]
pub fn describe(processes: &[Process]) -> String {
    let line = |p: &Process| {
        let ns = p.namespace("pid").unwrap_or(0);
        format!("  {} (parent {}, {}, pid namespace {ns}) {}: {}\n", p.pid, p.parent, p.state, p.name, p.command_line())
    };
    processes.iter().map(line).collect()
}
