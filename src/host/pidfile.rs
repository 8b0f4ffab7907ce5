//! `emperor-pidfile`: written when everything is up, taken away at the end.
//!
//! It may lie where others may write. So it is made beside its place and renamed there: what stands at its place, a symbolic link
//! to a file of root's for one, is replaced and never followed. What is not ours is left alone, and the daemon does not start.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use nix::unistd::Uid;

/// The file, while the daemon runs.
#[derive(Debug)]
pub(crate) struct Pidfile {
    path: PathBuf,
    /// Device and inode: at the end only this one is taken away.
    is: (u64, u64),
}

impl Pidfile {
    /// # Errors
    /// Something of somebody else's is in its place, or it cannot be written.
    pub(crate) fn write(path: &Path) -> anyhow::Result<Self> {
        match fs::symlink_metadata(path) {
            Ok(found) if !found.is_file() && !found.is_symlink() => {
                bail!("emperor-pidfile {}: something else than a file is there", path.display());
            }
            Ok(found) if found.uid() != Uid::effective().as_raw() => {
                bail!(
                    "emperor-pidfile {}: a file of uid {} is there; take it away, or name another place",
                    path.display(),
                    found.uid()
                );
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("emperor-pidfile {}: look at it", path.display()));
            }
            Ok(_) | Err(_) => {}
        }
        Self::place(path).with_context(|| format!("emperor-pidfile {}: write it", path.display()))
    }

    fn place(path: &Path) -> io::Result<Self> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}.new", std::process::id()));
        let beside = PathBuf::from(beside);
        let made = make(&beside).and_then(|is| fs::rename(&beside, path).map(|()| is));
        if made.is_err() {
            fs::remove_file(&beside).ok();
        }
        Ok(Self { path: path.to_owned(), is: made? })
    }
}

/// Makes a file that is new: `O_EXCL` follows no link and opens nothing that is there.
fn make(path: &Path) -> io::Result<(u64, u64)> {
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)?;
    writeln!(file, "{}", std::process::id())?;
    let made = file.metadata()?;
    Ok((made.dev(), made.ino()))
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.is) {
            fs::remove_file(&self.path).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn it_replaces_what_is_there_and_follows_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (path, victim) = (dir.path().join("pid"), dir.path().join("victim"));
        fs::write(&victim, "precious").unwrap();
        symlink(&victim, &path).unwrap();
        let pidfile = Pidfile::write(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        // Another daemon's by now.
        let next = Pidfile::write(&path).unwrap();
        drop(pidfile);
        assert!(path.exists());
        drop(next);
        assert!(!path.exists() && fs::read_dir(dir.path()).unwrap().count() == 1);
    }

    #[test]
    fn what_is_somebody_elses_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Pidfile::write(dir.path()).unwrap_err().to_string().contains("something else than a file"));
        let path = dir.path().join("pid");
        fs::write(&path, "1").unwrap();
        if std::os::unix::fs::chown(&path, Some(12345), None).is_ok() {
            assert!(Pidfile::write(&path).unwrap_err().to_string().contains("a file of uid 12345"));
            assert_eq!(fs::read_to_string(&path).unwrap(), "1");
        }
    }
}
