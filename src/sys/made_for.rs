//! For whom a directory was made: written on it, where nobody but root reads or writes.

use std::{
    ffi::CStr,
    os::fd::{AsFd, AsRawFd},
};

use nix::errno::Errno;

/// An attribute of the directory, which only root reads and writes. It goes with the directory, and with nothing else.
const MADE_FOR: &CStr = c"trusted.liege.made_for";

/// Writes on a directory for whom it was made.
///
/// # Errors
/// EPERM without `CAP_SYS_ADMIN`, ENOTSUP where the file system has no attributes.
pub fn mark_made_for(directory: &impl AsFd, whom: &str) -> nix::Result<()> {
    let fd = directory.as_fd().as_raw_fd();
    // SAFETY: the name is terminated, the value has the length given; both outlive the call.
    let answer = unsafe { libc::fsetxattr(fd, MADE_FOR.as_ptr(), whom.as_ptr().cast(), whom.len(), 0) };
    Errno::result(answer).map(drop)
}

/// Whether a directory was made for him.
#[must_use]
pub fn was_made_for(directory: &impl AsFd, whom: &str) -> bool {
    // One byte more than expected: a longer value is another.
    let mut value = vec![0u8; whom.len() + 1];
    let fd = directory.as_fd().as_raw_fd();
    // SAFETY: the name is terminated, the buffer has the length given; both outlive the call.
    let answer = unsafe { libc::fgetxattr(fd, MADE_FOR.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    usize::try_from(answer).is_ok_and(|length| value.get(..length) == Some(whom.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_known_again() {
        let path = std::env::temp_dir().join(format!("liege-made-for-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        let directory = std::fs::File::open(&path).unwrap();
        assert!(!was_made_for(&directory, "shop.ini"), "nothing is written on it");
        let marked = mark_made_for(&directory, "shop.ini");
        let known = ["shop.ini", "shop.in", "shop.init", ""].map(|whom| was_made_for(&directory, whom));
        std::fs::remove_dir(&path).unwrap();
        // Not everywhere are there attributes, nor is everybody root.
        assert_eq!(known, [marked.is_ok(), false, false, false]);
    }
}
