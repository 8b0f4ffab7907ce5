//! Control groups of a story: a hierarchy mounted in its own mount namespace.

use std::fs;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};

/// Mounts a hierarchy in the story's own namespace: `cgroup2`, or `cgroup` with its controllers.
///
/// # Errors
/// As `mount(2)`: this kernel lacks it, or another hierarchy has the controller.
///
/// # Panics
/// When the directory cannot be made.
pub fn mounted(at: &Path, kind: &str, controllers: Option<&str>) -> Result<PathBuf, Errno> {
    fs::create_dir_all(at).expect("mkdir in our own directory");
    // cgroup2 is one file system for the whole machine: a mount without the options that are in
    // force takes them away from everything that runs there.
    let in_force = (kind == "cgroup2").then(options_in_force).filter(|options| !options.is_empty());
    mount(Some("none"), at, Some(kind), MsFlags::empty(), controllers.or(in_force.as_deref()))?;
    Ok(at.to_owned())
}

/// [`mounted`], for a story that cannot be told without it.
///
/// # Panics
/// When it cannot be mounted.
#[must_use]
pub fn hierarchy(at: &Path, kind: &str, controllers: Option<&str>) -> PathBuf {
    mounted(at, kind, controllers).unwrap_or_else(|e| {
        panic!("mount {kind} {controllers:?}: {e}: this kernel lacks it, or another hierarchy holds the controller")
    })
}

/// The options of the machine's cgroup2 file system, as far as they are its own and not its mount's.
#[must_use]
pub fn options_in_force() -> String {
    let table = crate::leaks::mountinfo();
    let options = table.lines().find_map(|line| line.split_once(" - cgroup2 ")?.1.split_once(' '));
    let options = options.map_or("", |(_source, options)| options);
    options.split(',').filter(|option| !matches!(*option, "rw" | "ro")).collect::<Vec<_>>().join(",")
}
