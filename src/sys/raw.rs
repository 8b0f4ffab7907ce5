//! What happens between clone and exec: raw system calls and nothing else.
//!
//! The parent may have many threads, so the child's heap may be locked for ever and its libc half-way through anything.
//! Nothing here allocates, locks, or asks libc for more than `syscall` and `_exit`; whatever needs memory was laid out
//! before the clone. A failure goes back as (stage, errno) through a pipe that closes itself on exec.

use std::{
    ffi::{c_char, c_int, c_long},
    os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd},
    ptr,
};

use nix::{errno::Errno, fcntl::OFlag, unistd::pipe2};

/// Not in every libc header; kernel ABI since Linux 5.5.
pub(crate) const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;

/// The same, since Linux 5.7.
pub(crate) const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Where the child is in its short life before exec.
pub(crate) type Stage = u32;

/// One fd on its way into the child: where it is now, where it goes.
pub(crate) type Move = (RawFd, RawFd);

/// The two sides of a fork.
pub(crate) enum Side {
    /// Here is the child's pid.
    Parent(i32),
    /// Make raw calls only.
    Child,
}

/// A fork past libc, with clone flags of the kind that share something: nothing of libc's bookkeeping runs in the child.
///
/// # Safety
/// On [`Side::Child`] the caller makes raw calls only where the parent has other threads, and leaves by exec, [`leave`] or
/// `_exit`. The flags name neither memory nor a stack.
pub(crate) unsafe fn fork(flags: u64) -> Result<Side, Errno> {
    // struct clone_args, first version: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls
    let mut args = [0u64; 8];
    args[0] = flags;
    args[4] = libc::SIGCHLD as u64;
    // SAFETY: the block is as long as we say and outlives the call; no stack and no CLONE_VM, so the child goes on here in
    // its own copy of the memory, and the caller keeps to what it promised.
    match unsafe { libc::syscall(libc::SYS_clone3, args.as_ptr(), size_of_val(&args)) } {
        -1 => Err(Errno::last()),
        0 => Ok(Side::Child),
        pid => Ok(Side::Parent(pid as i32)),
    }
}

/// The pipe a failure comes back through: (the parent's end, the child's end).
pub(crate) fn report_pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    pipe2(OFlag::O_CLOEXEC)
}

/// What the pipe says: nothing when it was closed by exec, else the stage and the errno.
pub(crate) fn read_report(pipe: BorrowedFd<'_>) -> Option<(Stage, i32)> {
    let mut bytes = [0; 8];
    loop {
        match nix::unistd::read(pipe, &mut bytes) {
            Ok(8) => break,
            Err(Errno::EINTR) => {}
            Ok(_) | Err(_) => return None,
        }
    }
    let [a, b, c, d, e, f, g, h] = bytes;
    Some((u32::from_ne_bytes([a, b, c, d]), i32::from_ne_bytes([e, f, g, h])))
}

/// In the child: says where it failed and ends.
pub(crate) fn leave(pipe: RawFd, stage: Stage, errno: Errno) -> ! {
    leave_with(pipe, stage, errno as i32)
}

/// In the child: the same with any number.
pub(crate) fn leave_with(pipe: RawFd, stage: Stage, number: i32) -> ! {
    let words = [stage, number as u32];
    // SAFETY: eight bytes that live across the call; a pipe takes so few at once.
    unsafe { libc::syscall(libc::SYS_write, pipe, words.as_ptr(), size_of_val(&words)) };
    // SAFETY: ends this process without running anything of the parent's.
    unsafe { libc::_exit(127) }
}

/// A raw call whose -1 means errno.
pub(crate) fn check(answer: c_long) -> Result<c_long, Errno> {
    if answer == -1 { Err(Errno::last()) } else { Ok(answer) }
}

/// In the child: puts each fd where it belongs and marks all others close-on-exec. Sources and targets may overlap: every
/// source (and each of `keep`, which has no target) is first lifted above all targets. `moves` and `keep` are written to.
pub(crate) fn arrange(moves: &mut [Move], keep: &mut [RawFd]) -> Result<(), Errno> {
    let floor = moves.iter().map(|m| m.1).max().unwrap_or(-1) + 1;
    let wander = moves.iter_mut().filter(|m| m.0 != m.1).map(|m| &mut m.0);
    for fd in wander.chain(keep) {
        if *fd < floor {
            // SAFETY: numbers only; a new fd is made, none is closed.
            *fd = check(unsafe { libc::syscall(libc::SYS_fcntl, *fd, libc::F_DUPFD_CLOEXEC, floor) })? as RawFd;
        }
    }
    // SAFETY: numbers only. The flag closes nothing yet, so a failure can still be reported.
    check(unsafe { libc::syscall(libc::SYS_close_range, 0, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) })?;
    for &(from, to) in &*moves {
        if from == to {
            // SAFETY: numbers only.
            check(unsafe { libc::syscall(libc::SYS_fcntl, to, libc::F_SETFD, 0) })?;
        } else {
            // SAFETY: numbers only; what is closed under `to` is the child's own copy, lifted before if it was needed.
            check(unsafe { libc::syscall(libc::SYS_dup3, from, to, 0) })?;
        }
    }
    Ok(())
}

/// In a child: closes every fd but these, which are in ascending order.
pub(crate) fn close_all_but(keep: &[RawFd]) {
    let mut first = 0;
    for &fd in keep {
        if fd > first {
            // SAFETY: numbers only; the child owns its copies of the fds and uses no other than those it keeps.
            unsafe { libc::syscall(libc::SYS_close_range, first, fd - 1, 0) };
        }
        first = fd + 1;
    }
    // SAFETY: as above.
    unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
}

/// In a child of `parent`: SIGKILL when the thread that forked it ends, which a change of credentials takes back.
pub(crate) fn die_with(parent: i32) -> Result<(), Errno> {
    // SAFETY: numbers only.
    check(unsafe { libc::syscall(libc::SYS_prctl, libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) })?;
    // SAFETY: no arguments. One that died before this call sends nothing any more.
    let now = unsafe { libc::syscall(libc::SYS_getppid) };
    if now == c_long::from(parent) { Ok(()) } else { Err(Errno::ESRCH) }
}

/// Every signal back to its default action, the ignored ones too: exec alone would leave those ignored.
pub(crate) fn default_handlers() {
    let default = [0u64; 4]; // struct sigaction of the kernel: SIG_DFL, no flags, no restorer, empty mask
    for signal in 1..=64 {
        // SAFETY: the block is as long as the kernel reads; KILL and STOP answer EINVAL, which is as well.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), ptr::null::<u8>(), 8) };
    }
}

/// The calling thread's signal mask, emptied.
pub(crate) fn clear_mask() {
    let none = 0u64;
    // SAFETY: eight bytes, as long as the kernel's set; nothing is written back.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const none, ptr::null::<u8>(), 8) };
}

/// `execveat` of an open file, or of a path where `fd` is `AT_FDCWD`. Comes back only to say why not.
pub(crate) fn exec(fd: RawFd, path: *const c_char, argv: *const *const c_char, env: *const *const c_char) -> Errno {
    let flags: c_int = if fd == libc::AT_FDCWD { 0 } else { libc::AT_EMPTY_PATH };
    // SAFETY: callers pass the terminated strings and vectors of `Strings` or `CStr`s, which outlive the call.
    unsafe { libc::syscall(libc::SYS_execveat, fd, path, argv, env, flags) };
    Errno::last()
}

/// The fds of a spawn as numbers, in memory the child may write to.
pub(crate) fn moves(fds: &[(BorrowedFd<'_>, RawFd)]) -> Vec<Move> {
    fds.iter().map(|(fd, to)| (fd.as_raw_fd(), *to)).collect()
}
