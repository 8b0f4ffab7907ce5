//! The limits a daemon of thousands of vassals raises for itself and must not hand down, and those a program is given.

use std::{
    fs, io,
    os::fd::{FromRawFd, OwnedFd},
    ptr,
};

use crate::raw::check;
use nix::{
    fcntl::{FcntlArg, fcntl},
    sys::resource::{Resource, getrlimit, setrlimit},
};

/// `RLIMIT_NOFILE` of this process: soft, hard.
///
/// # Errors
/// None that the kernel documents for ourselves.
pub fn nofile() -> nix::Result<(u64, u64)> {
    getrlimit(Resource::RLIMIT_NOFILE)
}

/// Whether this process may still open so many files. The kernel gives the lowest free number: as long as a number is free, so are those above
/// it, but for those that were opened before and kept.
#[must_use]
pub fn are_descriptors_left(count: u64) -> bool {
    let Ok((soft, _)) = nofile() else { return false };
    let Some(wanted) = soft.checked_sub(count).and_then(|number| i32::try_from(number).ok()) else { return false };
    match fcntl(io::stderr(), FcntlArg::F_DUPFD_CLOEXEC(wanted)) {
        Ok(number) => {
            // SAFETY: `fcntl` has just made the descriptor for us, and nothing else knows its number.
            drop(unsafe { OwnedFd::from_raw_fd(number) });
            number == wanted
        }
        Err(_) => false,
    }
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
                let both = [limit; 2]; // struct rlimit64: soft, hard
                // SAFETY: two words that outlive the call, which only reads them; nothing is asked for.
                check(unsafe { libc::syscall(libc::SYS_prlimit64, 0, resource, both.as_ptr(), ptr::null::<u8>()) }).map(drop)
            }
            // SAFETY: numbers only.
            Self::Nice(value) => check(unsafe { libc::syscall(libc::SYS_setpriority, libc::PRIO_PROCESS, 0, value) }).map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raising_gives_back_what_was() {
        let before = nofile().unwrap();
        assert_eq!(raise_nofile().unwrap(), before);
        assert_eq!(nofile().unwrap(), (before.1, before.1));
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
