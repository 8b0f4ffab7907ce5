//! What a running daemon holds: descriptors, threads, inotify watches, children.

use std::fmt::Write as _;
use std::fs;

use crate::procs::{self, Process};

/// One reading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gauge {
    /// What each descriptor points to, sorted; inode numbers of sockets and pipes taken out.
    pub fds: Vec<String>,
    /// Threads, the names of all but the runtime's own pool counted one by one.
    pub threads: Vec<String>,
    /// inotify watches.
    pub watches: usize,
    /// Names of all descendants but the prober.
    pub descendants: Vec<String>,
}

impl Gauge {
    /// Reads the gauge of a process.
    #[must_use]
    pub fn read(pid: i32) -> Self {
        let mut gauge = Self::default();
        for entry in fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
            let Ok(target) = fs::read_link(entry.path()) else { continue };
            let target = target.to_string_lossy().into_owned();
            let kind = target.split_once(":[").map_or(target.as_str(), |(kind, _)| kind);
            gauge.fds.push(kind.to_owned());
            let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{}", entry.file_name().to_string_lossy()));
            gauge.watches += info.unwrap_or_default().lines().filter(|line| line.starts_with("inotify wd:")).count();
        }
        gauge.fds.sort();
        for entry in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            gauge.threads.push(name.trim_end().to_owned());
        }
        gauge.threads.sort();
        let (probers, others): (Vec<Process>, Vec<Process>) =
            procs::descendants(pid).into_iter().partition(|p| is_helper(p, pid));
        gauge.descendants = others.into_iter().map(|process| process.name).collect();
        gauge.descendants.sort();
        // The prober comes with the first check and stays, and it is reached by one socket.
        for _ in probers {
            if let Some(socket) = gauge.fds.iter().position(|target| target == "socket") {
                gauge.fds.remove(socket);
            }
        }
        gauge
    }

    /// In words, what `self` has more (or less) than `before`; None when they agree.
    ///
    /// Threads may be fewer or as many: the blocking pool of the runtime keeps idle threads for a while, so `pool` more are
    /// allowed. Everything else must be equal.
    #[must_use]
    pub fn differs(&self, before: &Self, pool: usize) -> Option<String> {
        let mut report = String::new();
        difference(&mut report, "descriptor", &before.fds, &self.fds);
        difference(&mut report, "descendant", &before.descendants, &self.descendants);
        if self.threads.len() > before.threads.len() + pool {
            let _ = writeln!(report, "  {} threads were {}: {:?}", before.threads.len(), self.threads.len(), self.threads);
        }
        if self.watches != before.watches {
            let _ = writeln!(report, "  {} inotify watches were {}", before.watches, self.watches);
        }
        (!report.is_empty()).then_some(report)
    }
}

/// Whether a process is a child of `daemon` that is no vassal.
#[must_use]
pub fn is_helper(process: &Process, daemon: i32) -> bool {
    process.parent == daemon && process.state != 'Z' && process.command_line() == "liege prober"
}

/// Adds a line for each element that only one of two sorted lists has.
fn difference(report: &mut String, what: &str, before: &[String], after: &[String]) {
    let mut missing = before.to_vec();
    for item in after {
        match missing.iter().position(|other| other == item) {
            Some(index) => drop(missing.swap_remove(index)),
            None => {
                let _ = writeln!(report, "  new {what}: {item}");
            }
        }
    }
    for item in missing {
        let _ = writeln!(report, "  lost {what}: {item}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reading_of_a_living_process_agrees_with_itself_and_names_what_is_new() {
        let me = i32::try_from(std::process::id()).unwrap();
        let before = Gauge::read(me);
        assert!(before.fds.len() >= 3, "{before:?}");
        let _file = fs::File::open("/proc/self/status").unwrap();
        let report = Gauge::read(me).differs(&before, 8).expect("one more descriptor");
        assert!(report.contains("new descriptor: /proc/"), "{report}");
        assert_eq!(before.differs(&before, 0), None);
    }
}
