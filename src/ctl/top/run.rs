//! The loop: hear, tell the model, paint.

use std::{
    fmt,
    io::{self, IsTerminal},
    sync::mpsc::{RecvTimeoutError, channel},
    time::{Duration, Instant},
};

use super::{
    event::{Event, Wish},
    model::Model,
    screen::Screen,
    sources::{self, Heard},
};
use crate::{Client, Failure, Style};

/// How often time goes by.
const TICK: Duration = Duration::from_secs(1);

/// Why it could not go on.
#[derive(Debug)]
pub enum Stopped {
    /// There is none to show it on.
    NoTerminal,
    /// The terminal's mistake.
    Terminal(io::Error),
    /// The daemon's.
    Daemon(Failure),
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTerminal => f.write_str("top needs a terminal; `liege status --watch` does not"),
            Self::Terminal(error) => write!(f, "the terminal: {error}"),
            Self::Daemon(failure) => failure.fmt(f),
        }
    }
}

impl std::error::Error for Stopped {}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Self {
        Self::Terminal(error)
    }
}

/// Shows all vassals until somebody has seen enough. The terminal is then what it was, whatever is returned.
///
/// # Errors
/// No terminal, or it fails; no daemon, or it ends meanwhile.
pub fn top(client: &Client) -> Result<(), Stopped> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(Stopped::NoTerminal);
    }
    let views = client.watch(Vec::new(), true).map_err(Stopped::Daemon)?;
    let ends = sources::ends();
    ends.thread_block().map_err(io::Error::from)?;
    let mut screen = Screen::take()?;
    let mut model = Model::new(screen.size()?, Style::of_stdout().colours);
    let (to, heard) = channel();
    sources::signals(ends, to.clone());
    sources::views(views, to.clone());
    sources::keys(to.clone());
    let asks = sources::asker(client.clone(), to);
    let mut ticked = Instant::now();
    loop {
        let first = heard.recv_timeout(TICK.saturating_sub(ticked.elapsed()));
        if matches!(first, Err(RecvTimeoutError::Disconnected)) {
            return Ok(()); // all who hear are gone; the signals' thread never is
        }
        let mut events = Vec::new();
        // Whatever waits is painted at once: one frame for many events.
        for heard in first.into_iter().chain(heard.try_iter()) {
            match heard {
                Heard::Event(event) => events.push(event),
                Heard::Over(failure) => return Err(Stopped::Daemon(failure)),
                Heard::Enough => return Ok(()),
            }
        }
        let since = ticked.elapsed();
        if since >= TICK {
            ticked += since;
            events.push(Event::Tick(since));
        }
        for event in events {
            match model.on(event) {
                Some(Wish::Quit) => return Ok(()),
                Some(Wish::Ask(ask)) => drop(asks.send(ask)),
                None => {}
            }
        }
        screen.show(&model)?;
    }
}
