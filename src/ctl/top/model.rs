//! What `top` knows and shows: events go in, a wish may come out, and a frame can be painted of it at any time.

use std::{collections::HashMap, time::Duration};

use liege_core::{Name, Order, Time, View};

use super::{
    event::{Answer, Event, Wish},
    history::History,
    keys,
    page::{Content, Kind, Page},
    row::Row,
    sort::Column,
};
use crate::Failure;

/// How long a slot of the histories is.
const SLOT: Duration = Duration::from_secs(2);

/// The daemon looks every two seconds and tells what has changed: after so long a silence nothing has.
const SILENCE: Duration = Duration::from_secs(5);

/// Everything.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) view: View,
    /// The daemon's time: that of the last snapshot and what has gone by since.
    pub(crate) now: Time,
    pub(crate) histories: HashMap<Name, History>,
    in_slot: Duration,
    silent: Duration,
    /// Who is shown, in order.
    pub(crate) rows: Vec<Row>,
    /// Who is meant by the keys.
    pub(crate) selected: Option<Name>,
    /// Where in the rows that is.
    pub(crate) cursor: usize,
    /// Somebody chose that one, so it is followed; else it is whoever comes first.
    pub(crate) is_held: bool,
    pub(crate) column: Column,
    pub(crate) is_reversed: bool,
    pub(crate) filter: String,
    pub(crate) mode: Mode,
    /// What came of the last order, until the next key.
    pub(crate) message: Option<String>,
    pub(crate) page: Option<Page>,
    /// Columns and lines of the terminal.
    pub(crate) size: (u16, u16),
    pub(crate) colours: bool,
}

/// What a key means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A command.
    Commands,
    /// A letter of the filter.
    Typing,
    /// Yes or no.
    Confirming(Name, Order),
}

impl Model {
    pub(crate) fn new(size: (u16, u16), colours: bool) -> Self {
        Self {
            view: View::default(),
            now: Time::default(),
            histories: HashMap::new(),
            in_slot: Duration::ZERO,
            silent: Duration::ZERO,
            rows: Vec::new(),
            selected: None,
            cursor: 0,
            is_held: false,
            column: Column::default(),
            is_reversed: false,
            filter: String::new(),
            mode: Mode::Commands,
            message: None,
            page: None,
            size,
            colours,
        }
    }

    /// Takes note of what happened.
    pub(crate) fn on(&mut self, event: Event) -> Option<Wish> {
        match event {
            Event::View(view) => self.see(view),
            Event::Tick(span) => return self.tick(span),
            Event::Key(key) => return keys::press(self, key),
            Event::Resized(columns, lines) => self.size = (columns, lines),
            Event::Told(answer) => self.hear(answer),
        }
        None
    }

    fn see(&mut self, view: View) {
        (self.now, self.silent) = (view.now, Duration::ZERO);
        // Of those that are gone nothing is kept.
        let mut old = std::mem::take(&mut self.histories);
        for vassal in &view.vassals {
            let mut history = old.remove(&vassal.name).unwrap_or_default();
            history.see(vassal, view.now);
            self.histories.insert(vassal.name.clone(), history);
        }
        self.view = view;
        self.arrange();
    }

    /// A page that is looked at is fetched anew: its vassal lives on.
    fn tick(&mut self, span: Duration) -> Option<Wish> {
        self.now = self.now + span;
        self.in_slot += span;
        self.silent += span;
        if self.silent >= SILENCE {
            self.histories.values_mut().for_each(History::rest);
        }
        while self.in_slot >= SLOT {
            self.in_slot -= SLOT;
            self.histories.values_mut().for_each(History::next_slot);
        }
        self.arrange();
        let page = self.page.as_mut().filter(|page| !page.is_asked)?;
        page.is_asked = true;
        Some(Wish::Ask(page.ask()))
    }

    /// The rows anew: filtered, sorted, and the same one selected as before, if it was chosen; where it is gone, who stands there now.
    pub(crate) fn arrange(&mut self) {
        let Self { view, histories, now, .. } = self;
        let vassals = view.vassals.iter().map(|vassal| Row::of(vassal, view, *now, histories.get(&vassal.name)));
        let unusable = view.unusable.iter().map(|(name, mistake)| Row::unusable(name, view.file_word(name), mistake));
        self.rows = vassals.chain(unusable).filter(|row| row.matches(&self.filter)).collect();
        self.rows.sort_by(|a, b| self.column.compare(a, b));
        if self.is_reversed {
            self.rows.reverse();
        }
        let stands = self.selected.as_ref().and_then(|name| self.rows.iter().position(|row| row.name == *name));
        self.select(if self.is_held { stands.unwrap_or(self.cursor) } else { 0 });
    }

    /// Sorts anew: what comes first then is what is looked for.
    pub(crate) fn sort(&mut self, column: Column, is_reversed: bool) {
        (self.column, self.is_reversed, self.is_held) = (column, is_reversed, false);
        self.arrange();
    }

    /// Chooses the row there, and it is followed; the first one is no choice.
    pub(crate) fn choose(&mut self, row: usize) {
        self.is_held = row > 0;
        self.select(row);
    }

    /// The row there, or the last one.
    fn select(&mut self, row: usize) {
        self.cursor = row.min(self.rows.len().saturating_sub(1));
        self.selected = self.rows.get(self.cursor).map(|row| row.name.clone());
    }

    /// Opens a page about who is selected.
    pub(crate) fn open(&mut self, kind: Kind) -> Option<Wish> {
        let page = Page::new(self.selected.clone()?, kind);
        let ask = page.ask();
        self.page = Some(page);
        Some(Wish::Ask(ask))
    }

    fn hear(&mut self, answer: Answer) {
        let told = |failure: Failure| Content::Failure(failure.to_string());
        match answer {
            Answer::Log(name, lines) => self.fill(&name, Kind::Log, lines.map_or_else(told, Content::Log)),
            Answer::Detail(name, of) => self.fill(&name, Kind::Cause, of.map_or_else(told, Content::Detail)),
            Answer::Order(name, order, reply) => {
                let said = reply.map_or_else(|failure| failure.to_string(), |reply| reply.to(order));
                self.message = Some(format!("{} {name}: {said}", order.word()));
            }
        }
    }

    /// An answer for a page that was left meanwhile is nobody's.
    fn fill(&mut self, name: &Name, kind: Kind, content: Content) {
        if let Some(page) = self.page.as_mut().filter(|page| page.name == *name && page.kind == kind) {
            (page.content, page.is_asked) = (content, false);
        }
    }
}
