//! What tests of several files need.

use liege_core::{Phase, Time, VassalView};

/// A vassal about which nothing more is to be said.
pub(crate) fn vassal(name: &str, phase: Phase) -> VassalView {
    VassalView { pid: Some(7), ready: phase == Phase::Running, ..VassalView::new(name.into(), phase, Time(0)) }
}
