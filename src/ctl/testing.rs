//! A vassal to show, for the tests of this room.

use liege_core::{Phase, Time, VassalView};

/// Runs since its second second, ready, and has never died.
pub(crate) fn vassal(name: &str) -> VassalView {
    let since = Time(1_000_000);
    VassalView { pid: Some(42), up_since: Some(since), ready: true, ..VassalView::new(name.into(), Phase::Running, since) }
}
