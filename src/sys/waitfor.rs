//! `wait-for-*`: looks whether something is there. One look; whoever waits looks again.

use std::{
    fs,
    os::unix::{fs::MetadataExt, net::UnixStream},
    path::Path,
};

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

/// A mount point: its device differs from its parent's, or it is its own parent. As uWSGI looks, so a bind mount of the
/// same file system is none.
#[must_use]
pub fn mountpoint(path: &str) -> bool {
    let (Ok(here), Ok(above)) = (fs::metadata(path), fs::metadata(Path::new(path).join(".."))) else {
        return false;
    };
    here.is_dir() && (here.dev() != above.dev() || here.ino() == above.ino())
}
