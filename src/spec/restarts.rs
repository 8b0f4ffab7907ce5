//! `flapping-failures`, `flapping-window`, `start-limit`: when a vassal that fails over and over is slowed down, and when it is given up.
//!
//! The same keys with `emperor-` before them are for all vassals that set none.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::options::Options;
use crate::report::Report;
use crate::values;

/// The rules in force for a vassal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartLimits {
    /// `flapping-failures` (5): so many failures within the window are flapping; 0: never.
    pub failures: u32,
    /// `flapping-window` (300 s). A run that lasts as long ends it.
    pub window: Duration,
    /// `start-limit` (0): so many failures within the window, or since the flapping began, and it is given up; 0: never.
    pub start_limit: u32,
}

impl Default for RestartLimits {
    fn default() -> Self {
        Self { failures: 5, window: Duration::from_secs(300), start_limit: 0 }
    }
}

/// What one file says of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartRules {
    /// `flapping-failures`
    pub failures: Option<u32>,
    /// `flapping-window`
    pub window: Option<Duration>,
    /// `start-limit`
    pub start_limit: Option<u32>,
}

impl RestartRules {
    /// These, and the others where these say nothing.
    #[must_use]
    pub fn over(self, limits: RestartLimits) -> RestartLimits {
        RestartLimits {
            failures: self.failures.unwrap_or(limits.failures),
            window: self.window.unwrap_or(limits.window),
            start_limit: self.start_limit.unwrap_or(limits.start_limit),
        }
    }

    /// The keys of a vassal's file, or with `emperor-` before them those of the emperor's.
    pub(crate) fn raise(before: &str, options: &Options<'_>, report: &mut Report) -> Self {
        let mut number = |key: &str| options.checked(&format!("{before}{key}"), report, count);
        let (failures, start_limit) = (number("flapping-failures"), number("start-limit"));
        let window = options.checked(&format!("{before}flapping-window"), report, values::positive_seconds);
        Self { failures, window, start_limit }
    }
}

/// Each failure of the window is remembered: there is a limit.
fn count(value: &str) -> Result<u32, String> {
    match values::integer(value)? {
        number @ 0..=1000 => Ok(u32::try_from(number).unwrap_or_default()),
        _ => Err("must be at most 1000".to_owned()),
    }
}
