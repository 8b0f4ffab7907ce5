//! `liege doctor`: what of this machine liege needs.

use std::{path::Path, process::ExitCode};

use liege_ctl::{
    Style,
    doctor::{examine, show},
    shown_json,
};

use crate::{arguments::Doctor, say::say};

/// Looks, tells, and fails where something vital is missing.
pub(crate) fn doctor(arguments: &Doctor) -> anyhow::Result<ExitCode> {
    let control = &arguments.remote.control;
    let state = arguments.state_dir.as_deref().or(control.parent()).unwrap_or(Path::new("/"));
    let report = examine(control, state);
    if arguments.json {
        say(&(shown_json(&serde_json::to_string_pretty(&report)?) + "\n"));
    } else {
        say(&show(&report, Style::of_stdout()));
    }
    Ok(if report.can_run { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
