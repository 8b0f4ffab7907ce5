//! Who comes in at a listener, the control socket's or the TCP one: how many at once (`room.rs`), and for how long (`guest.rs`).
//!
//! A connection costs nothing to make, so one that is of no use keeps nobody out: whoever comes when there is no place takes that of
//! the guest who has not asked for longest, else of the one who has left his answer unread for longest. Only where everybody asks
//! and reads is the newcomer turned away.

mod guest;
mod room;

pub(crate) use guest::{Guest, Times, Visit};
pub(crate) use room::{Room, Size};
