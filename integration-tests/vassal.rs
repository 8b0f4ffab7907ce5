//! One vassal as the host's `/proc` shows it.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::procs::{self, Process};
use crate::wait::{SHORT, wait_for};

/// One living vassal: its init and everything below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vassal {
    /// `liege-init`: pid 1 of the vassal's pid namespace where it has one.
    pub init: Process,
}

impl Vassal {
    /// All its processes, init first.
    #[must_use]
    pub fn processes(&self) -> Vec<Process> {
        let mut all = vec![self.init.clone()];
        all.extend(procs::descendants(self.init.pid));
        all
    }

    /// The number of its pid namespace, and a hold on it: the kernel gives the number of one that is gone to the next one made.
    ///
    /// # Panics
    /// When the vassal is gone.
    #[must_use]
    pub fn pid_namespace(&self) -> (u64, File) {
        let hold = File::open(format!("/proc/{}/ns/pid", self.init.pid)).expect("a living vassal has a pid namespace");
        (hold.metadata().expect("an open file").ino(), hold)
    }

    /// Its first process of this name (`comm`), waited for.
    ///
    /// # Panics
    /// When there is none in time.
    #[track_caller]
    #[must_use]
    pub fn process(&self, name: &str) -> Process {
        wait_for(&format!("a process {name} in the vassal"), SHORT, || self.processes().into_iter().find(|p| p.name == name))
    }

    /// The mount id and the device of what is mounted on a path, as its mount table says.
    #[must_use]
    pub fn mount(&self, path: &Path) -> Option<(u64, String)> {
        let table = self.init.mountinfo();
        let line = table.lines().rfind(|line| line.split(' ').nth(4).map(Path::new) == Some(path))?;
        let mut fields = line.split(' ');
        Some((fields.next()?.parse().ok()?, fields.nth(1)?.to_owned()))
    }

    /// Whether nothing of it is left: no process of its tree as it was.
    #[must_use]
    pub fn is_gone(&self, processes: &[Process]) -> bool {
        processes.iter().all(|process| !process.lives())
    }
}
