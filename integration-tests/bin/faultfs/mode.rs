//! What is done with requests, switched at run time.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What is done with requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// They are answered.
    #[default]
    Healthy,
    /// They are not even read: they stay in the kernel's queue, where the asker can still be killed.
    Queue,
    /// They are read and never answered: the asker waits unkillably.
    Swallow,
    /// They are answered after so long, and the processor is kept busy meanwhile.
    Slow(Duration),
    /// They are answered after so long, and nothing is done meanwhile.
    Lazy(Duration),
    /// They are answered with this errno.
    Errors(i32),
}

/// The mode and its door: whoever holds the lock reads no request, so a mode that was set is in force.
#[derive(Debug, Default)]
pub(crate) struct Switch {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    mode: Mode,
    swallowed: u64,
    /// The process does not leave when it is unmounted.
    stays: bool,
    /// When each statfs was read since somebody asked for them.
    looks: Vec<Instant>,
}

/// Leave to read one request. The mode holds as long as this does.
#[derive(Debug)]
pub(crate) struct Leave<'s> {
    switch: &'s Switch,
    state: MutexGuard<'s, State>,
}

impl Switch {
    pub(crate) fn set(&self, mode: Mode) {
        self.lock().mode = mode;
        self.changed.notify_all();
    }

    /// Waits until requests may be read.
    pub(crate) fn until_reading(&self) -> Leave<'_> {
        let state = self.changed.wait_while(self.lock(), |state| state.mode == Mode::Queue);
        Leave { switch: self, state: state.unwrap_or_else(PoisonError::into_inner) }
    }

    /// Waits for `time`, but not longer than `mode` stays in force.
    pub(crate) fn linger(&self, mode: Mode, time: Duration) {
        let waited = self.changed.wait_timeout_while(self.lock(), time, |state| state.mode == mode);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Whether `mode` is in force.
    pub(crate) fn is(&self, mode: Mode) -> bool {
        self.lock().mode == mode
    }

    /// Swallows, lets `ask` begin to ask, and waits until something has been swallowed.
    pub(crate) fn swallow_one(&self, ask: impl FnOnce()) {
        let mut state = self.lock();
        state.mode = Mode::Swallow;
        let before = state.swallowed;
        ask();
        drop(self.changed.wait_while(state, |state| state.swallowed == before).unwrap_or_else(PoisonError::into_inner));
    }

    /// How many requests have been read and left without an answer.
    pub(crate) fn swallowed(&self) -> u64 {
        self.lock().swallowed
    }

    /// From now on the process outlives its mount.
    pub(crate) fn stay(&self) {
        self.lock().stays = true;
    }

    /// Whether it does.
    pub(crate) fn stays(&self) -> bool {
        self.lock().stays
    }

    /// A statfs was read just now: somebody checks whether we live.
    pub(crate) fn looked_at(&self) {
        self.lock().looks.push(Instant::now());
    }

    /// The times between those looks, in milliseconds, and forgets all but the last.
    pub(crate) fn gaps(&self) -> Vec<u128> {
        let looks = &mut self.lock().looks;
        let gaps = looks.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
        *looks = looks.last().copied().into_iter().collect();
        gaps
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Leave<'_> {
    /// The request has been read: the door is open again, and this is what shall be done with it.
    pub(crate) fn used(mut self) -> Mode {
        let mode = self.state.mode;
        if mode == Mode::Swallow {
            self.state.swallowed += 1;
            self.switch.changed.notify_all();
        }
        mode
    }
}
