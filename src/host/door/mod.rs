//! Who comes in at a listener, the control socket's or the TCP one: accepting (`entrance.rs`), how many at once (`room.rs`), for how
//! long (`guest.rs`), and how a connection ends (`linger.rs`).
//!
//! A connection costs nothing to make, so one that is of no use keeps nobody out: whoever comes when there is no place takes that of
//! the guest who has not asked for longest, else of the one who has left his answer unread for longest. Only where everybody asks
//! and reads is the newcomer turned away.

mod entrance;
mod guest;
mod linger;
mod room;

pub(crate) use entrance::{Entrance, Refusals};
pub(crate) use guest::{Guest, Times, Visit};
pub(crate) use room::{Room, Size};
