//! Nobody types for somebody else: a filter against pushing input into the terminal.
//!
//! Whose controlling terminal it is may push characters into it as if they had been typed there (where `dev.tty.legacy_tiocsti` is 1),
//! and the shell outside reads them when the command has ended. In a session of its own a shell has no job control, so the two calls
//! are refused instead; all descendants inherit that. A process outside the session was never allowed them.

use libc::{sock_filter, sock_fprog};
use nix::errno::Errno;

use crate::raw::check;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const ANSWER: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// Of `struct seccomp_data`.
const NUMBER: u32 = 0;
/// The lower half of the second argument: the kernel looks at no more of an ioctl's request.
const REQUEST: u32 = if cfg!(target_endian = "big") { 28 } else { 24 };

/// `ioctl` of 32-bit x86 and ARM programs, and that of x32. No other call of these numbers has such a second argument.
const FOREIGN_IOCTLS: [u32; 2] = [54, 0x4000_0202];
const TIOCLINUX: u32 = 0x541c;

const fn step(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

/// From now on this process and its descendants get EPERM for it.
///
/// # Errors
/// EACCES without `CAP_SYS_ADMIN`; EINVAL from a kernel without filters.
pub(crate) fn refuse() -> nix::Result<()> {
    let mut steps = [
        step(LOAD, NUMBER, 0, 0),
        step(EQUAL, libc::SYS_ioctl as u32, 2, 0),
        step(EQUAL, FOREIGN_IOCTLS[0], 1, 0),
        step(EQUAL, FOREIGN_IOCTLS[1], 0, 3),
        step(LOAD, REQUEST, 0, 0),
        step(EQUAL, libc::TIOCSTI as u32, 2, 0),
        step(EQUAL, TIOCLINUX, 1, 0),
        step(ANSWER, libc::SECCOMP_RET_ALLOW, 0, 0),
        step(ANSWER, libc::SECCOMP_RET_ERRNO | Errno::EPERM as u32, 0, 0),
    ];
    let program = sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    // SAFETY: the program and its steps outlive the call, which copies them.
    check(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) }).map(drop)
}
