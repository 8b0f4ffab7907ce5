//! Opens files whose names, or whose targets, may be a tenant's.
//!
//! A path may mean a device, a fifo or a socket by the time it is opened, and opening one of those can wait for ever or do
//! something (rewind a tape, arm a watchdog). So the inode is taken hold of first (`O_PATH` does nothing to it), looked at, and
//! only a regular file is then opened, through that hold and not by its name.

use std::{
    fs::File,
    io::{self, Read},
    os::{fd::AsRawFd, unix::fs::OpenOptionsExt},
    path::Path,
};

use nix::fcntl::OFlag;

/// Bytes of a configuration at most: one of a megabyte is a mistake, `/dev/zero` a worse one.
pub(crate) const MAX_FILE: u64 = 4 << 20;

/// Reads a configuration: a regular file of up to 4 MiB, links followed. A descriptor that the caller's shell made (`<(...)`,
/// `/dev/stdin`) may be a pipe.
///
/// # Errors
/// It cannot be had, is no regular file, or is longer.
pub fn read_configuration(path: &Path) -> io::Result<Vec<u8>> {
    let is_callers_own = path == Path::new("/dev/stdin") || ["/dev/fd", "/proc/self/fd"].iter().any(|own| path.starts_with(own));
    let file = if is_callers_own { File::open(path).map(Some) } else { open_regular(path) }?;
    let file = file.ok_or_else(|| io::Error::other("not a regular file"))?;
    read_at_most(&file, MAX_FILE)?.ok_or_else(too_long)
}

/// All of a file; None: it is longer.
///
/// # Errors
/// It cannot be read.
pub(crate) fn read_at_most(file: &File, most: u64) -> io::Result<Option<Vec<u8>>> {
    let expected = file.metadata().map_or(0, |found| found.len().min(most));
    // One more than it is long, so that one read finds the end as well.
    let mut bytes = Vec::with_capacity(usize::try_from(expected).unwrap_or_default() + 1);
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= most))
}

/// What is said of a configuration of more than [`MAX_FILE`].
pub(crate) fn too_long() -> io::Error {
    io::Error::other(format!("longer than {} MiB", MAX_FILE >> 20))
}

/// Opens a regular file for reading, links followed; None where something else is there.
///
/// # Errors
/// Nothing is there (`NotFound`, `NotADirectory`: never of `/proc`, which is told in words), or it cannot be had.
pub(crate) fn open_regular(path: &Path) -> io::Result<Option<File>> {
    let hold = File::options().read(true).custom_flags(OFlag::O_PATH.bits()).open(path)?;
    if !hold.metadata()?.is_file() {
        return Ok(None);
    }
    open_by_hold(&hold, Path::new("/proc")).map(Some)
}

/// Opens for reading what is held, by way of `proc`.
fn open_by_hold(hold: &File, proc: &Path) -> io::Result<File> {
    let way = proc.join(format!("self/fd/{}", hold.as_raw_fd()));
    File::open(&way).map_err(|error| {
        // The link is there as long as the hold is. Without it the error is about `proc`, and says nothing about the file.
        let is_no_way = way.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        if is_no_way { io::Error::other(format!("{} is not there", proc.display())) } else { error }
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Read, os::unix::fs::symlink};

    use nix::sys::stat::Mode;

    use super::*;

    #[test]
    fn a_configuration_is_read_to_its_bound() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("file"), "x").unwrap();
        fs::File::create(at("long")).unwrap().set_len(MAX_FILE + 1).unwrap();
        nix::unistd::mkfifo(&at("fifo"), Mode::S_IRWXU).unwrap();
        symlink("/dev/zero", at("zero")).unwrap();
        assert_eq!(read_configuration(&at("file")).unwrap(), b"x");
        let why = |name: &str| read_configuration(&at(name)).unwrap_err().to_string();
        assert_eq!([why("long"), why("fifo"), why("zero")], ["longer than 4 MiB", "not a regular file", "not a regular file"]);
        // A shell's `<(...)`.
        let (read, write) = nix::unistd::pipe().unwrap();
        nix::unistd::write(&write, b"y").unwrap();
        drop(write);
        let own = format!("/dev/fd/{}", read.as_raw_fd());
        assert_eq!(read_configuration(Path::new(&own)).unwrap(), b"y");
    }

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

    #[test]
    fn a_missing_proc_is_no_missing_file() {
        let dir = tempfile::tempdir().unwrap();
        let (file, none) = (dir.path().join("file"), dir.path().join("proc"));
        fs::write(&file, "x").unwrap();
        let hold = File::options().read(true).custom_flags(OFlag::O_PATH.bits()).open(&file).unwrap();
        let error = open_by_hold(&hold, &none).unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (io::ErrorKind::Other, format!("{} is not there", none.display())));
    }
}
