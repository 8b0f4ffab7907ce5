//! What people are told: one closed list of things that happen to vassals, each one sentence.

use std::time::Duration;

use liege_spec::Diagnostic;
use serde::{Deserialize, Serialize};

use crate::{Cause, Name};

/// How loud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Level {
    /// Only when asked.
    Debug,
    /// The ordinary course.
    Info,
    /// Somebody should look.
    Warn,
    /// Something does not work.
    Error,
}

/// Something worth telling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields of a sentence are explained by the sentence")]
pub enum Note {
    /// A new file.
    Added { vassal: Name },
    /// The app runs.
    Started { vassal: Name, pid: i32, took: Duration },
    /// The app is ready.
    Ready { vassal: Name, took: Duration },
    /// The app accepts requests.
    Accepting { vassal: Name },
    /// The app has served a request.
    Loyal { vassal: Name },
    /// The app is being replaced in the kept namespaces.
    Reloading { vassal: Name, why: String },
    /// The app was replaced.
    Reloaded { vassal: Name, took: Duration },
    /// The whole instance is being rebuilt: this line made it so.
    Rebuilding { vassal: Name, why: String },
    /// It was asked to end.
    Stopping { vassal: Name, why: Cause },
    /// It is being destroyed.
    Destroying { vassal: Name, why: Cause },
    /// It did not die of SIGKILL within the time given; tried again.
    Lingers { vassal: Name, pid: i32, since: Duration },
    /// Its life ended.
    Ended { vassal: Name, cause: Cause, lived: Duration, again_in: Option<Duration> },
    /// Nothing of it is left.
    Gone { vassal: Name },
    /// A step failed that is allowed to.
    Tolerated { vassal: Name, what: String },
    /// A daemon of the vassal died.
    OrphanDied { vassal: Name, pid: i32, how: String },
    /// A watched mount changed its state.
    Mount { vassal: Name, path: String, state: String, detail: String },
    /// A file has mistakes; what runs goes on.
    BadConfig { vassal: Name, runs_on: bool, diagnostics: Vec<Diagnostic> },
    /// Everything is being taken down.
    ShuttingDown { vassals: usize },
    /// Somebody is impatient.
    Hurrying { vassals: usize },
}
