//! How much may be written: so many bytes a second in the long run, and ten seconds' worth at once.

use std::time::{Duration, Instant};

/// So much time's worth of bytes may come at once, after as long a silence.
pub(super) const AT_ONCE: Duration = Duration::from_secs(10);

/// A bucket of bytes that fills with time.
#[derive(Debug)]
pub(super) struct Limit {
    /// Bytes a second; 0: none.
    rate: u64,
    left: u64,
    filled: Instant,
}

impl Limit {
    pub(super) fn new(rate: u64, now: Instant) -> Self {
        Self { rate, left: full(rate), filled: now }
    }

    /// Whether so many bytes may be written now; if so they are taken from what is left.
    pub(super) fn admits(&mut self, bytes: usize, now: Instant) -> bool {
        if self.rate == 0 {
            return true;
        }
        let gained = now.saturating_duration_since(self.filled).as_micros() * u128::from(self.rate) / 1_000_000;
        if gained > 0 {
            let full = full(self.rate);
            self.left = self.left.saturating_add(u64::try_from(gained).unwrap_or(u64::MAX)).min(full);
            // Not `now`: the rest of a byte would be lost each time.
            self.filled = if self.left == full { now } else { self.filled + time_of(gained, self.rate) };
        }
        let bytes = bytes as u64;
        let fits = bytes <= self.left;
        if fits {
            self.left -= bytes;
        }
        fits
    }
}

fn full(rate: u64) -> u64 {
    rate.saturating_mul(AT_ONCE.as_secs())
}

fn time_of(bytes: u128, rate: u64) -> Duration {
    Duration::from_micros(u64::try_from(bytes * 1_000_000 / u128::from(rate)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_the_long_run_it_is_the_rate() {
        let start = Instant::now();
        let mut limit = Limit::new(1000, start);
        let admitted = (0..60_000u64).filter(|ms| limit.admits(100, start + Duration::from_millis(*ms))).count();
        // Ten seconds' worth at once, and a minute's.
        assert!((690..=701).contains(&admitted), "{admitted}");
    }

    #[test]
    fn a_silence_gives_no_more_than_ten_seconds_worth() {
        let start = Instant::now();
        let mut limit = Limit::new(10, start);
        assert!(limit.admits(100, start) && !limit.admits(1, start));
        let later = start + Duration::from_secs(3600);
        assert!(limit.admits(100, later) && !limit.admits(1, later));
    }

    #[test]
    fn without_a_rate_there_is_no_limit() {
        let now = Instant::now();
        assert!(Limit::new(0, now).admits(usize::MAX, now));
    }
}
