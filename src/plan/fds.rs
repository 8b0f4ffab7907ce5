//! The numbers under which init finds what it was given.

/// The socket to the host.
pub const CHANNEL: i32 = 3;

/// The place of its vassal's log, where it has one.
pub const LOG: i32 = 4;
