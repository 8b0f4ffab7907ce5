//! The verbs that ask vassals to do something. All of them are asked; the first failure decides the exit code.

use std::process::ExitCode;

use liege_core::{Name, Order, Reply};
use liege_ctl::{Client, Failure, resolve};

use crate::{
    arguments::{Clear, Orders, Rescan, Whom},
    remote::{answer, names, tell},
    say::say,
};

/// `liege start`, `reload`
pub(crate) fn order(arguments: &Orders, order: Order) -> ExitCode {
    let client = Client::new(&arguments.remote.control);
    ask(&client, meant(&client, &arguments.whom), order)
}

/// `liege clear`
pub(crate) fn clear(arguments: &Clear) -> ExitCode {
    let client = Client::new(&arguments.remote.control);
    if arguments.all || arguments.names.is_empty() {
        return answer(client.order_all(Order::Clear).map(|reply| say(&format!("{reply}\n"))));
    }
    ask(&client, meant(&client, &Whom { names: arguments.names.clone(), all: false }), Order::Clear)
}

/// `liege rescan`
pub(crate) fn rescan(arguments: &Rescan) -> ExitCode {
    answer(Client::new(&arguments.remote.control).rescan(arguments.force).map(|reply| say(&format!("{reply}\n"))))
}

/// The whole names of who is meant, in the order of the command line; who is not there fails alone.
pub(crate) fn meant(client: &Client, whom: &Whom) -> Result<Vec<Result<Name, Failure>>, Failure> {
    let view = client.vassals(&[], false)?;
    if whom.all {
        return Ok(view.vassals.into_iter().map(|vassal| Ok(vassal.name)).collect());
    }
    let known = names(&view);
    Ok(whom.names.iter().map(|name| resolve(name, known.iter())).collect())
}

/// Asks one of many: a refusal names it.
pub(crate) fn ask_one(client: &Client, name: &Name, order: Order) -> Result<Reply, Failure> {
    client.order_patiently(name, order, &|| waits(name, order)).map_err(|failure| match failure {
        Failure::Refused { why, .. } => Failure::Refused { vassal: Some(name.to_string()), why },
        other => other,
    })
}

/// An order is not answered at once: its vassal's file is read for it, and that lasts.
pub(crate) fn waits(name: &Name, order: Order) {
    match order {
        Order::Start | Order::Restart | Order::Reload => eprintln!("liege: {name}: waiting for its file to be read"),
        Order::Stop | Order::Clear => {}
    }
}

/// Asks each of them and says what it answered.
pub(crate) fn ask(client: &Client, meant: Result<Vec<Result<Name, Failure>>, Failure>, order: Order) -> ExitCode {
    let meant = match meant {
        Ok(meant) => meant,
        Err(failure) => return tell(&failure),
    };
    let mut first_failure = None;
    for name in meant {
        let answered = name.and_then(|name| {
            let reply = ask_one(client, &name, order)?;
            say(&format!("{name}: {}\n", reply.to(order)));
            Ok(())
        });
        if let Err(failure) = answered {
            let code = tell(&failure);
            first_failure.get_or_insert(code);
        }
    }
    first_failure.unwrap_or(ExitCode::SUCCESS)
}
