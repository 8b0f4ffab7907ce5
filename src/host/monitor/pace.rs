//! How fast signs are taken: a burst of them at once, a flood in gulps.
//!
//! While none are taken, the kernel merges what is equal (a file that is written again and again is one event), and what is not
//! read in time overflows its queue, which costs one scan. So the work that a flood makes does not grow with the flood.

use std::time::Duration;

use tokio::time::Instant;

/// What one sign costs: 2000 of them a second may be taken for ever.
const COST: Duration = Duration::from_micros(500);
/// What may be owed: some thousand files that come at once are seen at once.
const CREDIT: Duration = Duration::from_secs(8);
/// A pause is long enough for a gulp.
const GULP: Duration = Duration::from_millis(100);

/// The pace of one stream of signs.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When all that was taken is paid for.
    paid: Option<Instant>,
    until: Option<Instant>,
}

impl Pace {
    /// One sign is taken.
    pub(super) fn take(&mut self, now: Instant) {
        let paid = self.paid.map_or(now, |paid| paid.max(now)) + COST;
        self.paid = Some(paid);
        if paid > now + CREDIT {
            self.until = Some(now + GULP);
        }
    }

    /// Until when no more are taken.
    pub(super) fn pause(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many are taken within `millis`, if there is always one more.
    fn taken(pace: &mut Pace, from: Instant, millis: u64) -> u32 {
        let (mut taken, mut now) = (0, from);
        while now < from + Duration::from_millis(millis) {
            if pace.pause(now).is_none() {
                pace.take(now);
                taken += 1;
            }
            now += Duration::from_micros(20);
        }
        taken
    }

    #[test]
    fn a_burst_is_taken_at_once_and_a_flood_in_gulps() {
        let (mut pace, begin) = (Pace::default(), Instant::now());
        assert_eq!(taken(&mut pace, begin, 200), 10_000, "as fast as they come");
        let flood = taken(&mut pace, begin + Duration::from_millis(200), 10_000);
        let then = taken(&mut pace, begin + Duration::from_millis(10_200), 10_000);
        assert!((20_000..30_000).contains(&flood) && (19_000..21_000).contains(&then), "{flood} {then}");
        assert_eq!(taken(&mut pace, begin + Duration::from_secs(60), 200), 10_000, "after a rest");
    }
}
