//! The ids of a new user namespace: every id of ours means the same in there.
//!
//! Without a map all ids are nobody's, and root is not root: that is what uWSGI's `user` leaves behind, and its vassals end of
//! it. With the same numbers inside and outside, files keep their owners, and what the namespace takes away is what it is for:
//! capabilities reach no further than its own mounts, host name, network and processes.
//!
//! Only somebody of the parent namespace may map more than one id, and the thread that clones sleeps until the child has executed
//! its program. So a second thread writes the maps while the child waits for them: with no ids root executes nothing as root.

use std::{
    fmt::Write as _,
    fs,
    io::{Read, Write as _},
    os::{
        fd::{AsRawFd, RawFd},
        unix::net::UnixStream,
    },
    sync::atomic::{AtomicI32, Ordering},
};

use nix::errno::Errno;

use crate::raw::check;

/// The child's end of the dialogue, and ours, which it must close: as numbers, in memory both share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialogue {
    theirs: RawFd,
    ours: RawFd,
}

/// Runs `clone`, which makes the child and sleeps until it runs its program. Meanwhile the maps are written when the child asks.
pub(crate) fn with_maps<T>(pid: &AtomicI32, clone: impl FnOnce(Option<Dialogue>) -> Result<T, Errno>) -> Result<T, Errno> {
    let (ours, theirs) = UnixStream::pair().map_err(|e| errno(&e))?;
    std::thread::scope(|scope| {
        let dialogue = Dialogue { theirs: theirs.as_raw_fd(), ours: ours.as_raw_fd() };
        scope.spawn(move || serve(ours, pid));
        let made = clone(Some(dialogue));
        drop(theirs); // a child that never asked: nobody waits for it any more
        made
    })
}

fn serve(mut ours: UnixStream, pid: &AtomicI32) {
    if ours.read_exact(&mut [0]).is_err() {
        return;
    }
    let answer = map_as_here(pid.load(Ordering::Acquire)).map_or_else(|errno| errno as i32, |()| 0);
    let _ = ours.write_all(&answer.to_ne_bytes()); // it may have been killed
}

/// In the child: waits for its maps. Raw calls only.
pub(crate) fn await_maps(dialogue: Dialogue) -> Result<(), Errno> {
    // SAFETY: numbers only; the child's own copy, so that the daemon's end is seen.
    unsafe { libc::syscall(libc::SYS_close, dialogue.ours) };
    let mut answer = [0u8; 4];
    // SAFETY: one byte that is only read.
    check(unsafe { libc::syscall(libc::SYS_write, dialogue.theirs, answer.as_ptr(), 1) })?;
    // SAFETY: four bytes that outlive the call; a stream socket carries so few at once.
    match check(unsafe { libc::syscall(libc::SYS_read, dialogue.theirs, answer.as_mut_ptr(), answer.len()) })? {
        4 if answer == [0; 4] => Ok(()),
        4 => Err(Errno::from_raw(i32::from_ne_bytes(answer))),
        _ => Err(Errno::EPIPE),
    }
}

/// Writes both maps of a process that is alone in its new user namespace.
///
/// # Errors
/// EPERM without `CAP_SETUID` and `CAP_SETGID`; EPERM also where they were written before.
fn map_as_here(pid: i32) -> nix::Result<()> {
    for map in ["uid_map", "gid_map"] {
        let ours = fs::read_to_string(format!("/proc/thread-self/{map}")).map_err(|e| errno(&e))?;
        fs::write(format!("/proc/{pid}/{map}"), same(&ours)).map_err(|e| errno(&e))?;
    }
    Ok(())
}

/// `inside outside count` of our own map, as the same ids in a namespace below ours: its outside is our inside.
fn same(ours: &str) -> String {
    let mut map = String::new();
    for line in ours.lines() {
        let mut numbers = line.split_ascii_whitespace();
        if let (Some(inside), Some(_), Some(count)) = (numbers.next(), numbers.next(), numbers.next()) {
            let _ = writeln!(map, "{inside} {inside} {count}"); // a String takes everything
        }
    }
    map
}

fn errno(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_ids_below_a_namespace_that_has_a_few() {
        assert_eq!(same("         0          0 4294967295\n"), "0 0 4294967295\n");
        assert_eq!(same("0 100000 65536\n70000 5 1\n"), "0 0 65536\n70000 70000 1\n");
    }
}
