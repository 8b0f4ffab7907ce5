//! How long a vassal that failed waits before it is tried again.
//!
//! The first failure after a settled run costs nothing: a mount that dies once a week is back at once. From the second one in a
//! row on, the delay starts at `emperor-throttle` and doubles up to `emperor-max-throttle`. uWSGI's options and their meaning
//! for people, without its unit slip, its saw-tooth and its global sleep: each vassal waits for itself alone.

use std::time::Duration;

/// The failures of one vassal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    throttle: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(throttle: Duration, max: Duration) -> Self {
        Self { throttle, max: max.max(throttle), failures: 0 }
    }

    /// One more failure: the delay before the next try.
    pub(crate) fn fail(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.delay()
    }

    /// The delay the failures so far have earned.
    pub(crate) fn delay(&self) -> Duration {
        match self.failures {
            0 | 1 => Duration::ZERO,
            n => self.throttle.saturating_mul(1u32.checked_shl(n - 2).unwrap_or(u32::MAX)).min(self.max),
        }
    }

    /// How long a run must last to count as settled: longer than the wait that came before it, else a slow crash loop would
    /// never be slowed down.
    pub(crate) fn settles_after(&self) -> Duration {
        self.throttle.max(self.delay())
    }

    /// A settled run, a new configuration, or somebody's word: the next failure is the first again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_free_then_it_doubles_up_to_the_cap() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(180));
        let delays: Vec<u64> = (0..11).map(|_| backoff.fail().as_secs()).collect();
        assert_eq!(delays, [0, 1, 2, 4, 8, 16, 32, 64, 128, 180, 180]);
        backoff.reset();
        assert_eq!(backoff.fail(), Duration::ZERO);
    }

    #[test]
    fn a_thousand_failures_overflow_nothing() {
        let mut backoff = Backoff::new(Duration::from_millis(1), Duration::from_secs(180));
        let last = (0..1000).map(|_| backoff.fail()).last();
        assert_eq!(last, Some(Duration::from_secs(180)));
    }
}
