//! Where a vassal stands: the rows of every table in this room.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a vassal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Known, and not wanted before somebody starts it.
    Suspended,
    /// Backing off until its deadline, or waiting for a free place to start.
    Waiting,
    /// The clone is under way.
    Spawning,
    /// Init walks the plan.
    Preparing,
    /// The app runs.
    Running,
    /// The app is being replaced inside the kept namespaces.
    Reloading,
    /// It was asked to leave.
    Stopping,
    /// It is being destroyed.
    Killing,
    /// Nothing of it is left.
    Gone,
}

impl Phase {
    /// The word people see.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Suspended => "suspended",
            Self::Waiting => "waiting",
            Self::Spawning => "spawning",
            Self::Preparing => "preparing",
            Self::Running => "running",
            Self::Reloading => "reloading",
            Self::Stopping => "stopping",
            Self::Killing => "killing",
            Self::Gone => "gone",
        }
    }
}
