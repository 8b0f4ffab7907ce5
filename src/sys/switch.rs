//! One thread wears another identity for the length of a call.
//!
//! A FUSE file system without `allow_other` answers only a thread whose real, effective and saved ids are all its owner's.
//! `SECBIT_NO_SETUID_FIXUP` keeps the capabilities through the change, so the way back is open.
//!
//! Danger, known and accepted: while it lasts, that owner may kill this thread and with it the whole process. So this is
//! called in the prober only, which may die. libc's wrappers would change every thread; these are the raw calls.

use nix::errno::Errno;

use crate::{identity::ids, raw::check};

/// Runs `work` with all three uids and gids of the calling thread set to these, and comes back. If the way back fails the
/// process aborts: a thread left in a tenant's identity must do nothing more.
///
/// # Errors
/// EPERM without `CAP_SETPCAP`, `CAP_SETUID` and `CAP_SETGID`.
pub(crate) fn worn_by<T>(uid: u32, gid: u32, work: impl FnOnce() -> T) -> Result<T, Errno> {
    let uids = ids(libc::SYS_getresuid)?;
    let gids = ids(libc::SYS_getresgid)?;
    if uids == [uid; 3] && gids == [gid; 3] {
        return Ok(work());
    }
    let bits = securebits()?;
    set_securebits(bits | libc::SECBIT_NO_SETUID_FIXUP)?;
    // The group first, as on every way down; nothing is lost on the way here, but it reads the same everywhere.
    let there = set(libc::SYS_setresgid, [gid; 3]).and_then(|()| set(libc::SYS_setresuid, [uid; 3]));
    let result = there.map(|()| work());
    let back = set(libc::SYS_setresuid, uids).and_then(|()| set(libc::SYS_setresgid, gids)).and_then(|()| set_securebits(bits));
    if back.is_err() {
        std::process::abort();
    }
    result
}

fn set(call: libc::c_long, [real, effective, saved]: [u32; 3]) -> Result<(), Errno> {
    // SAFETY: numbers only; changes the calling thread alone.
    check(unsafe { libc::syscall(call, real, effective, saved) }).map(drop)
}

fn securebits() -> Result<i32, Errno> {
    // SAFETY: numbers only.
    Errno::result(unsafe { libc::prctl(libc::PR_GET_SECUREBITS, 0, 0, 0, 0) })
}

fn set_securebits(bits: i32) -> Result<(), Errno> {
    // SAFETY: numbers only; changes the calling thread alone.
    Errno::result(unsafe { libc::prctl(libc::PR_SET_SECUREBITS, bits as libc::c_ulong, 0, 0, 0) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caps;

    #[test]
    fn the_thread_wears_all_three_ids_and_comes_back_as_it_was() {
        let state = || {
            let ids = (ids(libc::SYS_getresuid), ids(libc::SYS_getresgid));
            (ids, caps::get(), securebits())
        };
        let before = state();
        let within = worn_by(54_321, 54_322, || (ids(libc::SYS_getresuid), ids(libc::SYS_getresgid), caps::get()));
        assert_eq!(within, Ok((Ok([54_321; 3]), Ok([54_322; 3]), before.1)), "ids change, capabilities stay");
        assert_eq!(state(), before);
    }

    #[test]
    fn other_threads_keep_their_identity() {
        let elsewhere = || std::thread::scope(|s| s.spawn(|| ids(libc::SYS_getresuid)).join().unwrap());
        let before = elsewhere();
        let (come, go) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
        std::thread::scope(|s| {
            s.spawn(|| {
                worn_by(54_321, 54_322, || {
                    come.wait();
                    go.wait();
                })
            });
            come.wait();
            assert_eq!(ids(libc::SYS_getresuid), before);
            go.wait();
        });
    }
}
