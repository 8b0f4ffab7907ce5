//! The daemon's one clock: microseconds since it started, and back again for timers.
//!
//! The core is told the time and never asks for it; this is where it is read.
//!
//! The clock stands still while the daemon could not run: its container was paused, its control group frozen, it was stopped by a signal, or
//! its machine was. What it waits for could not run either then, and no deadline of that may pass meanwhile. A wait that ends far later than
//! asked is how a pause is known ([`Clock::waited`]). Of a wait that may last for ever nothing is known, so the loop waits in pieces while
//! a deadline is pending that ends something.

use std::time::{Duration, Instant};

use liege_core::Time;

/// The longest wait while such a deadline is pending.
pub(crate) const PIECE: Duration = Duration::from_secs(1);

/// So late a busy machine may make it.
const LATE: Duration = Duration::from_secs(2);

/// When the daemon started, and for how long it was paused since.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Instant,
    paused: Duration,
    /// The last time the core was told: it never runs backwards.
    told: Time,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { started: Instant::now(), paused: Duration::ZERO, told: Time(0) }
    }

    pub(crate) fn now(&self) -> Time {
        self.at(Instant::now())
    }

    /// The time for the core.
    pub(crate) fn tell(&mut self) -> Time {
        self.told = self.now().max(self.told);
        self.told
    }

    /// The moment on the runtime's clock. Rounded up, so that a timer never fires before the core's deadline.
    pub(crate) fn moment(&self, at: Time) -> Instant {
        self.started + self.paused + Duration::from_micros(at.0) + Duration::from_micros(1)
    }

    /// What was to take `asked` at most has taken so long until `now`. A piece with a pause in it does not count at all, because it is not
    /// known when in it the pause began.
    pub(crate) fn waited(&mut self, asked: Duration, took: Duration, now: Instant) {
        if took > asked.saturating_add(LATE) {
            let pause = if asked <= PIECE { took } else { took - asked };
            self.paused += pause.min(self.at(now) - self.told);
        }
    }

    fn at(&self, now: Instant) -> Time {
        let runs = now.saturating_duration_since(self.started).saturating_sub(self.paused);
        Time(u64::try_from(runs.as_micros()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn waits(asked: Duration, took: Duration) -> Duration {
        let mut clock = Clock::start();
        let began = clock.started + 100 * SECOND;
        clock.told = clock.at(began);
        clock.waited(asked, took, began + took);
        assert_eq!(clock.moment(Time(7)), clock.started + clock.paused + Duration::from_micros(8));
        clock.at(began + took) - clock.told
    }

    #[test]
    fn no_time_passes_in_a_pause() {
        assert_eq!(waits(SECOND, 9 * SECOND), Duration::ZERO);
        assert_eq!(waits(Duration::ZERO, 9 * SECOND), Duration::ZERO, "nothing was waited for");
        assert_eq!(waits(60 * SECOND, 90 * SECOND), 60 * SECOND);
    }

    #[test]
    fn a_busy_machine_is_no_pause() {
        for (asked, took) in [(SECOND, SECOND), (SECOND, 3 * SECOND), (Duration::ZERO, 2 * SECOND), (Duration::MAX, 90 * SECOND)]
        {
            assert_eq!(waits(asked, took), took);
        }
    }

    #[test]
    fn a_time_that_was_told_is_never_later_than_the_next() {
        let mut clock = Clock::start();
        let now = clock.started + 9 * SECOND;
        clock.told = clock.at(now); // told after the pause, which is known only then
        clock.waited(Duration::ZERO, 8 * SECOND, now);
        assert_eq!(clock.at(now), clock.told);
    }
}
