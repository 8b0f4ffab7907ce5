//! When the next walk over the place is due. One at a time, and never a storm of them.

use std::time::Duration;

use tokio::time::Instant;

/// Between two scans asked for by signs: a storm of them must not become a storm of scans.
pub(super) const SCANS_APART: Duration = Duration::from_millis(50);
/// A base that is gone may be on its way back (replaced by rename): it is believed at the second scan.
const SECOND_SCAN: Duration = Duration::from_millis(200);

/// The scans of one monitor.
#[derive(Debug, Default)]
pub(super) struct Scans {
    due: Option<Instant>,
    in_flight: bool,
    last: Option<Instant>,
    /// The last scan did not find the base.
    pub(super) base_was_missing: bool,
}

impl Scans {
    /// One at this time, or when the last one is old enough.
    pub(super) fn ask(&mut self, at: Instant) {
        let earliest = self.last.map_or(at, |last| at.max(last + SCANS_APART));
        self.due = Some(self.due.map_or(earliest, |due| due.min(earliest)));
    }

    /// When the next one wants to begin; None while one is under way.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due.filter(|_| !self.in_flight)
    }

    /// Begins one that is due.
    pub(super) fn begin(&mut self, now: Instant) -> bool {
        let begins = self.due().is_some_and(|due| due <= now);
        if begins {
            self.due = None;
            self.in_flight = true;
        }
        begins
    }

    /// One is done.
    pub(super) fn finish(&mut self, now: Instant, base_missing: bool) {
        self.in_flight = false;
        self.last = Some(now);
        if base_missing && !self.base_was_missing {
            self.ask(now + SECOND_SCAN);
        }
        self.base_was_missing = base_missing;
    }
}
