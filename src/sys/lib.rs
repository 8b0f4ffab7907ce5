//! The kernel room: every system call that has no safe name elsewhere, one concept to a file.
//!
//! The only room with `unsafe` in it. What goes out is safe and typed: numbers, fds with owners, borrowed strings that
//! were terminated before they came here. Errors are the kernel's own errno together with the stage that met it; the
//! words for people are found higher up, where the file and the line that asked are known.
//!
//! Deliberately not here: any decision, any thread, any runtime, and any look-up of names (NSS).
#![allow(unsafe_code, reason = "this is the one room that talks to the kernel by hand")]
#![warn(clippy::undocumented_unsafe_blocks, clippy::multiple_unsafe_ops_per_block)]

mod asker;
mod condition;
mod follow;
mod inside;
mod lines;
mod place;
mod raw;
mod sock_diag;
mod stat;
mod statx;
mod strings;
mod switch;
mod userns;
mod vfork;

pub mod attempt;
pub mod block;
pub mod caps;
pub mod cgroup;
pub mod clone;
pub mod descendants;
pub mod detached;
pub mod dir;
pub mod enter;
pub mod escape;
pub mod fds;
pub mod fuse_daemon;
pub mod fusectl;
pub mod handed;
pub mod identity;
pub mod insiders;
pub mod join;
pub mod lease;
pub mod limits;
pub mod loop_device;
pub mod made_for;
pub mod mark;
pub mod memory;
pub mod mount;
pub mod mountinfo;
pub mod network;
pub mod peer;
pub mod pidfd;
pub mod pipe;
pub mod poll;
pub mod probe;
pub mod process;
pub mod processes;
pub mod programs;
pub mod reserve;
pub mod sealed;
pub mod signals;
pub mod sockets;
pub mod status;
pub mod stream;
pub mod subreaper;
pub mod unshare;
pub mod usage;
pub mod wait;
pub mod waitfor;

pub use nix::errno::Errno;
pub use strings::Strings;
