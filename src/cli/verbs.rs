//! From the words of the command line to the verb that carries them out, and to an exit code.

use std::{ffi::OsString, process::ExitCode};

use clap::{CommandFactory, FromArgMatches};
use liege_core::Order;
use liege_host::{Format, Options, Replayed};

use crate::{
    arguments::{Arguments, LogFormat, Run, Verb},
    check, doctor, emperor, enter, logs, man, orders,
    presplit::presplit,
    remote, restart,
    say::say,
    stop, top,
};

/// Carries out what the words say. A mistake in them ends the program with 2, as clap has it.
pub(crate) fn main(words: Vec<OsString>) -> ExitCode {
    let (words, pairs) = split(words);
    let matches = Arguments::command().get_matches_from(words);
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    carry_out(arguments.verb, pairs).unwrap_or_else(|error| {
        eprintln!("liege: {error:#}");
        ExitCode::FAILURE
    })
}

/// Only `run` takes the emperor's options.
fn split(mut words: Vec<OsString>) -> (Vec<OsString>, Vec<(String, String)>) {
    let command = Arguments::command();
    match command.find_subcommand("run") {
        Some(run) if words.get(1).is_some_and(|verb| verb == "run") => {
            let rest = words.split_off(2);
            let (kept, pairs) = presplit(rest, run);
            words.extend(kept);
            (words, pairs)
        }
        Some(_) | None => (words, Vec::new()),
    }
}

fn carry_out(verb: Verb, pairs: Vec<(String, String)>) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::Run(arguments) => run(&arguments, pairs),
        Verb::Check(arguments) => check::check(&arguments),
        Verb::Status(arguments) => Ok(remote::status(&arguments)),
        Verb::Top(remote) => Ok(top::top(&remote)),
        Verb::Start(arguments) => Ok(orders::order(&arguments, Order::Start)),
        Verb::Stop(arguments) => Ok(stop::stop(&arguments)),
        Verb::Restart(arguments) => Ok(restart::restart(&arguments)),
        Verb::Reload(arguments) => Ok(orders::order(&arguments, Order::Reload)),
        Verb::Clear(arguments) => Ok(orders::clear(&arguments)),
        Verb::Rescan(arguments) => Ok(orders::rescan(&arguments)),
        Verb::Logs(arguments) => Ok(logs::logs(&arguments)),
        Verb::Events(arguments) => Ok(remote::events(&arguments)),
        Verb::Man { directory } => man::write(&directory).map(|()| ExitCode::SUCCESS),
        Verb::Enter(arguments) => Ok(enter::visit(&arguments)),
        Verb::Doctor(arguments) => doctor::doctor(&arguments),
        Verb::Replay(arguments) => {
            let replayed = liege_host::replay(&arguments.file)?;
            say(&format!("{replayed}\n"));
            Ok(if matches!(replayed, Replayed::Same { .. }) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Verb::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::for_people(), "liege", &mut script);
            say(&String::from_utf8_lossy(&script));
            Ok(ExitCode::SUCCESS)
        }
        Verb::Prober => liege_host::serve_prober(),
        Verb::Detach => liege_host::serve_detach(),
    }
}

fn run(arguments: &Run, pairs: Vec<(String, String)>) -> anyhow::Result<ExitCode> {
    liege_host::require_root()?; // before files are read: a mistake in them would hide it
    let Some(spec) = emperor::spec(arguments, pairs)? else { return Ok(ExitCode::FAILURE) };
    let format = match arguments.log_format {
        LogFormat::Text => Format::Text,
        LogFormat::Logfmt => Format::Logfmt,
        LogFormat::Json => Format::Json,
    };
    let _flush = liege_host::start_logs(format, arguments.log.as_deref())?;
    liege_host::run(&Options { spec, trace: arguments.trace.clone() })
}
