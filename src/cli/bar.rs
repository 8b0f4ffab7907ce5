//! What a verb that waits for many vassals shows meanwhile.

use std::{
    io::{IsTerminal, Write},
    time::Duration,
};

use liege_core::Name;
use liege_ctl::shown;

use crate::say::say;

/// `[########--------] 12/50  shop.ini, blog.ini`, on a terminal; and a line for each that is over.
pub(crate) struct Bar {
    all: usize,
    over: usize,
    /// What is said of one that did as it was asked.
    well: &'static str,
    /// The columns of the terminal, if there is one.
    width: Option<usize>,
}

impl Bar {
    pub(crate) fn new(all: usize, well: &'static str) -> Self {
        let width = std::io::stderr().is_terminal().then(|| liege_ctl::Style::of_stderr().width.unwrap_or(80));
        Self { all, over: 0, well, width }
    }

    pub(crate) fn tell(&mut self, name: &Name, outcome: Result<(), String>, took: Duration) {
        self.over += 1;
        self.clear();
        match outcome {
            Ok(()) => say(&format!("{name}: {} after {:.1}s\n", self.well, took.as_secs_f64())),
            Err(why) => eprintln!("liege: {name}: {}", why.lines().next().unwrap_or_default()),
        }
    }

    pub(crate) fn show<'a>(&self, under_way: impl Iterator<Item = &'a Name>) {
        let Some(width) = self.width else { return };
        let names: Vec<&str> = under_way.map(|name| &**name).collect();
        let line = bar(self.over, self.all, &names.join(", "), width);
        // Nobody is helped by knowing that the bar could not be drawn.
        let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
    }

    pub(crate) fn clear(&self) {
        if self.width.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn bar(over: usize, all: usize, names: &str, width: usize) -> String {
    const CELLS: usize = 20;
    let full = (over * CELLS).checked_div(all).unwrap_or(CELLS).min(CELLS);
    let line = format!("[{}{}] {over}/{all}  {names}", "#".repeat(full), "-".repeat(CELLS - full));
    shown(&line).chars().take(width.saturating_sub(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_full_at_the_end_and_never_too_long() {
        assert_eq!(bar(0, 4, "a.ini, b.ini", 80), "[--------------------] 0/4  a.ini, b.ini");
        assert_eq!(bar(1, 4, "", 80), "[#####---------------] 1/4  ");
        assert_eq!(bar(4, 4, "", 80), "[####################] 4/4  ");
        assert_eq!(bar(0, 0, "", 80), "[####################] 0/0  ");
        assert_eq!(bar(1, 4, "a-very-long-name", 30).len(), 29);
    }
}
