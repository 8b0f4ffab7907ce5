//! Those who hear things for the model: a thread each, because each of them may have to wait.

use std::{
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use crossterm::event;
use liege_core::View;
use nix::sys::signal::{SigSet, Signal};

use super::event::{Answer, Ask, Event};
use crate::{Client, Failure};

/// What the loop hears.
#[derive(Debug)]
pub(crate) enum Heard {
    /// For the model.
    Event(Event),
    /// The daemon says nothing any more.
    Over(Failure),
    /// The terminal is gone, or somebody wants an end.
    Enough,
}

/// Starts one; without a thread it is over, with the reason.
fn start(to: &Sender<Heard>, source: impl FnOnce() + Send + 'static) {
    if let Err(error) = thread::Builder::new().spawn(source) {
        let _ = to.send(Heard::Over(Failure::Broken { why: format!("start a thread: {error}") }));
    }
}

/// The snapshots.
pub(crate) fn views(views: impl Iterator<Item = Result<View, Failure>> + Send + 'static, to: Sender<Heard>) {
    start(&to.clone(), move || {
        for view in views {
            let heard = match view {
                Ok(view) => Heard::Event(Event::View(view)),
                Err(failure) => Heard::Over(failure),
            };
            let is_over = matches!(heard, Heard::Over(_));
            if to.send(heard).is_err() || is_over {
                return;
            }
        }
    });
}

/// Keys, and changes of the terminal's size.
pub(crate) fn keys(to: Sender<Heard>) {
    start(&to.clone(), move || {
        loop {
            let heard = match event::read() {
                Ok(event::Event::Key(key)) => Heard::Event(Event::Key(key)),
                Ok(event::Event::Resize(columns, lines)) => Heard::Event(Event::Resized(columns, lines)),
                Ok(_) => continue,
                Err(_) => Heard::Enough,
            };
            let is_over = matches!(heard, Heard::Enough);
            if to.send(heard).is_err() || is_over {
                return;
            }
        }
    });
}

/// Signals that would end us with the terminal still ours. They are to be blocked before any thread is made.
pub(crate) fn signals(ends: SigSet, to: Sender<Heard>) {
    start(&to.clone(), move || {
        if ends.wait().is_ok() {
            let _ = to.send(Heard::Enough);
        }
    });
}

/// Which these are.
pub(crate) fn ends() -> SigSet {
    [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT].into_iter().collect()
}

/// Asks the daemon, one question after the other.
pub(crate) fn asker(client: Client, to: Sender<Heard>) -> Sender<Ask> {
    let (asks, asked): (_, Receiver<Ask>) = channel();
    start(&to.clone(), move || {
        for ask in asked {
            if to.send(Heard::Event(Event::Told(answer(&client, ask)))).is_err() {
                return;
            }
        }
    });
    asks
}

fn answer(client: &Client, ask: Ask) -> Answer {
    match ask {
        Ask::Log(name) => {
            let lines = client.log(&name, super::page::LOG_LINES).and_then(Iterator::collect);
            Answer::Log(name, lines)
        }
        Ask::Detail(name) => {
            let of = client.vassal(&name).map(Box::new);
            Answer::Detail(name, of)
        }
        Ask::Order(name, order) => {
            let reply = client.order(&name, order);
            Answer::Order(name, order, reply)
        }
    }
}
