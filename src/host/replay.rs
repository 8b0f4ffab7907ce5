//! `liege replay FILE`: the recorded events through today's core, its answers beside the recorded ones.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use anyhow::{Context, bail};
use liege_core::{Action, Emperor, Event};

use crate::trace::{Header, Turn};

/// What a replay found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// The core answered as it did then.
    Same {
        /// How many events it was told.
        turns: usize,
    },
    /// The first turn with another answer.
    Differs {
        /// The line in the trace.
        line: usize,
        /// The event, as it stands there.
        event: String,
        /// The first action that differs, as recorded; None: none was recorded there.
        was: Option<String>,
        /// The same, as answered now.
        is: Option<String>,
    },
}

/// Runs a trace.
///
/// # Errors
/// The file cannot be read, or is no trace of this version.
pub fn replay(path: &Path) -> anyhow::Result<Replayed> {
    let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    let mut lines = BufReader::new(file).lines().enumerate();
    let Some((_, first)) = lines.next() else { bail!("{} is empty", path.display()) };
    let header: Header = serde_json::from_str(&first?)
        .with_context(|| format!("{}:1 is not the head of a trace of this version", path.display()))?;
    let mut core = Emperor::new(&header.spec, header.processors, header.limits);
    let mut turns = 0;
    for (index, line) in lines {
        let line = line.with_context(|| format!("read {}", path.display()))?;
        let turn: Turn<Event, Vec<Action>> = serde_json::from_str(&line)
            .with_context(|| format!("{}:{} is not a turn of this version", path.display(), index + 1))?;
        let event = serde_json::to_string(&turn.event)?;
        let actions = core.handle(turn.at, turn.event);
        if actions != turn.actions {
            let (was, is) = first_difference(&turn.actions, &actions)?;
            return Ok(Replayed::Differs { line: index + 1, event, was, is });
        }
        turns += 1;
    }
    Ok(Replayed::Same { turns })
}

type Pair = (Option<String>, Option<String>);

fn first_difference(was: &[Action], is: &[Action]) -> serde_json::Result<Pair> {
    let at = was.iter().zip(is).take_while(|(was, is)| was == is).count();
    let text = |actions: &[Action]| actions.get(at).map(serde_json::to_string).transpose();
    Ok((text(was)?, text(is)?))
}

impl std::fmt::Display for Replayed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Same { turns } => write!(f, "{turns} events, the same answers"),
            Self::Differs { line, event, was, is } => {
                let nothing = "nothing";
                writeln!(f, "line {line}: another answer than then")?;
                writeln!(f, "  event: {event}")?;
                writeln!(f, "  then:  {}", was.as_deref().unwrap_or(nothing))?;
                write!(f, "  now:   {}", is.as_deref().unwrap_or(nothing))
            }
        }
    }
}
