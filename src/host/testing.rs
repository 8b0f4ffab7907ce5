//! What tests of several files need.

use liege_core::{Phase, Time, VassalView};

/// A vassal about which nothing more is to be said.
pub(crate) fn vassal(name: &str, phase: Phase) -> VassalView {
    VassalView {
        name: name.into(),
        phase,
        pid: Some(7),
        since: Time(0),
        owner: None,
        app_pid: None,
        up_since: None,
        usage: None,
        ready: phase == Phase::Running,
        accepting: false,
        loyal: false,
        mounts: Vec::new(),
        leftovers: Vec::new(),
        restarts: Vec::new(),
        failures: 0,
        retry_at: None,
        last_cause: None,
        last_end: None,
        config_error: None,
    }
}
