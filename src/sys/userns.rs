//! The ids of a new user namespace: every id of ours but one means the same in there.
//!
//! The one that is withheld, the highest, owns what no such namespace may read: see `sealed`. No account has it.
//!
//! Without a map all ids are nobody's, and root is not root: that is what uWSGI's `user` leaves behind, and its vassals end of
//! it. With the same numbers inside and outside, files keep their owners, and what the namespace takes away is what it is for:
//! capabilities reach no further than its own mounts, host name, network and processes.
//!
//! Only somebody of the parent namespace may map more than one id, and the thread that clones sleeps until the child has executed
//! its program. So a second thread writes the maps while the child waits for them: with no ids root executes nothing as root.
//! Where that thread cannot be made, nothing is: the birth fails as it does where no process can be made.

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

/// Writing two maps takes little.
const STACK: usize = 128 << 10;

/// Runs `clone`, which makes the child and sleeps until it runs its program. Meanwhile the maps are written when the child asks.
///
/// # Errors
/// Those of `clone`; EAGAIN also where the thread that writes the maps cannot be made.
pub(crate) fn with_maps<T>(pid: &AtomicI32, clone: impl FnOnce(Option<Dialogue>) -> Result<T, Errno>) -> Result<T, Errno> {
    let (ours, theirs) = UnixStream::pair().map_err(|e| errno(&e))?;
    std::thread::scope(|scope| {
        let dialogue = Dialogue { theirs: theirs.as_raw_fd(), ours: ours.as_raw_fd() };
        // Not `scope.spawn`, which panics where no thread is left.
        std::thread::Builder::new()
            .name("ids".into())
            .stack_size(STACK)
            .spawn_scoped(scope, move || serve(ours, pid))
            .map_err(|e| errno(&e))?;
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
        fs::write(format!("/proc/{pid}/{map}"), same(&ours(map)?)).map_err(|e| errno(&e))?;
    }
    Ok(())
}

fn ours(map: &str) -> nix::Result<String> {
    fs::read_to_string(format!("/proc/thread-self/{map}")).map_err(|e| errno(&e))
}

/// The user and the group that no user namespace of a vassal knows. None: we have so few ourselves that each may be somebody's.
pub(crate) fn withheld() -> (Option<u32>, Option<u32>) {
    let one = |map: &str| ours(map).ok().and_then(|ours| highest(&ranges(&ours)));
    (one("uid_map"), one("gid_map"))
}

/// Below are the ids of accounts, and `nobody`.
const ACCOUNTS: u32 = 65_535;

/// First and last id of each line `inside outside count`, as we know them.
fn ranges(map: &str) -> Vec<(u32, u32)> {
    let range = |line: &str| {
        let mut numbers = line.split_ascii_whitespace().map(str::parse::<u32>);
        let (first, count) = (numbers.next()?.ok()?, numbers.nth(1)?.ok()?);
        Some((first, first.checked_add(count.checked_sub(1)?)?))
    };
    map.lines().filter_map(range).collect()
}

fn highest(ranges: &[(u32, u32)]) -> Option<u32> {
    ranges.iter().map(|range| range.1).max().filter(|highest| *highest >= ACCOUNTS)
}

/// Our own map as the same ids in a namespace below ours, whose outside is our inside; all of them but the one that is withheld.
fn same(ours: &str) -> String {
    let ranges = ranges(ours);
    let withheld = highest(&ranges);
    let mut map = String::new();
    for (first, last) in ranges {
        let count = u64::from(last - first) + u64::from(Some(last) != withheld);
        if count > 0 {
            let _ = writeln!(map, "{first} {first} {count}"); // a String takes everything
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
    fn the_same_ids_but_the_highest() {
        assert_eq!(same("         0          0 4294967295\n"), "0 0 4294967294\n");
        assert_eq!(same("0 100000 65536\n70000 5 1\n"), "0 0 65536\n");
        assert_eq!(same("0 100000 65536\n"), "0 0 65535\n");
        assert_eq!(same("0 1000 1\n1 100000 1000\n"), "0 0 1\n1 1 1000\n", "each of so few may be somebody's");
        assert_eq!(same("0 1000 no\n"), "");
    }
}
