//! A FUSE mount of the user outside of any namespace, in any state.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use liege_integration_tests::faults::{Filesystem, Kind, Owner};
use liege_integration_tests::leaks::minor_of;
use liege_integration_tests::procs::{self, Process};
use liege_integration_tests::story::FUSECTL;
use liege_integration_tests::{Host, SHORT, wait_for, wait_until};
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::asked::Asked;
use super::jail::waiting;

/// One faultfs of the user, outside of any vassal.
pub(crate) struct Mounted {
    pub(crate) path: PathBuf,
    filesystem: Filesystem,
    pub(crate) daemon: Process,
    minor: u32,
}

impl Mounted {
    pub(crate) fn new(host: &Host, name: &str) -> Self {
        let filesystem = Filesystem::new(host, name, Kind::Faultfs, Owner::User);
        filesystem.mount_here();
        let path = filesystem.mount.clone();
        let daemon = wait_for("the daemon", SHORT, || {
            let ours = procs::descendants(i32::try_from(std::process::id()).ok()?);
            ours.into_iter()
                .find(|process| process.name == "faultfs" && process.command_line().contains(&*path.to_string_lossy()))
        });
        let minor = minor_of(&host.mountinfo(), &path).expect("it is mounted");
        Self { path, filesystem, daemon, minor }
    }

    pub(crate) fn bring_to(&self, state: &str) {
        match state {
            "healthy" => {}
            "killed" => self.daemon.kill(Signal::SIGKILL),
            "stopped" => {
                self.daemon.kill(Signal::SIGSTOP);
                wait_until("it to stop", SHORT, || self.daemon.is_stopped());
            }
            order => self.order(order),
        }
        if state == "killed" {
            wait_until("its end", SHORT, || !self.daemon.lives());
        }
    }

    pub(crate) fn order(&self, word: &str) {
        self.filesystem.faultfs.as_ref().expect("it is a faultfs").order(word).expect("it obeys");
    }

    pub(crate) fn minor(&self) -> u32 {
        self.minor
    }

    pub(crate) fn connection(&self) -> PathBuf {
        Path::new(FUSECTL).join(self.minor.to_string())
    }

    pub(crate) fn waiting(&self) -> u32 {
        waiting(&self.connection())
    }

    /// Ends the connection; how long until the one who waits is free.
    pub(crate) fn abort_and_time(&self, asked: &Asked) -> Duration {
        let start = Instant::now();
        fs::write(self.connection().join("abort"), "1").expect("it can be aborted while it hangs");
        wait_until("who waits to be free", SHORT, || asked.ended());
        start.elapsed()
    }
}

/// Leaves nothing: neither the connection, nor the daemon, nor the mount.
impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = fs::write(self.connection().join("abort"), "1");
        // It may just be ending by itself. As our orphan it keeps its pid until we bury it.
        let _ = kill(Pid::from_raw(self.daemon.pid), Signal::SIGKILL);
        let _ = umount2(&self.path, MntFlags::MNT_DETACH);
    }
}
