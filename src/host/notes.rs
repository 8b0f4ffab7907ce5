//! Notes of the core become log lines, each in its target, with the vassal as a field.

use liege_core::{Level, Note, View};

/// tracing wants target and level as constants, so every pair stands here once.
macro_rules! line {
    ($level:expr, $target:expr, $($fields:tt)*) => {
        match ($level, $target) {
            (Level::Debug, "emperor") => tracing::debug!(target: "emperor", $($fields)*),
            (Level::Debug, "mountpoint") => tracing::debug!(target: "mountpoint", $($fields)*),
            (Level::Debug, _) => tracing::debug!(target: "vassal", $($fields)*),
            (Level::Info, "emperor") => tracing::info!(target: "emperor", $($fields)*),
            (Level::Info, "mountpoint") => tracing::info!(target: "mountpoint", $($fields)*),
            (Level::Info, _) => tracing::info!(target: "vassal", $($fields)*),
            (Level::Warn, "emperor") => tracing::warn!(target: "emperor", $($fields)*),
            (Level::Warn, "mountpoint") => tracing::warn!(target: "mountpoint", $($fields)*),
            (Level::Warn, _) => tracing::warn!(target: "vassal", $($fields)*),
            (Level::Error, "emperor") => tracing::error!(target: "emperor", $($fields)*),
            (Level::Error, "mountpoint") => tracing::error!(target: "mountpoint", $($fields)*),
            (Level::Error, _) => tracing::error!(target: "vassal", $($fields)*),
        }
    };
}

/// Logs one note.
pub(crate) fn tell(note: &Note) {
    let vassal = note.vassal().map(|name| &**name);
    let cause = note.cause().map(liege_core::Cause::word);
    line!(note.level(), note.target(), vassal, cause, "{note}");
}

/// USR1: one line for each vassal.
pub(crate) fn report(view: &View) {
    tracing::info!(target: "emperor", vassals = view.vassals.len(), "report");
    for v in &view.vassals {
        let restarts: u64 = v.restarts.iter().map(|(_, n)| n).sum();
        tracing::info!(
            target: "vassal", vassal = &*v.name, pid = v.pid, ready = v.ready, loyal = v.loyal, restarts,
            "{:?} for {:.0?}", v.phase, view.now.since(v.since)
        );
    }
}
