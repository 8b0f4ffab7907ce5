//! A control group that bounds the number of processes and threads, for a daemon that is to have none left.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::wait::breathe;

/// The group of one story. Made outside of the story, so that it goes after everything in it has gone.
#[derive(Debug)]
pub struct PidsGroup(PathBuf);

impl PidsGroup {
    /// Makes a group without a bound, of whichever version of control groups counts processes here.
    ///
    /// # Panics
    /// When this machine has no `pids` controller.
    #[must_use]
    pub fn new() -> Self {
        let (one, two) = (PathBuf::from("/sys/fs/cgroup/pids"), PathBuf::from("/sys/fs/cgroup"));
        let controllers = fs::read_to_string(two.join("cgroup.controllers")).unwrap_or_default();
        let tree = if one.join("cgroup.procs").exists() {
            one
        } else {
            assert!(
                controllers.split_whitespace().any(|controller| controller == "pids"),
                "no pids controller: mount -t cgroup2 none /sys/fs/cgroup (a kernel with CONFIG_CGROUP_PIDS)"
            );
            fs::write(two.join("cgroup.subtree_control"), "+pids").expect("root hands the pids controller to its groups");
            two
        };
        // Two stories of one process may have one each.
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let group = tree.join(format!("liege-story-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir(&group).unwrap_or_else(|e| panic!("mkdir {}: {e}", group.display()));
        Self(group)
    }

    /// The words before a command line that have it run in the group.
    #[must_use]
    pub fn wrapper(&self) -> [String; 4] {
        let join = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", self.0.display());
        ["/bin/sh".into(), "-c".into(), join, "sh".into()]
    }

    /// From now on nothing can be started in it.
    ///
    /// # Panics
    /// When the kernel refuses the bound.
    pub fn close(&self) {
        self.bound(&self.count().to_string());
    }

    /// The same, and idle threads that leave give no room either.
    ///
    /// # Panics
    /// As [`Self::close`].
    pub fn close_to_the_last(&self) {
        let (mut last, mut steady) = (usize::MAX, 0);
        while steady < 10 {
            self.close();
            let now = self.count();
            steady = if now == last { steady + 1 } else { 0 };
            last = now;
            breathe(Duration::from_millis(100));
        }
    }

    /// From now on nothing can be started in it, whatever of it ends.
    ///
    /// # Panics
    /// As [`Self::close`].
    pub fn close_for_good(&self) {
        self.bound("1");
    }

    fn count(&self) -> usize {
        let now = fs::read_to_string(self.0.join("pids.current")).expect("the number of its processes");
        now.trim().parse().expect("a number")
    }

    /// From now on everything can.
    ///
    /// # Panics
    /// When the kernel refuses that.
    pub fn open(&self) {
        self.bound("max");
    }

    /// `pids.max`
    ///
    /// # Panics
    /// When the kernel refuses the bound.
    pub fn bound(&self, most: &str) {
        fs::write(self.0.join("pids.max"), most).unwrap_or_else(|e| panic!("pids.max = {most}: {e}"));
    }
}

impl Default for PidsGroup {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for PidsGroup {
    fn drop(&mut self) {
        // A process that was killed a moment ago may still be counted.
        for _ in 0..1000 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            breathe(Duration::from_millis(2));
        }
        eprintln!("{} is left behind: something still runs in it", self.0.display());
    }
}
