//! Files in a directory that is known by an fd alone, wherever the process stands meanwhile.

use std::{
    fs::File,
    os::fd::{AsFd, BorrowedFd},
};

use nix::{
    fcntl::{AtFlags, OFlag, openat, renameat},
    sys::stat::{Mode, fstatat},
    unistd::{UnlinkatFlags, unlinkat},
};

/// Opens a file to add to its end; makes it where it is missing, for root and its group (0640).
///
/// # Errors
/// ENOSPC, EROFS, EIO ...: what the file system answers; ELOOP where a symbolic link has its place.
pub fn append(directory: BorrowedFd<'_>, name: &str) -> nix::Result<File> {
    let flags = OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CREAT | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    openat(directory, name, flags, Mode::from_bits_truncate(0o640)).map(File::from)
}

/// Device and inode of what has this name.
///
/// # Errors
/// ENOENT; what the file system answers.
pub fn identity(directory: &impl AsFd, name: &str) -> nix::Result<(u64, u64)> {
    let seen = fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    Ok((seen.st_dev, seen.st_ino))
}

/// Gives a file another name in the same directory, in the place of what has it.
///
/// # Errors
/// ENOENT; what the file system answers.
pub fn rename(directory: &impl AsFd, from: &str, to: &str) -> nix::Result<()> {
    renameat(directory, from, directory, to)
}

/// Takes a file away.
///
/// # Errors
/// ENOENT; what the file system answers.
pub fn remove(directory: &impl AsFd, name: &str) -> nix::Result<()> {
    unlinkat(directory, name, UnlinkatFlags::NoRemoveDir)
}
