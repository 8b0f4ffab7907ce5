//! The control groups of vassals: made before a birth, joined by it, taken away after the end.
//!
//! Everything happens while init waits for its green light, so nothing of a vassal ever runs outside of its groups. In a group of
//! version 2 it is born, by the clone itself; a group of version 1 (or a second one of version 2) is joined by its pid.
//!
//! Two vassals may name the same directory, in one life or one after the other. So who uses what is written down, and the last user
//! takes away what the daemon has made; a directory that was there before stays. What the daemon makes it marks, so that a group left
//! behind by one that was killed is known again: empty, and made for a vassal of this name, it is ours.
//!
//! A group of version 2 that was made for one vassal alone ends all that is in it at once: with its own kill, beside the signal to
//! init. Deliberately not here: switching on controllers in a parent, which belongs to whoever made it.

use std::{
    collections::HashMap,
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::{DirBuilderExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use liege_spec::{Asked, Cgroups};
use liege_sys::{
    cgroup::{Version, version},
    clone::BirthStage,
    made_for::{mark_made_for, was_made_for},
};

/// How long the kernel may take to forget the last process of a group, and how often it is asked.
const FORGETS: (u32, Duration) = (100, Duration::from_millis(20));

/// The groups in use, by directory.
#[derive(Debug, Default)]
pub(crate) struct Register {
    uses: Mutex<HashMap<PathBuf, Use>>,
    tickets: AtomicU64,
}

#[derive(Debug)]
struct Use {
    /// The tickets of the lives in it.
    lives: Vec<u64>,
    /// The daemon made it, or one before it did for the same vassal: so the daemon takes it away.
    made: bool,
}

/// Ends everything in the groups that are one life's alone, while it lives.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    register: Arc<Register>,
    groups: Vec<(PathBuf, u64)>,
}

impl Reach {
    /// Whether there is such a group.
    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// SIGKILL to everybody in them. Blocks for a moment.
    pub(crate) fn kill(&self) {
        for (path, ticket) in &self.groups {
            // Held while it is written: nobody else enters meanwhile, and after the end of the life nothing happens.
            let uses = self.register.uses();
            if uses.get(path).is_some_and(|entry| entry.made && entry.lives == [*ticket])
                && let Err(error) = write(&path.join("cgroup.kill"), "1")
                && error.kind() != io::ErrorKind::NotFound
            {
                // Before Linux 5.14 there is none: the signal to init and the sweep have to do.
                tracing::warn!(target: "emperor", "kill the cgroup {}: {}", path.display(), crate::world::phrase(&error));
            }
        }
    }
}

/// Why a group cannot be had: the step with its object and place, and the error number.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) stage: String,
    pub(crate) errno: i32,
    /// The group itself, or what the file asks of it, is the reason: nothing that the host or the daemon has no more of.
    pub(crate) own_bound: bool,
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
    ticket: u64,
}

impl Membership {
    /// Makes what is missing and writes the options. Blocks.
    ///
    /// # Errors
    /// The first directory or file that refuses; nothing is left of the others then.
    pub(crate) fn prepare(register: &Arc<Register>, vassal: &str, wanted: &Cgroups) -> Result<Self, Refused> {
        let mut membership = Self { register: Arc::clone(register), groups: Vec::new() };
        for path in &wanted.paths {
            let group = register.enter(path, wanted.mode, vassal)?;
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

    /// What can be ended at once.
    pub(crate) fn reach(&self) -> Reach {
        let groups = self.groups.iter().filter(|group| group.version == Version::Two);
        Reach { register: Arc::clone(&self.register), groups: groups.map(|group| (group.path.clone(), group.ticket)).collect() }
    }

    /// The directories.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.groups.iter().map(|group| group.path.as_path())
    }

    /// The group a clone can be born into.
    pub(crate) fn birthplace(&self) -> Option<BorrowedFd<'_>> {
        self.groups.iter().find(|group| group.version == Version::Two).map(|group| group.directory.as_fd())
    }

    /// Whether a clone was refused by a bound of the group it was to be born into. (As it is a moment later: others may be in it too.)
    pub(crate) fn bounds(&self, stage: BirthStage, errno: i32) -> bool {
        let Some(group) = self.groups.iter().find(|group| group.version == Version::Two) else { return false };
        let number = |file: &str| fs::read_to_string(group.path.join(file)).ok()?.trim().parse::<u64>().ok();
        match (stage, errno) {
            (BirthStage::Clone, nix::libc::EAGAIN) => {
                number("pids.max").zip(number("pids.current")).is_some_and(|(most, now)| now >= most)
            }
            // Its program is charged to the group.
            (BirthStage::Exec, nix::libc::ENOMEM) => true,
            _ => false,
        }
    }

    /// What a clone was doing, in words: only the group it was to be born into can be at fault for more than the kernel's limits.
    pub(crate) fn clone_in_words(&self, errno: i32, own_bound: bool) -> String {
        let Some(group) = self.groups.iter().find(|group| group.version == Version::Two) else {
            return "clone into new namespaces".to_owned();
        };
        let hint = match errno {
            nix::libc::EAGAIN if own_bound => ": it has as many processes as its pids.max allows",
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
        Err(Refused { stage, errno: nix::libc::ENOENT, own_bound: true })
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        while let Some(group) = self.groups.pop() {
            self.register.leave(&group.path, group.ticket);
        }
    }
}

impl Register {
    fn uses(&self) -> MutexGuard<'_, HashMap<PathBuf, Use>> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, asked: &Asked<String>, mode: u32, vassal: &str) -> Result<Group, Refused> {
        let (path, at) = (PathBuf::from(&asked.value), asked.at.to_string());
        let step = || format!("make the cgroup {} ({at})", path.display());
        let heir = self.inherits(&path, vassal);
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
                return Err(Refused { stage, errno: nix::libc::EINVAL, own_bound: true });
            }
            Err(error) => {
                take_away(&path, made);
                return Err(refused(step(), &error));
            }
        };
        if made {
            // Without a mark it stays behind if the daemon is killed: that is all.
            mark_made_for(&directory, vassal).ok();
        }
        if !made && let Err(error) = fs::set_permissions(&path, Permissions::from_mode(mode)) {
            return Err(refused(format!("set the mode {mode:o} of the cgroup {} ({at})", path.display()), &error));
        }
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        let entry = uses.entry(path.clone()).or_insert(Use { lives: Vec::new(), made: false });
        entry.made |= made || heir;
        entry.lives.push(ticket);
        Ok(Group { path, at, directory, version, ticket })
    }

    /// Whether this vassal's group was left behind by a daemon that was killed. What runs in it yet is about to end, because its
    /// init has lost that daemon; it is waited for.
    fn inherits(&self, path: &Path, vassal: &str) -> bool {
        let is_its_own = || File::open(path).is_ok_and(|directory| was_made_for(&directory, vassal));
        if self.uses().contains_key(path) || !is_its_own() {
            return false;
        }
        for _ in 0..FORGETS.0 {
            if is_deserted(path) {
                return true;
            }
            std::thread::sleep(FORGETS.1);
        }
        tracing::warn!(target: "emperor", vassal, "the cgroup {} was made for it before, and others run in it", path.display());
        false
    }

    /// One user less. The kernel forgets the dead in its own time, so the last one asks it more than once.
    fn leave(&self, path: &Path, ticket: u64) {
        for attempt in 0.. {
            let mut uses = self.uses();
            if let Some(entry) = uses.get_mut(path) {
                entry.lives.retain(|life| *life != ticket);
                if !entry.lives.is_empty() {
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

/// Whether nobody is in a group, nor in any below it.
fn is_deserted(path: &Path) -> bool {
    fs::read(path.join("cgroup.procs")).is_ok_and(|processes| processes.is_empty())
        && fs::read_dir(path).is_ok_and(|inner| {
            inner
                .flatten()
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .all(|group| is_deserted(&group.path()))
        })
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
    let errno = error.raw_os_error().unwrap_or(nix::libc::EIO);
    let own_bound = !matches!(errno, nix::libc::EMFILE | nix::libc::ENFILE | nix::libc::ENOMEM);
    Refused { stage, errno, own_bound }
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
        Membership::prepare(&Arc::default(), "shop.ini", &wanted).map(drop).unwrap_err()
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
    fn a_clone_is_refused_by_its_group_only_where_that_is_full() {
        let dir = tempfile::tempdir().unwrap();
        let group = || {
            let (path, directory) = (dir.path().to_owned(), File::open(dir.path()).unwrap());
            Group { path, at: "shop.ini:3: cgroup".into(), directory, version: Version::Two, ticket: 1 }
        };
        let refused = |most: &str, errno| {
            fs::write(dir.path().join("pids.max"), format!("{most}\n")).unwrap();
            fs::write(dir.path().join("pids.current"), "7\n").unwrap();
            let membership = Membership { register: Arc::default(), groups: vec![group()] };
            let bounded = membership.bounds(BirthStage::Clone, errno);
            (bounded, membership.clone_in_words(errno, bounded).contains("pids.max allows"))
        };
        assert_eq!(refused("7", nix::libc::EAGAIN), (true, true));
        assert_eq!(refused("8", nix::libc::EAGAIN), (false, false));
        assert_eq!(refused("max", nix::libc::EAGAIN), (false, false));
        assert_eq!(refused("7", nix::libc::ENOMEM), (false, false));
    }

    #[test]
    fn a_missing_parent_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let refused = refusal(&[&dir.path().join("not/there")]);
        assert!(refused.stage.ends_with("its parent is missing") && refused.errno == nix::libc::ENOENT, "{refused:?}");
    }
}
