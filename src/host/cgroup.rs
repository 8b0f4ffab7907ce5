//! The control groups of vassals: made before a birth, joined by it, taken away after the end.
//!
//! Everything happens while init waits for its green light, so nothing of a vassal ever runs outside of its groups. In a group of
//! version 2 it is born, by the clone itself; a group of version 1 (or a second one of version 2) is joined by its pid.
//!
//! Two vassals may name the same directory, in one life or one after the other. So who uses what is counted, and the last user
//! takes away what the daemon has made; a directory that was there before stays. Deliberately not here: switching on controllers
//! in a parent, which belongs to whoever made it.

use std::{
    collections::HashMap,
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::{DirBuilderExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use liege_spec::{Asked, Cgroups};
use liege_sys::cgroup::{Version, version};

/// How long the kernel may take to forget the last process of a group, and how often it is asked.
const FORGETS: (u32, Duration) = (100, Duration::from_millis(20));

/// The groups in use, by directory.
#[derive(Debug, Default)]
pub(crate) struct Register(Mutex<HashMap<PathBuf, Use>>);

#[derive(Debug)]
struct Use {
    vassals: usize,
    /// The daemon made it, so the daemon takes it away.
    made: bool,
}

/// Why a group cannot be had: the step with its object and place, and the error number.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) stage: String,
    pub(crate) errno: i32,
}

/// The groups of one vassal. Dropped after its end, which may block for a moment.
#[derive(Debug)]
pub(crate) struct Membership {
    register: Arc<Register>,
    groups: Vec<Group>,
}

#[derive(Debug)]
struct Group {
    path: PathBuf,
    /// `FILE:LINE: cgroup`
    at: String,
    directory: File,
    version: Version,
}

impl Membership {
    /// Makes what is missing and writes the options. Blocks.
    ///
    /// # Errors
    /// The first directory or file that refuses; nothing is left of the others then.
    pub(crate) fn prepare(register: &Arc<Register>, wanted: &Cgroups) -> Result<Self, Refused> {
        let mut membership = Self { register: Arc::clone(register), groups: Vec::new() };
        for path in &wanted.paths {
            let group = register.enter(path, wanted.mode)?;
            membership.groups.push(group);
        }
        for option in &wanted.options {
            membership.set(option)?;
        }
        Ok(membership)
    }

    /// Whether there is nothing to leave.
    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The group a clone can be born into.
    pub(crate) fn birthplace(&self) -> Option<BorrowedFd<'_>> {
        self.groups.iter().find(|group| group.version == Version::Two).map(|group| group.directory.as_fd())
    }

    /// What a clone was doing, in words: only the group it was to be born into can be at fault for more than the kernel's limits.
    pub(crate) fn clone_in_words(&self, errno: i32) -> String {
        let Some(group) = self.groups.iter().find(|group| group.version == Version::Two) else {
            return "clone into new namespaces".to_owned();
        };
        let hint = match errno {
            nix::libc::EBUSY => ": it hands controllers to groups below it (cgroup.subtree_control), so no process may be in it",
            nix::libc::EOPNOTSUPP => ": it is threaded, or below a group that is (cgroup.type)",
            _ => "",
        };
        format!("clone into new namespaces and the cgroup {} ({}){hint}", group.path.display(), group.at)
    }

    /// Brings a newborn into all the others.
    ///
    /// # Errors
    /// The group that refuses it.
    pub(crate) fn join(&self, pid: i32) -> Result<(), Refused> {
        let born_in = self.groups.iter().position(|group| group.version == Version::Two);
        for (_, group) in self.groups.iter().enumerate().filter(|(index, _)| Some(*index) != born_in) {
            write(&group.path.join("cgroup.procs"), &pid.to_string()).map_err(|error| {
                let hint = match error.raw_os_error() {
                    Some(nix::libc::ENOSPC) => ": a cpuset needs its cpuset.cpus and cpuset.mems first (cgroup-opt)",
                    _ => "",
                };
                refused(format!("join the cgroup {} ({}){hint}", group.path.display(), group.at), &error)
            })?;
        }
        Ok(())
    }

    /// Writes an option to every group that has its file, as uWSGI does. That none has it is a mistake.
    fn set(&self, option: &Asked<(String, String)>) -> Result<(), Refused> {
        let (file, value) = &option.value;
        let mut found = self.groups.is_empty();
        for group in &self.groups {
            match write(&group.path.join(file), value) {
                Ok(()) => found = true,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(refused(format!("write {value} to {file} of {} ({})", group.path.display(), option.at), &error));
                }
            }
        }
        if found {
            return Ok(());
        }
        let controller = file.split('.').next().unwrap_or_default();
        let groups: Vec<_> = self.groups.iter().map(|group| group.path.display().to_string()).collect();
        let stage = format!(
            "set {file} ({}): {} has no such file: is the controller {controller} mounted there (version 1), or in its parent's \
             cgroup.subtree_control (version 2)?",
            option.at,
            groups.join(" nor ")
        );
        Err(Refused { stage, errno: nix::libc::ENOENT })
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        while let Some(group) = self.groups.pop() {
            self.register.leave(&group.path);
        }
    }
}

impl Register {
    fn uses(&self) -> MutexGuard<'_, HashMap<PathBuf, Use>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, asked: &Asked<String>, mode: u32) -> Result<Group, Refused> {
        let (path, at) = (PathBuf::from(&asked.value), asked.at.to_string());
        let step = || format!("make the cgroup {} ({at})", path.display());
        let mut uses = self.uses();
        let made = match DirBuilder::new().mode(mode).create(&path) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(refused(format!("{}: its parent is missing", step()), &error));
            }
            Err(error) => return Err(refused(step(), &error)),
        };
        let opened = File::open(&path).and_then(|directory| Ok((version(&directory)?, directory)));
        let (version, directory) = match opened {
            Ok((Some(version), directory)) => (version, directory),
            Ok((None, _)) => {
                take_away(&path, made);
                let stage = format!("{}: no cgroup file system is mounted there", step());
                return Err(Refused { stage, errno: nix::libc::EINVAL });
            }
            Err(error) => {
                take_away(&path, made);
                return Err(refused(step(), &error));
            }
        };
        if !made && let Err(error) = fs::set_permissions(&path, Permissions::from_mode(mode)) {
            return Err(refused(format!("set the mode {mode:o} of the cgroup {} ({at})", path.display()), &error));
        }
        let entry = uses.entry(path.clone()).or_insert(Use { vassals: 0, made });
        entry.vassals += 1;
        Ok(Group { path, at, directory, version })
    }

    /// One user less. The kernel forgets the dead in its own time, so the last one asks it more than once.
    fn leave(&self, path: &Path) {
        for attempt in 0.. {
            let mut uses = self.uses();
            if let Some(entry) = uses.get_mut(path) {
                if attempt == 0 {
                    entry.vassals -= 1;
                }
                if entry.vassals > 0 {
                    return;
                }
                let made = entry.made;
                match if made { remove_all(path) } else { Ok(()) } {
                    Err(error) if error.raw_os_error() == Some(nix::libc::EBUSY) && attempt < FORGETS.0 => {}
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        tracing::warn!(target: "emperor", "the cgroup {} stays: {}", path.display(), crate::world::phrase(&error));
                        uses.remove(path);
                        return;
                    }
                    _ => {
                        uses.remove(path);
                        return;
                    }
                }
            } else {
                return;
            }
            drop(uses);
            std::thread::sleep(FORGETS.1);
        }
    }
}

/// The group and the groups a vassal has made in it. The files of a group go with it.
fn remove_all(path: &Path) -> io::Result<()> {
    for inner in fs::read_dir(path)?.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove_all(&inner.path())?;
    }
    fs::remove_dir(path)
}

fn take_away(path: &Path, made: bool) {
    if made {
        fs::remove_dir(path).ok(); // made a moment ago: empty
    }
}

/// One write, as the kernel takes it.
fn write(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all(format!("{text}\n").as_bytes())
}

fn refused(stage: String, error: &io::Error) -> Refused {
    Refused { stage, errno: error.raw_os_error().unwrap_or(nix::libc::EIO) }
}

#[cfg(test)]
mod tests {
    use liege_spec::Origin;

    use super::*;

    fn asked<T>(value: T) -> Asked<T> {
        Asked::new(value, Origin { file: "shop.ini".into(), line: 3, column: 1, key: "cgroup".into() })
    }

    fn refusal(paths: &[&Path]) -> Refused {
        let paths = paths.iter().map(|path| asked(path.to_string_lossy().into_owned())).collect();
        let wanted = Cgroups { paths, mode: 0o700, options: Vec::new() };
        Membership::prepare(&Arc::default(), &wanted).map(drop).unwrap_err()
    }

    #[test]
    fn an_ordinary_directory_is_refused_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shop");
        let refused = refusal(&[&path]);
        assert!(refused.stage.contains("shop.ini:3") && refused.stage.contains("no cgroup file system"), "{refused:?}");
        assert!(!path.exists());
    }

    #[test]
    fn a_missing_parent_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let refused = refusal(&[&dir.path().join("not/there")]);
        assert!(refused.stage.ends_with("its parent is missing") && refused.errno == nix::libc::ENOENT, "{refused:?}");
    }
}
