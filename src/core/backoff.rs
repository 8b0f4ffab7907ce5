//! How long a vassal that failed waits before it is tried again, and whether it is.
//!
//! The first failure after a settled run costs nothing: a mount that dies a few times a day is back at once each time. From the second
//! one in a row on, the delay starts at `emperor-throttle` and doubles up to `emperor-max-throttle`. uWSGI's options and their meaning
//! for people, without its unit slip, its saw-tooth and its global sleep: each vassal waits for itself alone.
//!
//! A run settles after a second or so, as in uWSGI. What lives a little longer than that and fails for ever would start at full speed
//! for ever. So the failures of a *window* are counted too, whatever was between them. With `flapping-failures` of them the vassal is
//! flapping: the delay grows in the same way with each failure more, until one run lasts as long as the window. With `start-limit` of
//! them it is given up.
//!
//! What the host lacks is no failure of the vassal's: it is tried again every few seconds, and nothing of the above counts it.

use std::{collections::VecDeque, time::Duration};

use liege_spec::RestartLimits;

use crate::{Flapping, Time};

/// The longest delay while the host lacks something: so soon after there is room the vassal is back.
const SHORTAGE: Duration = Duration::from_secs(5);

/// The failures of one vassal.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    throttle: Duration,
    max: Duration,
    /// In a row.
    failures: u32,
    /// When the newest failed, as far as the rules ask for them.
    recent: VecDeque<Time>,
    /// And with how many failures it began.
    flapping: Option<(Flapping, u32)>,
    /// Starts in a row for which the host had no room.
    shortages: u32,
}

/// What follows from one more failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It is tried again.
    Again {
        after: Duration,
        /// It is flapping from now on.
        begins_to_flap: bool,
    },
    /// As many failures as are allowed.
    GiveUp { failures: u32 },
}

impl Next {
    /// The delay before the next try, if there is one.
    pub(crate) fn after(self) -> Option<Duration> {
        match self {
            Self::Again { after, .. } => Some(after),
            Self::GiveUp { .. } => None,
        }
    }
}

impl Backoff {
    pub(crate) fn new(throttle: Duration, max: Duration) -> Self {
        Self { throttle, max: max.max(throttle), failures: 0, recent: VecDeque::new(), flapping: None, shortages: 0 }
    }

    /// One more failure.
    pub(crate) fn fail(&mut self, now: Time, limits: RestartLimits) -> Next {
        self.shortages = 0;
        self.failures = self.failures.saturating_add(1);
        self.recent.retain(|at| now - *at < limits.window);
        self.recent.push_back(now);
        let most = limits.failures.max(limits.start_limit).max(1) as usize;
        self.recent.drain(..self.recent.len().saturating_sub(most));
        let counted = match &mut self.flapping {
            Some((flapping, _)) => {
                flapping.failures = flapping.failures.saturating_add(1);
                flapping.failures
            }
            None => u32::try_from(self.recent.len()).unwrap_or(u32::MAX),
        };
        let begins_to_flap = self.flapping.is_none() && limits.failures > 0 && counted >= limits.failures;
        if begins_to_flap {
            self.flapping = Some((Flapping { since: now, failures: counted, steady_after: limits.window }, counted));
        }
        if limits.start_limit > 0 && counted >= limits.start_limit {
            return Next::GiveUp { failures: counted };
        }
        let after = self.delay().max(self.flapping.map_or(Duration::ZERO, |(now, began)| self.nth(now.failures - began)));
        Next::Again { after, begins_to_flap }
    }

    /// The host had no room for a start: 1, 2, 4, then every 5 seconds.
    pub(crate) fn short(&mut self) -> Next {
        let after = Duration::from_secs(1 << self.shortages.min(3)).min(SHORTAGE);
        self.shortages = self.shortages.saturating_add(1);
        Next::Again { after, begins_to_flap: false }
    }

    /// The delay the failures in a row have earned.
    fn delay(&self) -> Duration {
        self.failures.checked_sub(2).map_or(Duration::ZERO, |n| self.nth(n))
    }

    fn nth(&self, doubled: u32) -> Duration {
        self.throttle.saturating_mul(1u32.checked_shl(doubled).unwrap_or(u32::MAX)).min(self.max)
    }

    /// How long a run must last to count as settled: longer than the wait that came before it, else a slow crash loop would
    /// never be slowed down.
    pub(crate) fn settles_after(&self) -> Duration {
        self.throttle.max(self.delay())
    }

    /// A settled run: the next failure is the first in a row again.
    pub(crate) fn settled(&mut self) {
        (self.failures, self.shortages) = (0, 0);
    }

    /// A run has lasted as long as the window: what was before it is forgotten.
    pub(crate) fn steady(&mut self) -> Option<Flapping> {
        let flapping = self.flapping();
        self.reset();
        flapping
    }

    /// A new configuration, or somebody's word: everything is forgotten.
    pub(crate) fn reset(&mut self) {
        (self.failures, self.shortages) = (0, 0);
        self.recent.clear();
        self.flapping = None;
    }

    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    pub(crate) fn flapping(&self) -> Option<Flapping> {
        self.flapping.map(|(flapping, _)| flapping)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: RestartLimits = RestartLimits { failures: 5, window: Duration::from_secs(300), start_limit: 0 };

    fn backoff() -> Backoff {
        Backoff::new(Duration::from_secs(1), Duration::from_secs(180))
    }

    /// The delays in seconds of failures so many seconds apart, each after a settled run or not.
    fn delays(backoff: &mut Backoff, count: u64, apart: u64, settled: bool, limits: RestartLimits) -> Vec<u64> {
        let fail = |n: u64| {
            if settled {
                backoff.settled();
            }
            match backoff.fail(Time(n * apart * 1_000_000), limits) {
                Next::Again { after, .. } => after.as_secs(),
                Next::GiveUp { .. } => 999,
            }
        };
        (0..count).map(fail).collect()
    }

    #[test]
    fn the_first_is_free_then_it_doubles_up_to_the_cap() {
        let mut backoff = backoff();
        assert_eq!(delays(&mut backoff, 11, 1, false, LIMITS), [0, 1, 2, 4, 8, 16, 32, 64, 128, 180, 180]);
        backoff.reset();
        assert_eq!(delays(&mut backoff, 1, 1, false, LIMITS), [0]);
    }

    #[test]
    fn failures_after_settled_runs_are_slowed_down_from_the_fifth_in_the_window_on() {
        let mut backoff = backoff();
        assert_eq!(delays(&mut backoff, 13, 1, true, LIMITS), [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 180]);
        assert_eq!(backoff.flapping().map(|flapping| flapping.failures), Some(13));
        assert!(backoff.steady().is_some() && backoff.flapping().is_none());
    }

    #[test]
    fn failures_far_apart_are_no_flapping() {
        assert_eq!(delays(&mut backoff(), 50, 75, true, LIMITS), [0; 50]);
        assert_eq!(delays(&mut backoff(), 50, 1, true, RestartLimits { failures: 0, ..LIMITS }), [0; 50]);
    }

    #[test]
    fn with_a_start_limit_it_is_given_up() {
        let limits = RestartLimits { start_limit: 7, ..LIMITS };
        assert_eq!(delays(&mut backoff(), 7, 1, true, limits), [0, 0, 0, 0, 1, 2, 999]);
        let limits = RestartLimits { start_limit: 3, ..LIMITS };
        assert_eq!(delays(&mut backoff(), 3, 1, true, limits), [0, 0, 999]);
        let limits = RestartLimits { failures: 0, ..limits };
        assert_eq!(delays(&mut backoff(), 3, 1, true, limits), [0, 0, 999]);
    }

    #[test]
    fn a_shortage_costs_a_few_seconds_and_is_counted_nowhere() {
        let mut backoff = backoff();
        delays(&mut backoff, 2, 1, false, LIMITS);
        let shorts: Vec<_> = (0..40).map(|_| backoff.short().after().map(|after| after.as_secs())).collect();
        assert_eq!((&shorts[..4], shorts[39]), (&[Some(1), Some(2), Some(4), Some(5)][..], Some(5)));
        let limits = RestartLimits { start_limit: 4, ..LIMITS };
        assert_eq!(delays(&mut backoff, 1, 1, false, limits), [2], "the third failure in a row");
        assert_eq!(backoff.short().after(), Some(Duration::from_secs(1)));
        assert!(backoff.flapping().is_none());
    }

    #[test]
    fn a_thousand_failures_overflow_nothing() {
        let mut backoff = Backoff::new(Duration::from_millis(1), Duration::from_secs(180));
        let last = delays(&mut backoff, 1000, 0, false, LIMITS).pop();
        assert_eq!((last, backoff.recent.len()), (Some(180), 5));
    }
}
