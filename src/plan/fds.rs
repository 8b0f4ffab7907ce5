//! The numbers under which init finds what it was given.

/// The socket to the host.
pub const CHANNEL: i32 = 3;

/// The place of its vassal's log, or an end of a socket through which it comes later; nothing where programs write where init would.
pub const LOG: i32 = 4;
