//! The daemon's one clock: microseconds since it started, and back again for timers.
//!
//! The core is told the time and never asks for it; this is where it is read.

use std::time::{Duration, Instant};

use liege_core::Time;

/// When the daemon started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(self) -> Time {
        Time(u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// The moment on the runtime's clock. Rounded up, so that a timer never fires before the core's deadline.
    pub(crate) fn moment(self, at: Time) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.0 + Duration::from_micros(at.0) + Duration::from_micros(1))
    }
}
