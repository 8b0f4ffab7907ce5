//! A log that could not be had at a vassal's birth: tried for again while it lives, and handed to its init when it is there.
//!
//! Through a socket of its own, which init holds in the log's place. A try that meets a dead disk keeps a thread until the disk answers;
//! few may, and births have theirs apart.

use std::{os::fd::OwnedFd, sync::Arc, time::Duration};

use liege_core::Name;
use liege_sys::handed;
use tokio::time::sleep;

use super::{Log, VassalLogs};

/// A log that cannot be had is tried for again after so long.
const AGAIN: Duration = Duration::from_secs(5);

/// The host's side.
#[derive(Debug)]
pub(crate) struct Promise {
    logs: Arc<VassalLogs>,
    vassal: Name,
    log: Log,
    end: OwnedFd,
}

impl Promise {
    pub(super) fn new(logs: Arc<VassalLogs>, vassal: Name, log: Log, end: OwnedFd) -> Self {
        Self { logs, vassal, log, end }
    }

    /// Tries until it is kept. To be dropped with the life it was given to.
    pub(crate) async fn keep(self) {
        let Self { logs, vassal, log, end } = self;
        let place = loop {
            sleep(AGAIN).await;
            if let Ok(place) = log.had_by(&logs.late_births).await {
                break place;
            }
        };
        if handed::give(&end, &place).is_ok() {
            logs.goes(&vassal, log.elsewhere());
            tracing::info!(target: "vassal", vassal = &*vassal, "its log in {} can be had: what it says is written again", log.shown());
        }
    }
}
