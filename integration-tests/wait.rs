//! The one polling primitive: look, yield a little, look again, until a deadline.
//!
//! Most of what a story waits for (a port that answers, a process that is gone in another namespace) announces itself to
//! nobody; what does announce itself (a log line, an exit) is waited for where it comes from, see [`crate::emperor`].

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use nix::poll::{PollTimeout, poll};

/// For what takes milliseconds on an idle machine.
pub const SHORT: Duration = Duration::from_secs(10);
/// For what takes seconds on an idle machine (a backoff, a grace period, five hundred vassals).
pub const LONG: Duration = Duration::from_secs(60);

/// How many times slower this machine is than the one the limits were written for: `STORY_SLOWNESS`,
/// 1 unless set. A guest under software emulation is about ten times slower.
///
/// # Panics
/// When it is set and is not a number of at least 1.
#[must_use]
pub fn slowness() -> u32 {
    static SLOWNESS: LazyLock<u32> = LazyLock::new(|| match std::env::var("STORY_SLOWNESS") {
        Err(_) => 1,
        Ok(text) => match text.parse() {
            Ok(factor) if factor >= 1 => factor,
            _ => panic!("STORY_SLOWNESS={text}: a whole number from 1 on"),
        },
    });
    *SLOWNESS
}

/// A bar on time, as high as it has to be on this machine.
#[must_use]
pub fn bar(time: Duration) -> Duration {
    time * slowness()
}

/// Gives the processor away for a moment between two looks.
pub fn breathe(time: Duration) {
    let time = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
    let _ = poll(&mut [], time); // an interrupted wait is only a shorter one
}

/// What `look` found, as soon as it finds something.
///
/// # Panics
/// When the deadline passes, naming `what`.
#[track_caller]
pub fn wait_for<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let (start, limit) = (Instant::now(), bar(limit));
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} in vain for: {what}");
        breathe(Duration::from_millis(2));
    }
}

/// [`wait_for`] a condition.
///
/// # Panics
/// When the deadline passes, naming `what`.
#[track_caller]
pub fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    wait_for(what, limit, || holds().then_some(()));
}

/// Looks for the whole of `time` and fails the moment the condition does not hold: for what must *not* happen.
///
/// # Panics
/// As soon as the condition does not hold, naming `what`.
#[track_caller]
pub fn holds_for(what: &str, time: Duration, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while start.elapsed() < time {
        assert!(holds(), "did not stay true: {what}");
        breathe(Duration::from_millis(10));
    }
}
