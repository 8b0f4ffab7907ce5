//! What a vassal is to the kernel: a pid and a mount namespace with a FUSE mount in it. Without liege, because the kernel is on trial.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use liege_integration_tests::faults::{Filesystem, Kind, Owner};
use liege_integration_tests::leaks::minor_of;
use liege_integration_tests::procs::{self, Process};
use liege_integration_tests::story::FUSECTL;
use liege_integration_tests::{Host, SHORT, wait_for};

/// A pid and mount namespace of util-linux's making, with a faultfs of root's in it.
pub(crate) struct Jail {
    pub(crate) process: Child,
    pub(crate) init: Process,
    pub(crate) filesystem: Filesystem,
    pub(crate) connection: PathBuf,
}

impl Jail {
    pub(crate) fn new(host: &Host, name: &str) -> Self {
        let filesystem = Filesystem::new(host, name, Kind::Faultfs, Owner::Root);
        let script = format!("{} && exec sleep 1000", filesystem.lines().trim_end().replace("hook-pre-jail = exec:", ""));
        let mut unshare = Command::new("unshare");
        // It complains about its own signal mask when its child is killed.
        unshare.args(["-m", "-p", "-f", "--mount-proc", "sh", "-c", &script]).stderr(Stdio::null());
        let process = unshare.spawn().expect("unshare is installed");
        let parent = i32::try_from(process.id()).expect("a pid is small");
        let init = wait_for("the first process", SHORT, || {
            procs::descendants(parent).into_iter().find(|process| process.name == "sleep")
        });
        let table = init.mountinfo();
        let minor = minor_of(&table, &filesystem.mount).expect("the mount");
        let connection = Path::new(FUSECTL).join(minor.to_string());
        Self { process, init, filesystem, connection }
    }

    pub(crate) fn processes(&self) -> Vec<Process> {
        procs::descendants(self.init.pid)
    }
}

/// How many requests are under way.
pub(crate) fn waiting(connection: &Path) -> u32 {
    fs::read_to_string(connection.join("waiting")).unwrap_or_default().trim().parse().unwrap_or(0)
}
