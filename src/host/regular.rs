//! Opens files whose names, or whose targets, may be a tenant's.
//!
//! A path may mean a device, a fifo or a socket by the time it is opened, and opening one of those can wait for ever or do
//! something (rewind a tape, arm a watchdog). So the inode is taken hold of first (`O_PATH` does nothing to it), looked at, and
//! only a regular file is then opened, through that hold and not by its name.

use std::{
    fs::File,
    io,
    os::{fd::AsRawFd, unix::fs::OpenOptionsExt},
    path::Path,
};

use nix::fcntl::OFlag;

/// Opens a regular file for reading, links followed; None where something else is there.
///
/// # Errors
/// Nothing is there, or it cannot be had.
pub(crate) fn open_regular(path: &Path) -> io::Result<Option<File>> {
    let hold = File::options().read(true).custom_flags(OFlag::O_PATH.bits()).open(path)?;
    if !hold.metadata()?.is_file() {
        return Ok(None);
    }
    File::open(format!("/proc/self/fd/{}", hold.as_raw_fd())).map(Some)
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Read, os::unix::fs::symlink};

    use nix::sys::stat::Mode;

    use super::*;

    #[test]
    fn only_a_regular_file_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("file"), "x").unwrap();
        nix::unistd::mkfifo(&at("fifo"), Mode::S_IRWXU).unwrap();
        for (name, target) in [("a", "file"), ("b", "fifo"), ("c", "/dev/zero"), ("d", "."), ("e", "nowhere"), ("f", "f")] {
            symlink(target, at(name)).unwrap();
        }
        let mut text = String::new();
        open_regular(&at("a")).unwrap().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "x");
        for other in ["b", "c", "d"] {
            assert!(open_regular(&at(other)).unwrap().is_none(), "{other}");
        }
        assert_eq!(open_regular(&at("e")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(open_regular(&at("f")).unwrap_err().raw_os_error(), Some(nix::libc::ELOOP));
    }
}
