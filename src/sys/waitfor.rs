//! `wait-for-*`: looks whether something is there. One look; whoever waits looks again.

use std::{ffi::CString, fs, os::unix::net::UnixStream};

use crate::statx;

/// Anything at this path.
#[must_use]
pub fn fs(path: &str) -> bool {
    fs::metadata(path).is_ok()
}

/// A regular file.
#[must_use]
pub fn file(path: &str) -> bool {
    fs::metadata(path).is_ok_and(|m| m.is_file())
}

/// A directory.
#[must_use]
pub fn dir(path: &str) -> bool {
    fs::metadata(path).is_ok_and(|m| m.is_dir())
}

/// A unix socket that accepts connections.
#[must_use]
pub fn socket(path: &str) -> bool {
    UnixStream::connect(path).is_ok()
}

/// The root of a mount. uWSGI compares devices by `stat`, which a user's FUSE mount refuses even root; this asks the kernel
/// alone, so such a mount is seen, and a bind mount too.
#[must_use]
pub fn mountpoint(path: &str) -> bool {
    let Ok(path) = CString::new(path) else {
        return false;
    };
    statx::of_path(&path).is_ok_and(|stat| statx::is_mount_root(&stat))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_told_from_a_directory() {
        assert!(mountpoint("/") && mountpoint("/proc"));
        assert!(!mountpoint("/proc/self") && !mountpoint("/no/such/path"));
    }

    #[test]
    fn kinds_are_told_apart() {
        assert!(file("/etc/passwd") && !dir("/etc/passwd") && fs("/etc/passwd"));
        assert!(dir("/etc") && !file("/etc") && fs("/etc") && !fs("/no/such/path"));
        assert!(!socket("/etc/passwd"));
    }
}
