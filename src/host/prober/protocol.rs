//! What daemon and prober say to each other, in the frames of the treaty.

use liege_core::Health;
use serde::{Deserialize, Serialize};

/// Look at a mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ask {
    /// Comes back with the answer; answers come in any order.
    pub(crate) id: u64,
    /// A process whose root and mount namespace are meant.
    pub(crate) pid: i32,
    /// The path in that root.
    pub(crate) path: String,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) id: u64,
    pub(crate) probed: Probed,
}

/// One probe's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Probed {
    /// As the core understands it.
    pub(crate) health: Health,
    /// Microseconds from the start of its first system call, not from when it was asked for.
    pub(crate) micros: u64,
}
