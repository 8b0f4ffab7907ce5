//! `liege enter`: a shell inside a vassal, whose exit code is passed on.

use std::process::ExitCode;

use liege_ctl::{Refusal, Visitor, enter};

use crate::{arguments::Enter, remote};

/// Goes in, and comes back with the command's exit code.
pub(crate) fn visit(arguments: &Enter) -> ExitCode {
    let Enter { name, root, user: _, clean_env, command, remote } = arguments;
    let visitor = Visitor { command: command.clone(), as_root: *root, clean: *clean_env };
    match enter(&remote.control, name, &visitor) {
        Ok(code) => code.into(),
        Err(Refusal::Daemon(failure)) => remote::tell(&failure),
        Err(refusal @ Refusal::Because(_)) => {
            eprintln!("liege: {refusal}");
            ExitCode::FAILURE
        }
    }
}
