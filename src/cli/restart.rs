//! `liege restart`: at once, or rolling with `--wait`: so many at a time.

use std::{
    process::ExitCode,
    thread::sleep,
    time::{Duration, Instant},
};

use liege_core::{Name, Order, Phase, View};
use liege_ctl::{Client, Failure, Rolling};

use crate::{
    arguments::Restart,
    bar::Bar,
    orders::{ask, meant, waits},
    remote::{answer, tell},
    stop::{lost, newest_event},
};

/// Between two looks at the daemon at least.
pub(crate) const LOOK: Duration = Duration::from_millis(50);
/// Of our time at most so much is spent on asking: one part in so many.
pub(crate) const SHARE: u32 = 10;

pub(crate) fn restart(arguments: &Restart) -> ExitCode {
    let client = Client::new(&arguments.remote.control);
    let meant = match meant(&client, &arguments.whom) {
        // Those that somebody has stopped are not meant by all.
        Ok(meant) if arguments.whom.all => client.vassals(&[], false).map(|view| {
            let is_stopped =
                |name: &Name| view.vassals.iter().any(|v| v.name == *name && v.phase == Phase::Suspended && !v.gave_up);
            meant.into_iter().filter(|name| !name.as_ref().is_ok_and(is_stopped)).collect()
        }),
        meant => meant,
    };
    if !arguments.wait {
        return ask(&client, meant, Order::Restart);
    }
    // A rolling restart of some that are not there is not what was meant: nothing is begun.
    let names = match meant.and_then(|names| names.into_iter().collect::<Result<Vec<Name>, Failure>>()) {
        Ok(names) => names,
        Err(failure) => return tell(&failure),
    };
    match roll(&client, names, arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => answer(Err(failure)),
    }
}

/// It is up again all the same: both are said.
fn with_loss(outcome: Result<(), String>, loss: Option<String>, took: Duration) -> Result<(), String> {
    match (outcome, loss) {
        (outcome, None) => outcome,
        (Ok(()), Some(loss)) => Err(format!("up again after {:.1}s, but {loss}", took.as_secs_f64())),
        // The end that failed is the one that has lost it.
        (Err(why), Some(loss)) if why.contains(&loss) => Err(why),
        (Err(why), Some(loss)) => Err(format!("{why}; {loss}")),
    }
}

/// Whether all of them are up again, and nothing was lost.
fn roll(client: &Client, names: Vec<Name>, arguments: &Restart) -> Result<bool, Failure> {
    let mut bar = Bar::new(names.len(), "up again");
    let mut began: Vec<(Name, Instant)> = Vec::new();
    let parallel = arguments.parallel.map_or(1, usize::from);
    let mut rolling = Rolling::new(names, parallel, arguments.keep_going, Duration::from_secs_f64(arguments.settle));
    let newest = newest_event(client)?;
    let (mut view, mut took) = look(client)?;
    loop {
        while let Some(name) = rolling.next(&view) {
            began.push((name.clone(), Instant::now()));
            match client.order_patiently(&name, Order::Restart, &|| waits(&name, Order::Restart)) {
                Ok(_) => {}
                Err(Failure::Refused { why, .. }) => {
                    rolling.refused(&name);
                    bar.tell(&name, Err(format!("refused: {why}")), Duration::ZERO);
                }
                Err(Failure::NoSuchVassal { .. }) => {
                    rolling.refused(&name);
                    bar.tell(&name, Err("its file is gone".to_owned()), Duration::ZERO);
                }
                Err(failure) => {
                    bar.clear();
                    return Err(failure);
                }
            }
        }
        bar.show(rolling.under_way());
        if rolling.is_over() {
            break;
        }
        sleep(LOOK.max(took * SHARE));
        match look(client) {
            Ok(looked) => (view, took) = looked,
            Err(failure) => {
                bar.clear();
                return Err(failure);
            }
        }
        for (name, outcome) in rolling.look(&view) {
            let since = began.iter().rev().find(|(other, _)| *other == name).map_or(Duration::ZERO, |(_, at)| at.elapsed());
            let loss = lost(client, &name, newest);
            if loss.is_some() {
                rolling.lost();
            }
            bar.tell(&name, with_loss(outcome, loss, since), since);
        }
    }
    bar.clear();
    if rolling.left() > 0 {
        eprintln!("liege: {} were not restarted, because one has failed (--keep-going goes on)", rolling.left());
    }
    Ok(!rolling.has_failed())
}

pub(crate) fn look(client: &Client) -> Result<(View, Duration), Failure> {
    let start = Instant::now();
    client.vassals(&[], false).map(|view| (view, start.elapsed()))
}
