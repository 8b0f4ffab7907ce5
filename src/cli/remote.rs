//! The verbs that ask a running daemon, and their exit codes.

use std::process::ExitCode;

use liege_ctl::{Client, Failure, Style, table};

use crate::{
    arguments::{Reload, Remote, Status},
    say::say,
};

const NO_DAEMON: u8 = 3;
const NO_SUCH_VASSAL: u8 = 4;

/// `liege status`
pub(crate) fn status(arguments: &Status) -> ExitCode {
    let client = Client::new(&arguments.remote.control);
    answer(client.vassals(&arguments.names).map(|view| {
        if arguments.json {
            say(&(serde_json::to_string_pretty(&view).unwrap_or_default() + "\n"));
        } else {
            say(&table(&view, Style::of_stdout()));
        }
    }))
}

/// `liege reload`: all of them are tried; the first failure decides the exit code.
pub(crate) fn reload(arguments: &Reload) -> ExitCode {
    let client = Client::new(&arguments.remote.control);
    let mut first_failure = None;
    for name in &arguments.names {
        match client.reload(name) {
            Ok(said) => say(&format!("{name}: {said}\n")),
            Err(failure) => {
                let code = tell(&failure);
                first_failure.get_or_insert(code);
            }
        }
    }
    first_failure.unwrap_or(ExitCode::SUCCESS)
}

/// `liege clear`
pub(crate) fn clear(remote: &Remote) -> ExitCode {
    answer(Client::new(&remote.control).clear().map(|said| say(&format!("{said}\n"))))
}

fn answer(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => tell(&failure),
    }
}

fn tell(failure: &Failure) -> ExitCode {
    eprintln!("liege: {failure}");
    match failure {
        Failure::NoDaemon { .. } => NO_DAEMON.into(),
        Failure::NoSuchVassal { .. } => NO_SUCH_VASSAL.into(),
        Failure::Refused { .. } | Failure::Broken { .. } => ExitCode::FAILURE,
    }
}
