//! The clocks of one vassal, as a table: each kind is armed or not, the earliest counts.

use crate::Time;

/// What a clock is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The phase itself: the end of a wait, of a polite request, of a kill.
    Phase,
    /// The step under way.
    Hook,
    /// The app should have said ready.
    Ready,
    /// All workers of a uwsgi that just came up should hear a reload by now.
    Calm,
    /// The run counts as settled.
    Settle,
    /// The run has lasted so long that it is flapping no more.
    Steady,
    /// The next heartbeat is overdue.
    Heartbeat,
    /// Something of the app has not died for so long that it is doubted no more.
    Doubts,
    /// The place among those that start at once is given back.
    Slot,
}

impl Timer {
    const ALL: [Self; 9] =
        [Self::Phase, Self::Hook, Self::Ready, Self::Calm, Self::Settle, Self::Steady, Self::Heartbeat, Self::Doubts, Self::Slot];
}

/// All clocks of one vassal.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Timers {
    due: [Option<Time>; Timer::ALL.len()],
}

impl Timers {
    pub(crate) fn arm(&mut self, timer: Timer, at: Time) {
        self.due[timer as usize] = Some(at);
    }

    pub(crate) fn disarm(&mut self, timer: Timer) {
        self.due[timer as usize] = None;
    }

    /// All but the slot's: that one belongs to the daemon, not to this life.
    pub(crate) fn disarm_life(&mut self) {
        for timer in Timer::ALL {
            if timer != Timer::Slot {
                self.disarm(timer);
            }
        }
    }

    pub(crate) fn at(&self, timer: Timer) -> Option<Time> {
        self.due[timer as usize]
    }

    /// The earliest of all.
    pub(crate) fn next(&self) -> Option<Time> {
        self.due.iter().flatten().min().copied()
    }

    /// Takes the earliest clock that is due at `now`, disarmed.
    pub(crate) fn take_due(&mut self, now: Time) -> Option<Timer> {
        let timer = Timer::ALL.into_iter().filter(|t| self.at(*t).is_some_and(|at| at <= now)).min_by_key(|t| self.at(*t))?;
        self.disarm(timer);
        Some(timer)
    }
}
