//! The prober: a process of its own that asks mounts whether they live, and frees whoever hangs on one.
//!
//! A mount of FUSE answers truly only to its owner, so it must be asked with the owner's ids, and a process with these can be killed by
//! that owner: each such question is asked by a child of the prober's that lives for it alone (`sys/switch.rs`). A thread that hangs in
//! the kernel keeps its process from ending. So all this happens to a process that may die: it is the daemon's own program under the
//! hidden verb `prober`, at the other end of a socket, restarted when it dies, and it ends by itself when the daemon does.
//!
//! * `client.rs`: the daemon's side: asks, and keeps a prober alive to ask
//! * `conversation.rs`: requests and answers of one prober; `patience.rs`: how long it may be silent
//! * `standing.rs`: what the next prober is asked again
//! * `relief.rs`: what becomes of a prober that is not talked to any more
//! * `server.rs`: the prober's own side of the socket
//! * `look.rs`: one look at one mount, and who is to blame when it lasts
//! * `threads.rs`: the threads that look, and those among them that hang for nobody
//! * `late.rs`: what the kernel tells about a mount that does not answer
//! * `unasked.rs`: whether a mount that cannot be asked is dead
//! * `exits.rs`: the emergency exits of the FUSE connections of each life
//! * `instance.rs`: the processes of one life, never confused with a stranger's
//! * `start_trouble.rs`: how often it is said that none can be started
//! * `examine.rs`: who holds up the end of a life

mod client;
mod conversation;
mod examine;
mod exits;
mod instance;
mod late;
mod look;
mod patience;
mod protocol;
mod relief;
mod server;
mod standing;
mod start_trouble;
mod threads;
mod unasked;

pub(crate) use client::{Asker, Prober};
pub(crate) use protocol::{Answered, Examined, Inherited, Instance, Look};
pub use server::serve;
