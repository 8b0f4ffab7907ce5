//! Which changes of its own FUSE mounts init told, and for which of them the host has answered that it holds the emergency exits.
//!
//! A daemon that hangs on its own file system is beyond SIGKILL, and nobody finds the connection of a mount that went. So nothing is
//! unmounted at an end before the host has answered. [`Exits::tell`] numbers each change, [`Exits::secured`] takes an answer, and
//! [`Exits::waits`] says whether an unmount waits.
//!
//! Races: a mount that comes while init waits gets a higher number, and is not among those that are unmounted. A host that is gone is
//! seen at its socket, and ends everything. A host that lives and never answers costs at most [`MOST`].

use std::time::{Duration, Instant};

/// How long at most an answer is waited for. A prober that is stopped is replaced after 10 s of silence, and the next one answers.
const MOST: Duration = Duration::from_secs(15);

/// Numbers of changes: 0 stands before the first one.
#[derive(Debug, Default)]
pub(crate) struct Exits {
    told: u32,
    secured: u32,
}

impl Exits {
    /// The number of a change that is told now.
    pub(crate) fn tell(&mut self) -> u32 {
        self.told = self.told.wrapping_add(1);
        self.told
    }

    /// The number of the last change that was told.
    pub(crate) fn told(&self) -> u32 {
        self.told
    }

    /// The host's answer for a change and all before it.
    pub(crate) fn secured(&mut self, number: u32) {
        if is_after(number, self.secured) {
            self.secured = number;
        }
    }

    /// Whether the answer for this change is still waited for, until then.
    pub(crate) fn waits(&self, number: u32, now: Instant, until: Instant) -> bool {
        is_after(number, self.secured) && now < until
    }
}

/// Until when a wait that begins now lasts at most: half of the time that is left, because the mounts need time to save.
pub(crate) fn bound(now: Instant, end: Instant) -> Instant {
    now + (end.saturating_duration_since(now) / 2).min(MOST)
}

/// A vassal that mounts for months may count to the end of the numbers.
fn is_after(one: u32, other: u32) -> bool {
    one != other && one.wrapping_sub(other) < u32::MAX / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_unmount_waits_for_the_answer_and_no_longer_than_the_bound() {
        let (mut exits, start) = (Exits::default(), Instant::now());
        let until = bound(start, start + 8 * SECOND);
        assert!(!exits.waits(exits.told(), start, until), "nothing was told");
        let first = exits.tell();
        assert!(exits.waits(first, start, until));
        assert!(exits.waits(first, start + 4 * SECOND - Duration::from_millis(1), until));
        assert!(!exits.waits(first, start + 4 * SECOND, until), "the host lives and does not answer");
        exits.secured(first);
        assert!(!exits.waits(first, start, until));
    }

    #[test]
    fn an_answer_is_for_its_change_and_those_before_it() {
        let (mut exits, now) = (Exits::default(), Instant::now());
        let until = now + SECOND;
        let [first, second, third] = [0; 3].map(|_| exits.tell());
        exits.secured(second);
        assert_eq!([first, second, third].map(|number| exits.waits(number, now, until)), [false, false, true]);
        exits.secured(first);
        assert!(!exits.waits(second, now, until), "a late answer takes nothing back");
    }

    #[test]
    fn the_numbers_go_round() {
        let now = Instant::now();
        let mut exits = Exits { told: u32::MAX, secured: u32::MAX };
        let next = exits.tell();
        assert!(exits.waits(next, now, now + SECOND));
        exits.secured(next);
        assert!(!exits.waits(next, now, now + SECOND));
    }

    #[test]
    fn the_wait_leaves_time_to_save_and_has_an_end_of_its_own() {
        let now = Instant::now();
        for (left, most) in [(Duration::ZERO, Duration::ZERO), (SECOND, SECOND / 2), (600 * SECOND, MOST)] {
            assert_eq!(bound(now, now + left), now + most, "{left:?}");
        }
        assert_eq!(bound(now + SECOND, now), now + SECOND, "the time is over");
    }
}
