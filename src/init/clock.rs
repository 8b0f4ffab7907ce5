//! Init's one clock. It stands still while init could not run: what init waits for could not run either, and no time for saving may pass then.
//!
//! A wait that ends far later than asked is how a pause is known (a frozen control group, a stop by a signal). While a deadline is pending
//! init waits in pieces, so that the whole of a pause is known and not only what was after the deadline.
//!
//! Deliberately not a field of `Init`: many parts of it ask for the time, and there is one thread.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// The longest wait while a deadline is pending.
pub(crate) const PIECE: Duration = Duration::from_secs(1);

/// So late a busy machine may make it.
const LATE: Duration = Duration::from_secs(2);

/// All pauses so far, in microseconds.
static PAUSED: AtomicU64 = AtomicU64::new(0);

/// What time it is.
pub(crate) fn now() -> Instant {
    let (now, paused) = (Instant::now(), Duration::from_micros(PAUSED.load(Ordering::Relaxed)));
    now.checked_sub(paused).unwrap_or(now)
}

/// What began then was to take `asked` at most, and is over.
pub(crate) fn waited(asked: Duration, began: Instant) {
    let pause = pause(asked, now().saturating_duration_since(began));
    PAUSED.fetch_add(u64::try_from(pause.as_micros()).unwrap_or(0), Ordering::Relaxed);
}

/// A piece with a pause in it does not count at all, because it is not known when in it the pause began.
fn pause(asked: Duration, took: Duration) -> Duration {
    match took > asked.saturating_add(LATE) {
        true if asked <= PIECE => took,
        true => took - asked,
        false => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_ends_far_too_late_was_paused() {
        let seconds = Duration::from_secs;
        assert_eq!(pause(seconds(1), seconds(9)), seconds(9));
        assert_eq!(pause(seconds(60), seconds(90)), seconds(30));
        assert_eq!(pause(Duration::ZERO, seconds(9)), seconds(9));
        for (asked, took) in [(seconds(1), seconds(3)), (Duration::MAX, seconds(90)), (seconds(5), seconds(2))] {
            assert_eq!(pause(asked, took), Duration::ZERO);
        }
    }
}
