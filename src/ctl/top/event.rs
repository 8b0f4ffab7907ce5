//! What the model hears, and what it wants done.

use std::time::Duration;

use crossterm::event::KeyEvent;
use liege_core::{Detail, Name, Order, Reply, View};

use crate::Failure;

/// Something to react to.
#[derive(Debug)]
pub(crate) enum Event {
    /// How it is now.
    View(View),
    /// So much time has gone by.
    Tick(Duration),
    /// A key was pressed.
    Key(KeyEvent),
    /// The terminal has this many columns and lines now.
    Resized(u16, u16),
    /// What one of our questions brought.
    Told(Answer),
}

/// What the model wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Something is to be asked of the daemon.
    Ask(Ask),
    /// That was all.
    Quit,
}

/// A question to the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// The last lines of its log.
    Log(Name),
    /// Its cause and last ends.
    Detail(Name),
    /// Do this.
    Order(Name, Order),
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Lines as they are in the file.
    Log(Name, Result<Vec<Vec<u8>>, Failure>),
    /// Everything.
    Detail(Name, Result<Box<Detail>, Failure>),
    /// In the daemon's words.
    Order(Name, Order, Result<Reply, Failure>),
}
