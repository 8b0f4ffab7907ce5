//! How things are shown: colours, and how wide the terminal is.

use std::{io::IsTerminal, os::fd::AsFd};

/// How it is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Escape sequences may be used.
    pub colours: bool,
    /// Columns of the terminal; None: as wide as it gets, for programs that read it.
    pub width: Option<usize>,
}

impl Style {
    /// Colours on a terminal only, and never with `NO_COLOR`; the width is that of the terminal, or what `COLUMNS` says.
    #[must_use]
    pub fn of_stdout() -> Self {
        Self::of(&std::io::stdout())
    }

    /// The same of the other channel.
    #[must_use]
    pub fn of_stderr() -> Self {
        Self::of(&std::io::stderr())
    }

    fn of(channel: &(impl IsTerminal + AsFd)) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).filter(|columns| *columns > 0);
        let terminal = || terminal_size::terminal_size_of(channel).map(|(width, _)| usize::from(width.0));
        Self { colours: wanted && channel.is_terminal(), width: columns.or_else(terminal) }
    }

    /// The text in a colour (the number of an escape sequence), where there is one and it may be used.
    pub(crate) fn paint(self, text: &str, colour: Option<&str>) -> String {
        match colour.filter(|_| self.colours && !text.is_empty()) {
            Some(colour) => format!("\x1b[{colour}m{text}\x1b[0m"),
            None => text.to_owned(),
        }
    }
}

pub(crate) const RED: &str = "31";
pub(crate) const YELLOW: &str = "33";
pub(crate) const FAINT: &str = "2";
