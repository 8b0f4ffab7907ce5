//! `liege doctor`: what of this machine liege needs, what is there, what a missing piece costs, and how to get it.
//!
//! One file for each subject, each a function from the machine to its findings; `finding.rs` is what they are made of, `show.rs` how
//! people see them. Nothing is judged by a version number that can be tried instead (`liege_sys::attempt`), and nothing that is
//! tried changes anything. No daemon is needed; one that runs is only asked whether it answers.

mod cgroups;
mod daemon;
mod finding;
mod fuse;
mod init;
mod kernel;
mod limits;
mod namespaces;
mod rights;
mod show;
mod uwsgi;

use std::path::Path;

use serde::Serialize;

pub use finding::{Finding, Status};
pub use show::show;

/// All that was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Of this shape: 1.
    pub version: u32,
    /// Nothing vital is missing.
    pub can_run: bool,
    /// How many vassals the limits are good for, and which limit says so.
    pub room: Option<Room>,
    /// Subject by subject.
    pub findings: Vec<Finding>,
}

/// The narrowest limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Room {
    /// So many vassals.
    pub vassals: u64,
    /// And no more because of this.
    pub because: String,
}

/// Looks at everything. `control` is where a daemon would answer, `state` the directory it would hold.
#[must_use]
pub fn examine(control: &Path, state: &Path) -> Report {
    let (limits, room) = limits::look();
    let subjects =
        [kernel::look(), rights::look(), namespaces::look(), fuse::look(), cgroups::look(), limits, uwsgi::look(), init::look()];
    let findings: Vec<Finding> = subjects.into_iter().flatten().chain(daemon::look(control, state)).collect();
    let can_run = !findings.iter().any(|finding| finding.vital && finding.status == Status::Missing);
    Report { version: 1, can_run, room, findings }
}

/// The first directory of `PATH`, and of where root's programs are, that has such a program.
fn program(name: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|program| program.is_file())
}

/// A number the kernel shows in a file.
fn number(path: &str) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}
