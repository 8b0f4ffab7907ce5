//! One vassal, or one file that never was usable, as a line of the table.

use std::time::Duration;

use liege_core::{Name, Time, VassalView, View};

use super::history::History;
use crate::{
    style::{FAINT, RED, YELLOW},
    words::{colour, first_line, is_ill, mount, restarts, shown, state, trouble},
};

/// What the columns show, and what they are sorted by.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) name: Name,
    /// With its particulars: `running, ready`.
    pub(crate) state: String,
    /// How it does, without what changes from moment to moment: rows that are sorted by it stay where they are.
    pub(crate) rank: &'static str,
    /// As in `status`.
    pub(crate) colour: Option<&'static str>,
    pub(crate) up: Option<Duration>,
    pub(crate) restarts: u64,
    pub(crate) memory: Option<u64>,
    /// Share of a processor.
    pub(crate) cpu: Option<f64>,
    /// `/app:ok`, one each.
    pub(crate) mounts: Vec<String>,
    /// How many of them do not do their work.
    pub(crate) ill: usize,
    /// The worst that is to be said of it.
    pub(crate) trouble: Option<String>,
}

impl Row {
    pub(crate) fn of(vassal: &VassalView, view: &View, now: Time, history: Option<&History>) -> Self {
        Self {
            name: vassal.name.clone(),
            state: state(vassal, now),
            rank: vassal.state(),
            colour: colour(vassal),
            up: vassal.up_since.map(|since| now.since(since)),
            restarts: restarts(vassal),
            memory: vassal.usage.map(|usage| usage.rss),
            cpu: history.and_then(|history| history.cpu),
            mounts: vassal.mounts.iter().map(|of| shown(&mount(of))).collect(),
            ill: vassal.mounts.iter().filter(|of| is_ill(of)).count(),
            trouble: trouble(vassal, view).map(|trouble| shown(&trouble)),
        }
    }

    pub(crate) fn unusable(name: &Name, state: &str, mistake: &str) -> Self {
        Self {
            name: name.clone(),
            state: state.to_owned(),
            rank: "bad file",
            colour: Some(RED),
            up: None,
            restarts: 0,
            memory: None,
            cpu: None,
            mounts: Vec::new(),
            ill: 0,
            trouble: Some(shown(first_line(mistake))),
        }
    }

    /// Whether the text is in its name or its state, in whatever case.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        self.name.to_lowercase().contains(&text) || self.state.to_lowercase().contains(&text)
    }

    /// How bad its state is; 0 is worst.
    pub(crate) fn badness(&self) -> u8 {
        match self.colour {
            Some(RED) => 0,
            Some(YELLOW) => 1,
            Some(FAINT) => 3,
            Some(_) | None => 2,
        }
    }
}
