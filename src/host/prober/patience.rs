//! How long a prober has been silent while something was asked of it. While nothing is it has nothing to say, so each time something is
//! asked again this begins anew.
//!
//! A prober that was killed or stopped is seen by a glance at its process (`conversation.rs`). Silence is for all other reasons: a deadlock,
//! a frozen control group. It ends early enough for a mount that dies meanwhile to be seen within five seconds, and late enough for a
//! prober that only has to wait for a processor. (Measured on two under a load of 35: 0.13 s.)

use std::time::Duration;

use tokio::time::Instant;

/// How often a prober that is asked something is asked whether it is there.
const PING: Duration = Duration::from_millis(500);
/// And how long it may be silent. Its answer waits for no mount.
pub(super) const SILENCE: Duration = Duration::from_secs(3);
/// A ping that is due for longer than this was held up by the daemon itself (stopped, suspended, or busy with a successor).
const LATE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Patience {
    heard: Instant,
    ping: Instant,
    /// Pings without an answer.
    unanswered: u32,
}

impl Patience {
    pub(super) fn from(now: Instant) -> Self {
        Self { heard: now, ping: now + PING, unanswered: 0 }
    }

    /// It said something.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    /// It is asked whether it is there.
    pub(super) fn pinged(&mut self) {
        self.unanswered += 1;
    }

    /// It is.
    pub(super) fn answered(&mut self) {
        self.unanswered = self.unanswered.saturating_sub(1);
    }

    /// It has not yet answered that it heard what was asked.
    pub(super) fn waits(&self) -> bool {
        self.unanswered > 0
    }

    /// When the next ping is due.
    pub(super) fn due(&self) -> Instant {
        self.ping
    }

    /// A ping is due: or it has been silent for too long.
    pub(super) fn is_over(&mut self, now: Instant) -> bool {
        // What it has said meanwhile may lie unread.
        if now - self.ping > LATE {
            self.heard = now;
        }
        self.ping = now + PING;
        now - self.heard > SILENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_counted_from_when_somebody_began_to_wait() {
        let begin = Instant::now();
        let mut patience = Patience::from(begin);
        assert!((1..=6).all(|n| !patience.is_over(begin + n * PING)));
        assert!(patience.is_over(begin + 7 * PING));
        // An hour later somebody else asks.
        let later = begin + Duration::from_secs(3600);
        patience = Patience::from(later);
        assert!(!patience.is_over(later + PING));
    }

    #[test]
    fn a_daemon_that_was_stopped_itself_blames_no_prober() {
        let begin = Instant::now();
        let mut patience = Patience::from(begin);
        let continued = begin + Duration::from_secs(60);
        assert!(!patience.is_over(continued));
        assert!((1..=6).all(|n| !patience.is_over(continued + n * PING)));
        assert!(patience.is_over(continued + 7 * PING));
    }

    #[test]
    fn a_mount_that_dies_in_a_silence_is_seen_within_five_seconds() {
        let replaced = Duration::from_secs(1);
        assert!(SILENCE + PING + replaced < Duration::from_secs(5));
    }
}
