//! The directory of one vassal's log: made for root alone, and for one owner.
//!
//! A name may be used again by somebody else's file. What the former one has said is put aside then: only root asks for it.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::{
        fd::OwnedFd,
        unix::fs::{DirBuilderExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use liege_sys::{
    Errno, detached,
    made_for::{mark_made_for, was_made_for},
};
use nix::fcntl::OFlag;

/// So many former owners of one name are told apart; of more the oldest are forgotten.
const FORMER: u32 = 9;

/// Makes it where it is missing. One that was somebody else's is put aside first, as `NAME~1`, `NAME~2` ...
pub(super) fn make(path: &Path, owner: Option<u32>) -> io::Result<()> {
    if create(path)? == Created::New {
        return mark(path, owner);
    }
    if is_of(path, owner) {
        return Ok(());
    }
    if path.read_dir()?.next().is_some() {
        put_aside(path)?;
        create(path)?;
    }
    mark(path, owner)
}

/// What init gets of it: a mount of it that stands nowhere. The directory itself where the daemon may make no mounts: no vassal has
/// another root there, and only its init holds it.
pub(super) fn place(path: &Path) -> io::Result<OwnedFd> {
    match detached::tree(path) {
        Err(Errno::EPERM | Errno::ENOSYS) => {
            let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
            Ok(File::options().read(true).custom_flags(flags.bits()).open(path)?.into())
        }
        // Not the disk: the kernel counts a mount that stands nowhere as a mount namespace.
        Err(Errno::ENOSPC) => Err(io::Error::other("no mount namespace is left on this host (sysctl user.max_mnt_namespaces)")),
        tree => Ok(tree?),
    }
}

/// Whether what is in it was said by a vassal of this owner's (None: root's alone).
pub(super) fn is_of(path: &Path, owner: Option<u32>) -> bool {
    File::open(path).is_ok_and(|directory| is_made_for(&directory, owner))
}

/// The same of one that is open.
pub(super) fn is_made_for(directory: &File, owner: Option<u32>) -> bool {
    was_made_for(directory, &word(owner))
}

#[derive(PartialEq, Eq)]
enum Created {
    New,
    Old,
}

fn create(path: &Path) -> io::Result<Created> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(Created::New),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Created::Old),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().mode(0o700).recursive(true).create(path).map(|()| Created::New)
        }
        Err(error) => Err(error),
    }
}

/// Where the file system takes no attributes, everybody's log is root's alone.
fn mark(path: &Path, owner: Option<u32>) -> io::Result<()> {
    mark_made_for(&File::open(path)?, &word(owner)).ok();
    Ok(())
}

fn word(owner: Option<u32>) -> String {
    owner.map_or_else(|| "root".to_owned(), |uid| format!("uid {uid}"))
}

fn put_aside(path: &Path) -> io::Result<()> {
    let aside = |number: u32| PathBuf::from(format!("{}~{number}", path.display()));
    if aside(FORMER).exists() {
        fs::remove_dir_all(aside(FORMER))?;
    }
    for number in (1..FORMER).rev() {
        match fs::rename(aside(number), aside(number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(path, aside(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_else_has_said_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/shop.ini");
        make(&path, Some(1001)).unwrap();
        if !is_of(&path, Some(1001)) {
            return assert!(!nix::unistd::geteuid().is_root(), "root can write attributes here");
        }
        fs::write(path.join("log"), "hers").unwrap();
        make(&path, Some(1001)).unwrap();
        assert!(path.join("log").exists() && is_of(&path, Some(1001)) && !is_of(&path, Some(1002)) && !is_of(&path, None));
        make(&path, Some(1002)).unwrap();
        assert!(!path.join("log").exists() && is_of(&path, Some(1002)));
        assert_eq!(fs::read_to_string(dir.path().join("deep/shop.ini~1/log")).unwrap(), "hers");
        make(&path, None).unwrap();
        assert!(is_of(&path, None) && !dir.path().join("deep/shop.ini~2").exists(), "an empty one is just given on");
    }
}
