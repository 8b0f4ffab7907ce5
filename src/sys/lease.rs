//! Whether a file is open for writing: the kernel gives a read lease on no file that is.

use std::{fs::File, os::fd::AsRawFd};

use nix::errno::Errno;

/// Whether any process has it open for writing, or has mapped it so. None: the file system, or the file's owner (`CAP_LEASE` is missing), does not
/// let it be found out.
///
/// The lease is given back at once. What opens the file for writing in that moment waits for it, and the kernel sends this process SIGIO.
#[must_use]
pub fn is_open_for_writing(file: &File) -> Option<bool> {
    // SAFETY: numbers only.
    let set = |kind: i32| Errno::result(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind) });
    match set(libc::F_RDLCK) {
        Ok(_) => {
            let _ = set(libc::F_UNLCK);
            Some(false)
        }
        Err(Errno::EAGAIN) => Some(true),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_is_seen_until_it_closes() {
        let path = std::env::temp_dir().join(format!("liege-lease-{}", std::process::id()));
        let writer = File::create(&path).unwrap();
        let file = File::open(&path).unwrap();
        assert_eq!(is_open_for_writing(&file), Some(true));
        drop(writer);
        assert_eq!(is_open_for_writing(&file), Some(false));
        assert_eq!(is_open_for_writing(&file), Some(false), "and nothing is left of the question");
        drop(File::options().append(true).open(&path).unwrap());
        std::fs::remove_file(path).unwrap();
    }
}
