//! The prober: a process of its own that asks mounts whether they live, and frees whoever hangs on one.
//!
//! A mount of FUSE answers truly only to its owner, so a thread must wear the owner's ids, and a thread that does can be
//! killed by that owner, which ends its whole process; one that hangs in the kernel keeps its process from ending. So both
//! happen to a process that may die: it is the daemon's own program under the hidden verb `prober`, at the other end of a
//! socket, restarted when it dies, and it ends by itself when the daemon does.
//!
//! * `client.rs`: the daemon's side: asks, and keeps a prober alive to ask
//! * `server.rs`: the prober's own side of the socket
//! * `look.rs`: one look at one mount, and who is to blame when it lasts
//! * `late.rs`: what the kernel tells about a mount that does not answer
//! * `exits.rs`: the emergency exits of the FUSE connections of each life
//! * `examine.rs`: who holds up the end of a life

mod client;
mod examine;
mod exits;
mod late;
mod look;
mod protocol;
mod server;

pub(crate) use client::{Asker, Prober};
pub(crate) use protocol::{Instance, Look};
pub use server::serve;
