//! Where the output of a vassal goes, as init is told.

use serde::{Deserialize, Serialize};

/// What is done with the output of hooks, daemons and app. The place itself came as an fd with init's birth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// What kind of place it is.
    pub sink: Sink,
    /// Bytes a second in the long run; the rest is dropped and counted. 0: no limit.
    pub rate: u64,
}

/// The place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sink {
    /// A directory: a file in it that is put aside when it is full.
    Directory {
        /// Bytes after which a file is full.
        size: u64,
        /// How many full ones are kept.
        keep: u32,
    },
    /// A stream that takes lines and gives them their time itself: systemd's journal.
    Lines,
}
