//! Files behind a daemon that can be stopped: a file system that does not answer.

use std::path::PathBuf;
use std::process::Command;

use nix::mount::{MntFlags, umount2};
use nix::sys::signal::Signal;

use crate::procs::{self, Process};
use crate::story::Host;

/// A directory, and what shows it under another path as long as its daemon works. It goes on when this is dropped.
#[derive(Debug)]
pub struct Remote {
    /// The other path.
    pub at: PathBuf,
    /// Its bindfs.
    pub daemon: Process,
}

impl Remote {
    /// No answer is remembered: each look asks the daemon.
    ///
    /// # Panics
    /// When it cannot be mounted.
    #[must_use]
    pub fn new(host: &Host) -> Self {
        Self::with(host, 0, &[])
    }

    /// With these options of bindfs. The kernel asks its daemon for everything again that it heard so many seconds ago.
    ///
    /// # Panics
    /// When it cannot be mounted.
    #[must_use]
    pub fn with(host: &Host, remembered: u32, options: &[&str]) -> Self {
        let (real, at) = (host.open_dir("real"), host.open_dir("remote"));
        let times = format!("attr_timeout={remembered},entry_timeout={remembered}");
        let mounted = Command::new("bindfs").args(["-o", &times]).args(options).arg(&real).arg(&at).status();
        assert!(mounted.expect("bindfs: make deps").success());
        let is_daemon = |process: &Process| process.name == "bindfs" && process.command_line().contains(&*at.to_string_lossy());
        let daemon = procs::all().into_iter().find(is_daemon).expect("the daemon of the mount");
        Self { at, daemon }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.daemon.kill(Signal::SIGCONT);
        umount2(&self.at, MntFlags::MNT_DETACH).ok();
    }
}
