//! A vassal to show, for the tests of this room.

use liege_core::{Phase, Time, VassalView};

/// Runs since its second second, ready, and has never died.
pub(crate) fn vassal(name: &str) -> VassalView {
    VassalView {
        name: name.into(),
        phase: Phase::Running,
        pid: Some(42),
        since: Time(1_000_000),
        owner: None,
        app_pid: None,
        up_since: Some(Time(1_000_000)),
        ready: true,
        accepting: false,
        loyal: false,
        usage: None,
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
