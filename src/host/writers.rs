//! Who besides root may write a file, or lead its path to another one.
//!
//! The path is walked one name at a time, as in [`crate::secret`], and all are told that could put something else in its way: owners of
//! directories, links and of the file, and users whose mode lets them write. In a sticky directory only what is there already is root's.
//! A FUSE file system says of its files what its daemon likes, so all of it is the user's that mounted it.

use std::{
    collections::{BTreeSet, VecDeque},
    ffi::{OsStr, OsString},
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use liege_spec::Writer;
use nix::{
    sys::statfs::{FUSE_SUPER_MAGIC, statfs},
    unistd::Uid,
};

use crate::secret::names;

/// As the kernel.
const MOST_LINKS: usize = 40;
const WRITABLE_BY_GROUP: u32 = 0o020;
const WRITABLE_BY_ALL: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// Follows links. Of a directory, who may name things in it.
///
/// # Errors
/// Something on the way is not there.
pub(crate) fn of(path: &Path) -> io::Result<BTreeSet<Writer>> {
    let mut walk = Walk { found: BTreeSet::new(), own: Uid::effective().as_raw(), device: None };
    let mut ahead: VecDeque<OsString> = names(path);
    let mut at = PathBuf::from("/");
    let mut links = 0;
    walk.owner(&at, &fs::symlink_metadata(&at)?);
    while let Some(name) = ahead.pop_front() {
        if name == OsStr::new("..") {
            at.pop();
            continue;
        }
        let directory = fs::symlink_metadata(&at)?;
        if directory.mode() & STICKY == 0 {
            walk.mode(&directory);
        }
        let next = at.join(name);
        let entry = fs::symlink_metadata(&next)?;
        walk.owner(&next, &entry);
        if !entry.is_symlink() {
            at = next;
            continue;
        }
        links += 1;
        if links > MOST_LINKS {
            return Err(io::Error::other("too many links"));
        }
        let target = fs::read_link(&next)?;
        if target.is_absolute() {
            at = PathBuf::from("/");
        }
        for name in names(&target).into_iter().rev() {
            ahead.push_front(name);
        }
    }
    walk.mode(&fs::symlink_metadata(&at)?);
    Ok(walk.found)
}

struct Walk {
    found: BTreeSet<Writer>,
    /// Whoever reads may deceive itself.
    own: u32,
    /// The file system of what was looked at last.
    device: Option<u64>,
}

impl Walk {
    fn owner(&mut self, path: &Path, entry: &Metadata) {
        self.user(entry.uid());
        if self.device.replace(entry.dev()) != Some(entry.dev()) && !entry.is_symlink() {
            self.file_system(path, entry);
        }
    }

    fn user(&mut self, uid: u32) {
        if uid != 0 && uid != self.own {
            self.found.insert(Writer::User(uid));
        }
    }

    fn mode(&mut self, entry: &Metadata) {
        if entry.mode() & WRITABLE_BY_GROUP != 0 {
            self.found.insert(Writer::Group(entry.gid()));
        }
        if entry.mode() & WRITABLE_BY_ALL != 0 {
            self.found.insert(Writer::All);
        }
    }

    /// What cannot be told of a FUSE file system may be anybody's.
    fn file_system(&mut self, path: &Path, entry: &Metadata) {
        if !statfs(path).is_ok_and(|found| found.filesystem_type() == FUSE_SUPER_MAGIC) {
            return;
        }
        let device = (nix::libc::major(entry.dev()), nix::libc::minor(entry.dev()));
        let mounts = liege_sys::mountinfo::own().unwrap_or_default();
        match mounts.iter().find(|mount| mount.device == device).and_then(liege_sys::mountinfo::Mount::fuse_owner) {
            Some((uid, _)) => self.user(uid),
            None => _ = self.found.insert(Writer::All),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    /// In a directory that only the test's user may write; `theirs` is a directory of uid 4242's.
    fn scene() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("own"), "x").unwrap();
        fs::create_dir(dir.path().join("theirs")).unwrap();
        fs::write(dir.path().join("theirs/file"), "x").unwrap();
        chown(dir.path().join("theirs"), Some(4242), None).unwrap();
        dir
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn all_are_told_that_could_put_something_else_there() {
        let dir = scene();
        let at = |name: &str| dir.path().join(name);
        let writers = |name: &str| of(&at(name)).unwrap().into_iter().collect::<Vec<_>>();
        symlink("theirs/file", at("link")).unwrap();
        symlink(at("own"), at("theirs/link")).unwrap();
        assert_eq!(writers("own"), [], "a sticky directory on the way, and all else is root's");
        for theirs in ["theirs", "theirs/file", "link", "theirs/link", "theirs/../own"] {
            assert_eq!(writers(theirs), [Writer::User(4242)], "{theirs}");
        }
        mode(&at("own"), 0o664);
        chown(at("own"), None, Some(4343)).unwrap();
        assert_eq!(writers("own"), [Writer::Group(4343)]);
        mode(&at("own"), 0o646);
        assert_eq!(writers("own"), [Writer::All]);
        assert!(of(&at("none")).is_err());
    }

    #[test]
    fn in_a_sticky_directory_what_is_there_is_its_owners_and_names_are_everybodys() {
        let dir = scene();
        let shared = dir.path().join("shared");
        fs::create_dir(&shared).unwrap();
        fs::write(shared.join("own"), "x").unwrap();
        fs::write(shared.join("other"), "x").unwrap();
        chown(shared.join("other"), Some(4242), None).unwrap();
        mode(&shared, 0o1757);
        let writers = |path: &Path| of(path).unwrap().into_iter().collect::<Vec<_>>();
        assert_eq!((writers(&shared), writers(&shared.join("own"))), (vec![Writer::All], vec![]));
        assert_eq!(writers(&shared.join("other")), [Writer::User(4242)]);
        mode(&shared, 0o757);
        assert_eq!(writers(&shared.join("own")), [Writer::All]);
    }
}
