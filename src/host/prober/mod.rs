//! The prober: a process of its own that asks mounts whether they live.
//!
//! A mount of FUSE answers truly only to its owner, so a thread must wear the owner's ids, and a thread that does can be
//! killed by that owner, which ends its whole process; one that hangs in the kernel keeps its process from ending. So both
//! happen to a process that may die: it is the daemon's own program under the hidden verb `prober`, at the other end of a
//! socket, restarted when it dies, and it ends by itself when the daemon does.

mod client;
mod protocol;
mod server;

pub(crate) use client::{Asker, Prober};
pub(crate) use protocol::Probed;
pub use server::serve;
