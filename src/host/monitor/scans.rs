//! When the next walk over the place is due. One at a time, and never a storm of them.

use std::time::Duration;

use tokio::time::Instant;

/// Between two scans asked for by signs: a storm of them must not become a storm of scans.
pub(super) const SCANS_APART: Duration = Duration::from_millis(50);
/// A base that is gone may be on its way back (replaced by rename): it is believed at the second scan.
const SECOND_SCAN: Duration = Duration::from_millis(200);
/// Where one scan follows the other they come ever more rarely.
const MOST_APART: Duration = Duration::from_secs(2);

/// The scans of one monitor.
#[derive(Debug, Default)]
pub(super) struct Scans {
    due: Option<Instant>,
    in_flight: bool,
    last: Option<Instant>,
    /// Between the last one and the next.
    apart: Duration,
    /// The last scan did not find the base.
    pub(super) base_was_missing: bool,
}

impl Scans {
    /// One at this time, or when the last one is old enough.
    pub(super) fn ask(&mut self, at: Instant) {
        let earliest = self.last.map_or(at, |last| at.max(last + self.apart));
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
        let is_storm = self.last.is_some_and(|last| now < last + 2 * self.apart);
        self.apart = if is_storm { (self.apart * 2).min(MOST_APART) } else { SCANS_APART };
        self.last = Some(now);
        if base_missing && !self.base_was_missing {
            self.ask(now + SECOND_SCAN);
        }
        self.base_was_missing = base_missing;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_of_signs_is_no_storm_of_scans() {
        let (mut scans, begin) = (Scans::default(), Instant::now());
        let (mut count, mut now) = (0, begin);
        while now < begin + Duration::from_secs(60) {
            scans.ask(now);
            if scans.begin(now) {
                scans.finish(now, false);
                count += 1;
            }
            now += Duration::from_millis(1);
        }
        assert!((30..=40).contains(&count), "{count}");
        scans.ask(now + Duration::from_secs(10));
        assert!(scans.begin(now + Duration::from_secs(10)));
        scans.finish(now + Duration::from_secs(10), false);
        scans.ask(now + Duration::from_secs(10));
        assert_eq!(scans.due(), Some(now + Duration::from_secs(10) + SCANS_APART), "after a rest");
    }
}
