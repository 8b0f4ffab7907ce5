//! Deaths of orphans on their way to the host: each by itself while they are few, summed up when they are many.
//!
//! The host wants to know at once, for it may have been the daemon of a mount. But each word costs it a turn, and a vassal can
//! fork without end. So there is an allowance: [`BURST`] words at once, and one each [`EACH`] in the long run. What dies
//! beyond it is counted and told with the next word that is allowed, so that even in a storm no death is news for longer.

use std::time::{Duration, Instant};

use liege_plan::{Exit, FromInit};

use crate::channel::Channel;

/// Words that may be said at once.
const BURST: u32 = 32;
/// One more is allowed after each of these.
const EACH: Duration = Duration::from_millis(20);

/// The allowance, and what waits for it.
#[derive(Debug, Default)]
pub(crate) struct Orphans {
    /// When the whole allowance is there again; None: it was never touched.
    whole_at: Option<Instant>,
    untold: u32,
}

impl Orphans {
    /// One died: told at once, or counted.
    pub(crate) fn died(&mut self, now: Instant, pid: i32, exit: Exit, name: Option<String>, channel: &mut Channel) {
        if self.untold == 0 && self.may_speak(now) {
            channel.say(&FromInit::OrphanDied { pid, exit, name });
        } else {
            self.untold = self.untold.saturating_add(1);
        }
    }

    /// Whether none waits to be told.
    pub(crate) fn has_room(&self) -> bool {
        self.untold == 0
    }

    /// When those who wait may be told.
    pub(crate) fn due(&self) -> Option<Instant> {
        let whole_at = self.whole_at.filter(|_| self.untold > 0)?;
        Some(whole_at + EACH - EACH * BURST)
    }

    /// Tells those who wait, if it is time.
    pub(crate) fn tell(&mut self, now: Instant, channel: &mut Channel) {
        if self.untold > 0 && self.may_speak(now) {
            channel.say(&FromInit::OrphansDied { count: std::mem::take(&mut self.untold) });
        }
    }

    fn may_speak(&mut self, now: Instant) -> bool {
        let after = self.whole_at.map_or(now, |at| at.max(now)) + EACH;
        let allowed = after <= now + EACH * BURST;
        if allowed {
            self.whole_at = Some(after);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_at_once_then_one_at_a_time() {
        let (mut orphans, begin) = (Orphans::default(), Instant::now());
        let mut said = |millis| (0..100).filter(|_| orphans.may_speak(begin + Duration::from_millis(millis))).count();
        assert_eq!((said(0), said(10), said(20), said(100)), (32, 0, 1, 4));
        assert_eq!(said(10_000), 32);
    }

    #[test]
    fn whoever_waits_is_due_when_the_next_word_is_allowed() {
        let (mut orphans, begin) = (Orphans::default(), Instant::now());
        while orphans.may_speak(begin) {}
        assert_eq!(orphans.due(), None);
        orphans.untold = 1;
        assert_eq!(orphans.due(), Some(begin + EACH));
        assert!(!orphans.may_speak(begin + EACH - Duration::from_millis(1)) && orphans.may_speak(begin + EACH));
    }
}
