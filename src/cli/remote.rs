//! The verbs that look at a running daemon, and the exit codes of all that ask it.

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
};

use liege_core::{Name, View};
use liege_ctl::{Client, Failure, Style, Told, detail, happened, repeated, resolve, shown_json, table};
use serde::Serialize;

use crate::{
    arguments::{Events, Status},
    say::say,
};

const NO_DAEMON: u8 = 3;
const NO_SUCH_VASSAL: u8 = 4;

/// `liege status`
pub(crate) fn status(arguments: &Status) -> ExitCode {
    let client = Client::new(&arguments.remote.control);
    answer(match (arguments.watch, arguments.names.as_slice()) {
        (true, _) => watch(&client, arguments),
        (false, [name]) => one(&client, name, arguments),
        (false, _) => client.vassals(&arguments.names, arguments.usage).map(|view| {
            if arguments.json {
                say(&pretty(&view));
            } else {
                say(&table(&view, Style::of_stdout()));
            }
        }),
    })
}

/// With everything.
fn one(client: &Client, name: &str, arguments: &Status) -> Result<(), Failure> {
    let name = whole(client, name)?;
    let of = client.vassal(&name)?;
    if arguments.json {
        say(&pretty(&of));
    } else {
        say(&detail(&name, &of, Style::of_stdout()));
    }
    Ok(())
}

/// On a terminal each table takes the place of the one before.
fn watch(client: &Client, arguments: &Status) -> Result<(), Failure> {
    const HOME: &str = "\x1b[H";
    const CLEAR_LINE: &str = "\x1b[K\n";
    const CLEAR_BELOW: &str = "\x1b[J";
    let is_terminal = std::io::stdout().is_terminal();
    if is_terminal && !arguments.json {
        say("\x1b[2J");
    }
    for view in client.watch(arguments.names.clone(), arguments.usage)? {
        let view = view?;
        let text = match (arguments.json, is_terminal) {
            (true, _) => line(&view),
            (false, true) => {
                let text = table(&view, Style::of_stdout());
                format!("{HOME}{}{CLEAR_BELOW}", text.replace('\n', CLEAR_LINE))
            }
            (false, false) => table(&view, Style::of_stdout()) + "\n",
        };
        if !goes_on(&text) {
            return Ok(());
        }
    }
    Ok(())
}

/// `liege events`
pub(crate) fn events(arguments: &Events) -> ExitCode {
    answer(tell_events(&Client::new(&arguments.remote.control), arguments))
}

fn tell_events(client: &Client, arguments: &Events) -> Result<(), Failure> {
    // One that is gone has no whole name any more, but perhaps a past.
    let vassal = match arguments.name.as_deref().map(|name| (name, whole(client, name))) {
        None => None,
        Some((_, Ok(name))) => Some(name),
        Some((name, Err(Failure::NoSuchVassal { .. }))) if !client.events(Some(name), 1)?.is_empty() => Some(name.into()),
        Some((_, Err(failure))) => return Err(failure),
    };
    let style = Style::of_stdout();
    let text = |happening: &liege_core::Happening| if arguments.json { line(happening) } else { happened(happening, style) };
    if !arguments.follow {
        let events = client.events(vassal.as_deref(), arguments.last)?;
        // A person reads what repeats itself once, a machine all of it.
        let events = if arguments.json { events } else { repeated(events) };
        say(&events.iter().map(text).collect::<String>());
        return Ok(());
    }
    for told in client.follow(vassal.as_deref(), arguments.last)? {
        match told? {
            Told::Happening(happening) => {
                if !goes_on(&text(&happening)) {
                    return Ok(());
                }
            }
            Told::Missed(count) => eprintln!("liege: {count} events were lost: this was read too slowly"),
        }
    }
    Ok(())
}

/// The whole name of what somebody typed.
pub(crate) fn whole(client: &Client, name: &str) -> Result<Name, Failure> {
    resolve(name, names(&client.vassals(&[], false)?).iter())
}

/// Of vassals, and of files that never were usable.
pub(crate) fn names(view: &View) -> Vec<Name> {
    let vassals = view.vassals.iter().map(|vassal| &vassal.name);
    vassals.chain(view.unusable.iter().map(|(name, _)| name)).cloned().collect()
}

fn pretty(of: &impl Serialize) -> String {
    shown_json(&serde_json::to_string_pretty(of).unwrap_or_default()) + "\n"
}

fn line(of: &impl Serialize) -> String {
    shown_json(&serde_json::to_string(of).unwrap_or_default()) + "\n"
}

/// Writes, and says whether anybody still reads.
fn goes_on(text: &str) -> bool {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
}

/// The exit code of a question.
pub(crate) fn answer(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => tell(&failure),
    }
}

/// Says why not; the exit code.
pub(crate) fn tell(failure: &Failure) -> ExitCode {
    eprintln!("liege: {failure}");
    match failure {
        Failure::NoDaemon { .. } | Failure::Ended => NO_DAEMON.into(),
        Failure::NoSuchVassal { .. } | Failure::Ambiguous { .. } => NO_SUCH_VASSAL.into(),
        Failure::Refused { .. } | Failure::Broken { .. } => ExitCode::FAILURE,
    }
}
