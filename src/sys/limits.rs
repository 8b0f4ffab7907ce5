//! The limits a daemon of thousands of vassals raises for itself and must not hand down, and those a program is given.

use std::{
    fs, io,
    os::fd::{FromRawFd, OwnedFd, RawFd},
    ptr,
};

use crate::raw::check;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// `RLIMIT_NOFILE` of this process: soft, hard.
///
/// # Errors
/// None that the kernel documents for ourselves.
pub fn nofile() -> nix::Result<(u64, u64)> {
    getrlimit(Resource::RLIMIT_NOFILE)
}

/// Whether so many descriptors are left to this process. Needs none.
#[must_use]
pub fn are_descriptors_left(count: u64) -> bool {
    let Ok((soft, _)) = nofile() else { return false };
    // How many are open, since Linux 6.2; 0 before.
    match fs::metadata("/proc/self/fd").map_or(0, |directory| directory.len()) {
        0 => are_numbers_free_below(soft, count),
        open => soft.saturating_sub(open) >= count,
    }
}

/// The same, and asks no `/proc`.
#[must_use]
pub fn are_numbers_free(count: u64) -> bool {
    nofile().is_ok_and(|(soft, _)| are_numbers_free_below(soft, count))
}

/// So many descriptors, or as many as there are, to be dropped when some are needed. They lead nowhere.
#[must_use]
pub fn reserve(count: usize) -> Vec<OwnedFd> {
    let one = || {
        // SAFETY: numbers only.
        let fd = check(unsafe { libc::syscall(libc::SYS_eventfd2, 0, libc::EFD_CLOEXEC) }).ok()?;
        // SAFETY: the kernel has just made this fd for us.
        Some(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
    };
    std::iter::from_fn(one).take(count).collect()
}

/// Whether so many numbers below `end` are no open descriptor. The lowest are the likeliest to be open, and the least to be looked through where
/// there are enough.
fn are_numbers_free_below(end: u64, count: u64) -> bool {
    const AT_ONCE: usize = 256;
    let mut free = 0;
    let end = RawFd::try_from(end).unwrap_or(RawFd::MAX);
    for first in (0..end).step_by(AT_ONCE) {
        let some = (first..end).take(AT_ONCE);
        let mut polled: Vec<libc::pollfd> = some.map(|fd| libc::pollfd { fd, events: 0, revents: 0 }).collect();
        // SAFETY: the kernel writes the answers into these, which live across the call; a number that is not open is an answer.
        let answered = check(unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, 0) }.into());
        if answered.is_err() {
            return false;
        }
        free += polled.iter().filter(|one| one.revents & libc::POLLNVAL != 0).count() as u64;
        if free >= count {
            return true;
        }
    }
    false
}

/// The hard `RLIMIT_NPROC` of this process, for each user it starts something as; `u64::MAX` without one.
///
/// # Errors
/// None that the kernel documents for ourselves.
pub fn processes() -> nix::Result<u64> {
    getrlimit(Resource::RLIMIT_NPROC).map(|(_, hard)| hard)
}

/// Sets `RLIMIT_NOFILE`. Lowering the soft limit below what is open closes nothing.
///
/// # Errors
/// EPERM for a hard limit above the present one without `CAP_SYS_RESOURCE`.
pub fn set_nofile(soft: u64, hard: u64) -> nix::Result<()> {
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard)
}

/// Raises the soft limit of open files to the hard one. Gives what it was before: soft, hard.
///
/// # Errors
/// As [`set_nofile`].
pub fn raise_nofile() -> nix::Result<(u64, u64)> {
    let (soft, hard) = nofile()?;
    if soft < hard {
        set_nofile(hard, hard)?;
    }
    Ok((soft, hard))
}

/// Raises the soft limit of open files to `enough`, or to the hard limit where that is more; the hard one too where it is less and may be
/// raised (`CAP_SYS_RESOURCE` on the host).
///
/// # Errors
/// EPERM: it has the hard limit, which is less than that.
pub fn raise_nofile_to(enough: u64) -> nix::Result<()> {
    let (_, hard) = nofile()?;
    match set_nofile(hard.max(enough), hard.max(enough)) {
        Ok(()) => Ok(()),
        Err(errno) => set_nofile(hard, hard).and(Err(errno)),
    }
}

/// Raises the limits of open files and of processes for a process of many threads as far as the kernel lets it: beyond the hard limit where
/// it has `CAP_SYS_RESOURCE`.
///
/// # Errors
/// As [`set_nofile`].
pub fn raise_for_many() -> nix::Result<()> {
    setrlimit(Resource::RLIMIT_NPROC, libc::RLIM_INFINITY, libc::RLIM_INFINITY).ok(); // root is not bound by it
    let most = fs::read_to_string("/proc/sys/fs/nr_open").ok().and_then(|text| text.trim().parse().ok());
    match most.map(|most| set_nofile(most, most)) {
        Some(Ok(())) => Ok(()),
        Some(Err(_)) | None => raise_nofile().map(drop),
    }
}

/// `oom_score_adj` of this process, -1000 to 1000.
///
/// # Errors
/// No `/proc`.
pub fn oom_score_adj() -> io::Result<i16> {
    let text = fs::read_to_string("/proc/self/oom_score_adj")?;
    text.trim().parse().map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

/// Sets `oom_score_adj` of this process; children inherit it. Lower than ever before needs `CAP_SYS_RESOURCE`.
///
/// # Errors
/// No `/proc`, or EACCES.
pub fn set_oom_score_adj(adjust: i16) -> io::Result<()> {
    fs::write("/proc/self/oom_score_adj", adjust.to_string())
}

/// A bound of the process that sets it and of all it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Soft and hard limit of a resource of `setrlimit(2)`.
    Resource(Kind, u64),
    /// The nice value, -20 to 19.
    Nice(i32),
}

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `RLIMIT_AS`, bytes.
    AddressSpace,
    /// `RLIMIT_NPROC`, processes of the real user id.
    Processes,
    /// `RLIMIT_NOFILE`, one more than the highest fd.
    Files,
}

impl Bound {
    /// Sets it. Raw calls only, so a forked child may call it.
    ///
    /// # Errors
    /// EPERM above the hard limit without `CAP_SYS_RESOURCE`, or above `fs.nr_open`; EACCES for a nice value below the present
    /// one without `CAP_SYS_NICE`.
    pub(crate) fn set(self) -> nix::Result<()> {
        match self {
            Self::Resource(kind, limit) => {
                let resource = match kind {
                    Kind::AddressSpace => libc::RLIMIT_AS,
                    Kind::Processes => libc::RLIMIT_NPROC,
                    Kind::Files => libc::RLIMIT_NOFILE,
                };
                set(resource as i32, [limit; 2])
            }
            // SAFETY: numbers only.
            Self::Nice(value) => check(unsafe { libc::syscall(libc::SYS_setpriority, libc::PRIO_PROCESS, 0, value) }).map(drop),
        }
    }
}

/// Sets `RLIMIT_NOFILE`, soft and hard, as [`Bound::set`] does.
///
/// # Errors
/// As [`set_nofile`].
pub(crate) fn take_nofile((soft, hard): (u64, u64)) -> nix::Result<()> {
    set(libc::RLIMIT_NOFILE as i32, [soft, hard])
}

/// A raw call.
fn set(resource: i32, soft_and_hard: [u64; 2]) -> nix::Result<()> {
    // SAFETY: two words that outlive the call, which only reads them; nothing is asked for.
    check(unsafe { libc::syscall(libc::SYS_prlimit64, 0, resource, soft_and_hard.as_ptr(), ptr::null::<u8>()) }).map(drop)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    /// By both ways, wherever the free numbers are.
    #[test]
    fn how_many_descriptors_are_left_is_found_out_without_one() {
        set_nofile(600, 600).unwrap();
        let mut held: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        let left = |count| [are_descriptors_left(count), are_numbers_free(count)];
        assert_eq!([left(0), left(1)], [[true; 2], [false; 2]]);
        held.drain(5..15);
        held.truncate(held.len() - 10);
        assert_eq!([left(20), left(21)], [[true; 2], [false; 2]]);
        let reserve = reserve(15);
        assert_eq!([left(5), left(6)], [[true; 2], [false; 2]]);
        drop(reserve);
        assert_eq!([left(20), left(21)], [[true; 2], [false; 2]]);
    }

    #[test]
    fn raising_gives_back_what_was() {
        let before = nofile().unwrap();
        assert_eq!(raise_nofile().unwrap(), before);
        assert_eq!(nofile().unwrap(), (before.1, before.1));
        set_nofile(before.0, before.1).unwrap();
    }

    #[test]
    fn as_many_as_are_needed_is_never_fewer_than_before() {
        let before = nofile().unwrap();
        raise_nofile_to(before.1 - 1).unwrap();
        assert_eq!(nofile().unwrap(), (before.1, before.1));
        set_nofile(40, before.1).unwrap();
        // Not where the right to more is missing.
        let most = before.1 + u64::from(raise_nofile_to(before.1 + 1).is_ok());
        assert_eq!(nofile().unwrap(), (most, most));
        set_nofile(before.0, before.1).unwrap();
    }

    #[test]
    fn many_is_never_fewer_than_before() {
        let before = nofile().unwrap();
        raise_for_many().unwrap();
        let now = nofile().unwrap();
        assert!(now.0 == now.1 && now.1 >= before.1, "{now:?}");
        set_nofile(before.0, before.1).unwrap();
    }

    #[test]
    fn the_oom_score_is_a_small_number() {
        let now = oom_score_adj().unwrap();
        assert!((-1000..=1000).contains(&now));
        set_oom_score_adj(now).unwrap();
    }
}
