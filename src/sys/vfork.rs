//! `clone3` as `vfork` does it: the child borrows the parent's memory until it executes its program.
//!
//! Copying a daemon's page tables costs about 4 ms per 100 MB, for a child that throws them away at once; borrowed memory
//! costs nothing, however large the daemon. The price is care: the child runs on a stack of its own (two processes on one
//! stack would return into each other's calls), and the calling thread sleeps until the child has executed or ended, so
//! what the child reads and writes of that thread's belongs to it alone meanwhile. libc's `vfork` and `clone` know neither
//! 64-bit flags nor namespaces by pidfd, so the few instructions around the system call are written out here.

use std::{
    ffi::c_void,
    os::fd::{AsRawFd, BorrowedFd, RawFd},
    ptr,
    sync::atomic::AtomicI32,
};

use nix::errno::Errno;

use crate::raw::{CLONE_CLEAR_SIGHAND, CLONE_INTO_CGROUP};

/// Enough for raw calls and their arguments, in a build without optimisation too.
pub(crate) const STACK: usize = 32 << 10;

/// `struct clone_args`, third version; a kernel that knows less minds only what is not zero.
#[repr(C, align(8))]
struct Args {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// What the child does with its data, and whether the kernel has cleared the parent's handlers for it. Never returns.
/// SAFETY: a function type; what its caller guarantees stands at [`spawn`], the only one there is.
pub(crate) type Work = unsafe extern "C" fn(data: *mut c_void, handlers_are_clear: bool) -> !;

/// Makes the child, in a control group if one is given, runs `work` in it, and comes back when it has executed a program or
/// ended: its pid and its pidfd. Its pid stands in `pid_first` before `work` begins, for whoever must know while we sleep.
///
/// # Safety
/// All signals are blocked in this thread. `work` makes raw calls only, allocates and locks nothing, and leaves by exec or
/// `_exit`; `data` is valid for it.
pub(crate) unsafe fn spawn(
    flags: u64,
    cgroup: Option<BorrowedFd<'_>>,
    pid_first: &AtomicI32,
    work: Work,
    data: *mut c_void,
) -> Result<(i32, RawFd), Errno> {
    let mut stack = vec![0u128; STACK / size_of::<u128>()]; // aligned to 16, as a call wants it
    let into = if cgroup.is_some() { CLONE_INTO_CGROUP } else { 0 };
    let own = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::CLONE_PARENT_SETTID;
    let flags = flags | into | own as u64;
    let mut pidfd: RawFd = -1;
    let mut args = Args {
        flags: flags | CLONE_CLEAR_SIGHAND,
        pidfd: ptr::from_mut(&mut pidfd) as u64,
        child_tid: 0,
        parent_tid: pid_first.as_ptr() as u64,
        exit_signal: libc::SIGCHLD as u64,
        stack: stack.as_mut_ptr() as u64,
        stack_size: STACK as u64,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: cgroup.map_or(0, |fd| fd.as_raw_fd() as u64),
    };
    // SAFETY: the block and the stack outlive the child's use of them, because this thread sleeps until then; the rest is
    // the caller's promise.
    let mut pid = unsafe { enter(&raw const args, work, data, true) };
    if pid == -i64::from(libc::EINVAL) {
        // An older kernel knows no cleared handlers; flags that contradict each other get the same answer again.
        args.flags = flags;
        // SAFETY: as above.
        pid = unsafe { enter(&raw const args, work, data, false) };
    }
    drop(stack);
    if pid < 0 { Err(Errno::from_raw(-pid as i32)) } else { Ok((pid as i32, pidfd)) }
}

/// Makes a child that shares the caller's memory and runs `work` beside it, on a stack of its own. No signal tells of its end: it is
/// waited for by its pid, with `__WALL`.
///
/// # Safety
/// As [`spawn`]; beyond that, `stack` and `data` outlive the child, and the caller touches neither meanwhile. Both write the same
/// `errno`: the caller makes no call that may fail before it has waited for the child.
pub(crate) unsafe fn beside(flags: u64, stack: &mut [u128], work: Work, data: *mut c_void) -> Result<i32, Errno> {
    let args = Args {
        flags: flags | libc::CLONE_VM as u64,
        pidfd: 0,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: 0,
        stack: stack.as_mut_ptr() as u64,
        stack_size: size_of_val(stack) as u64,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: 0,
    };
    // SAFETY: the caller's promise; the block is read by the kernel only.
    let pid = unsafe { enter(&raw const args, work, data, false) };
    if pid < 0 { Err(Errno::from_raw(-pid as i32)) } else { Ok(pid as i32) }
}

/// The system call; in the child, on the new stack, a call of `work`. Gives the kernel's answer.
///
/// # Safety
/// As [`spawn`]; `args` names a stack.
#[cfg(target_arch = "x86_64")]
unsafe fn enter(args: *const Args, work: Work, data: *mut c_void, clear: bool) -> i64 {
    let answer: i64;
    // SAFETY: the kernel changes rax, rcx and r11 and keeps the rest, r12 to r14 in the child too. The child never comes out
    // of this block: it zeroes the frame pointer, so that a walk of its stack ends, and calls `work` on an aligned stack.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r13",
            "mov rsi, r14",
            "call r12",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 => answer,
            in("rdi") args,
            in("rsi") size_of::<Args>(),
            in("r12") work,
            in("r13") data,
            in("r14") u64::from(clear),
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    answer
}

/// As above.
///
/// # Safety
/// As above.
#[cfg(target_arch = "aarch64")]
unsafe fn enter(args: *const Args, work: Work, data: *mut c_void, clear: bool) -> i64 {
    let answer: i64;
    // SAFETY: the kernel changes x0 and keeps the rest, x9 to x11 in the child too. The child never comes out of this
    // block: it zeroes the frame pointer and calls `work` on an aligned stack.
    unsafe {
        std::arch::asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x0, x10",
            "mov x1, x11",
            "blr x9",
            "brk 1",
            "2:",
            inlateout("x0") args => answer,
            in("x1") size_of::<Args>(),
            in("x8") libc::SYS_clone3,
            in("x9") work,
            in("x10") data,
            in("x11") u64::from(clear),
        );
    }
    answer
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("the clone shim knows how to enter a child on x86_64 and aarch64");
