//! Files that only root may read: `env-file`.
//!
//! The path is walked one name at a time. Each directory and each link on the way must be root's, so that no tenant can lead the walk
//! elsewhere: in a directory that others may write to nothing is trusted, unless it is sticky, where what root has made stays root's. Nor is a
//! FUSE file system of another user's, whatever it says of its files.

use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    fs::{self, Metadata, OpenOptions},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Component, Path, PathBuf},
};

use liege_spec::NoAnswer;
use nix::fcntl::OFlag;

use crate::{
    regular::{read_at_most, refuse_the_kernels_own},
    world::{not_had, phrase},
    writers,
};

/// As the kernel.
const MOST_LINKS: usize = 40;
const WRITABLE_BY_OTHERS: u32 = 0o022;
const READABLE_BY_OTHERS: u32 = 0o077;
const STICKY: u32 = 0o1000;

/// Reads it, if it is root's alone.
///
/// # Errors
/// It cannot be read, is too long, or somebody else could have written it.
pub(crate) fn read(path: &Path, most: usize) -> Result<Vec<u8>, NoAnswer> {
    let failed = |e: std::io::Error| not_had(&e);
    let end = walk(path).map_err(NoAnswer::Failed)?;
    if let Some(writer) = writers::of(path).map_err(failed)?.first() {
        return Err(NoAnswer::Failed(format!("{writer} could lead it elsewhere")));
    }
    let file = OpenOptions::new().read(true).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits()).open(&end);
    let file = file.map_err(failed)?;
    judge(&file.metadata().map_err(failed)?).map_err(NoAnswer::Failed)?;
    refuse_the_kernels_own(&file).map_err(failed)?;
    read_at_most(&file, most as u64).map_err(failed)?.ok_or(NoAnswer::TooMuch)
}

fn judge(file: &Metadata) -> Result<(), String> {
    if !file.is_file() {
        return Err("not a regular file".to_owned());
    }
    if file.uid() != 0 {
        return Err(format!("it belongs to uid {}, not to root: chown root it", file.uid()));
    }
    if file.mode() & READABLE_BY_OTHERS != 0 {
        return Err(format!("its mode is {:04o}, others than root may use it: chmod 600 it", file.mode() & 0o7777));
    }
    if file.nlink() > 1 {
        return Err("it has another name (a hard link)".to_owned());
    }
    Ok(())
}

/// Where the path leads, through root's directories and links only.
fn walk(path: &Path) -> Result<PathBuf, String> {
    let mut ahead: VecDeque<OsString> = names(path);
    let mut at = PathBuf::from("/");
    let mut links = 0;
    while let Some(name) = ahead.pop_front() {
        if name == OsStr::new("..") {
            at.pop();
            continue;
        }
        let shared = others_may_write(&at)?;
        let next = at.join(name);
        let found = fs::symlink_metadata(&next).map_err(|error| phrase(&error))?;
        if found.uid() != 0 {
            return Err(format!("{} belongs to uid {}, not to root", next.display(), found.uid()));
        }
        if shared && found.is_dir() && found.mode() & STICKY == 0 && found.mode() & WRITABLE_BY_OTHERS != 0 {
            return Err(format!("others than root may write to {}", next.display()));
        }
        if found.is_symlink() {
            links += 1;
            if links > MOST_LINKS {
                return Err("too many links".to_owned());
            }
            let target = fs::read_link(&next).map_err(|error| phrase(&error))?;
            if target.is_absolute() {
                at = PathBuf::from("/");
            }
            for name in names(&target).into_iter().rev() {
                ahead.push_front(name);
            }
        } else {
            at = next;
        }
    }
    Ok(at)
}

pub(crate) fn names(path: &Path) -> VecDeque<OsString> {
    let name = |component: Component<'_>| match component {
        Component::Normal(_) | Component::ParentDir => Some(component.as_os_str().to_owned()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().filter_map(name).collect()
}

/// Whether others than root may make names in a directory of root's; one where they may take root's away is refused.
fn others_may_write(directory: &Path) -> Result<bool, String> {
    let found = fs::symlink_metadata(directory).map_err(|error| phrase(&error))?;
    if found.uid() != 0 {
        return Err(format!("{} belongs to uid {}, not to root", directory.display(), found.uid()));
    }
    match (found.mode() & WRITABLE_BY_OTHERS, found.mode() & STICKY) {
        (0, _) => Ok(false),
        (_, 0) => Err(format!("others than root may write to {}", directory.display())),
        _ => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    fn refused(path: &Path) -> String {
        read(path, 99).expect_err("it is refused").to_string()
    }

    #[test]
    fn a_file_of_roots_alone_is_read_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        let mode = |mode| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        fs::write(&file, "A=1").unwrap();
        mode(0o640);
        assert!(refused(&file).contains("chmod 600"));
        mode(0o600);
        assert_eq!(read(&file, 99), Ok(b"A=1".to_vec()));
        assert_eq!(read(&file, 2), Err(NoAnswer::TooMuch));
        symlink(&file, dir.path().join("link")).unwrap();
        assert_eq!(read(&dir.path().join("link"), 99), Ok(b"A=1".to_vec()), "a link of root's");
        chown(&file, Some(4242), None).unwrap();
        assert!(refused(&file).contains("uid 4242"));
        assert!(refused(dir.path()).contains("regular file"));
        assert!(refused(&dir.path().join("no")).contains("No such file"));
        assert!(refused(Path::new("/proc/kmsg")).contains("a file of procfs"));
    }

    #[test]
    fn what_a_tenant_could_lead_elsewhere_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (file, theirs) = (dir.path().join("secret"), dir.path().join("theirs"));
        fs::write(&file, "A=1").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        fs::create_dir(&theirs).unwrap();
        symlink(&file, theirs.join("link")).unwrap();
        chown(&theirs, Some(4242), None).unwrap();
        assert!(refused(&theirs.join("link")).contains("uid 4242"));
        chown(&theirs, Some(0), None).unwrap();
        fs::set_permissions(&theirs, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(refused(&theirs.join("link")).contains("may write"));
        fs::hard_link(&file, dir.path().join("second")).unwrap();
        assert!(refused(&file).contains("hard link"));
    }
}
