//! `liege stop`: at once, or with `--wait` until all have ended, and with what that has cost.

use std::{process::ExitCode, thread::sleep, time::Instant};

use liege_core::{Name, Order};
use liege_ctl::{Client, Failure, Stopping};

use crate::{
    arguments::Stop,
    bar::Bar,
    orders::{ask, ask_one, meant},
    remote::{answer, tell},
    restart::{LOOK, SHARE, look},
    say::say,
};

/// Of the past of a vassal, what is asked for the losses of its end.
const EVENTS: usize = 64;

pub(crate) fn stop(arguments: &Stop) -> ExitCode {
    let client = Client::new(&arguments.remote.control);
    let meant = meant(&client, &arguments.whom);
    if !arguments.wait {
        return ask(&client, meant, Order::Stop);
    }
    match meant.and_then(|meant| stop_and_wait(&client, meant)) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(code)) => code,
        Err(failure) => answer(Err(failure)),
    }
}

/// The code of the first failure. All are asked, then all are waited for.
fn stop_and_wait(client: &Client, meant: Vec<Result<Name, Failure>>) -> Result<Option<ExitCode>, Failure> {
    let newest = newest_event(client)?;
    let (before, mut took) = look(client)?;
    let (mut stopping, mut first_failure) = (Stopping::default(), None);
    let mut bar = Bar::new(meant.len(), "stopped");
    for name in meant {
        let asked = name.and_then(|name| {
            let reply = ask_one(client, &name, Order::Stop)?;
            if !stopping.asked(&name, &before) {
                say(&format!("{name}: {reply}\n"));
            }
            Ok(())
        });
        if let Err(failure) = asked {
            let code = tell(&failure);
            first_failure.get_or_insert(code);
        }
    }
    let began = Instant::now();
    while !stopping.is_over() {
        bar.show(stopping.under_way());
        sleep(LOOK.max(took * SHARE));
        let looked = look(client).inspect_err(|_| bar.clear())?;
        took = looked.1;
        for (name, outcome) in stopping.look(&looked.0) {
            let outcome = outcome.and_then(|()| lost(client, &name, newest).map_or(Ok(()), Err));
            if outcome.is_err() {
                first_failure.get_or_insert(ExitCode::FAILURE);
            }
            bar.tell(&name, outcome, began.elapsed());
        }
    }
    bar.clear();
    Ok(first_failure)
}

/// Whatever is told from here on is about ends that are asked for now.
pub(crate) fn newest_event(client: &Client) -> Result<u64, Failure> {
    Ok(client.events(None, 1)?.last().map_or(0, |happening| happening.id))
}

/// What it had not written back, in the words of the log.
pub(crate) fn lost(client: &Client, name: &Name, newest: u64) -> Option<String> {
    match client.events(Some(&**name), EVENTS) {
        Ok(events) => events.into_iter().find(|event| event.id > newest && event.kind == "unsaved").map(|event| event.text),
        Err(failure) => Some(format!("whether its end lost anything is not known: {failure}")),
    }
}
