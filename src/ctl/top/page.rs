//! A page that takes the place of the table: a vassal's log, or its cause.

use liege_core::{Detail, Name};

use super::event::Ask;
use crate::{
    Style, detail, line,
    words::{columns, wrap},
};

/// So many lines of a log are fetched.
pub(crate) const LOG_LINES: &str = "200";

/// What is shown of whom.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) name: Name,
    pub(crate) kind: Kind,
    pub(crate) content: Content,
    /// The first line on the screen; None: as far down as it goes, also when more comes.
    pub(crate) top: Option<usize>,
    /// A question is under way.
    pub(crate) is_asked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Log,
    Cause,
}

#[derive(Debug)]
pub(crate) enum Content {
    /// Not heard yet.
    Awaited,
    Log(Vec<Vec<u8>>),
    Detail(Box<Detail>),
    /// Why there is nothing.
    Failure(String),
}

impl Page {
    pub(crate) fn new(name: Name, kind: Kind) -> Self {
        let top = match kind {
            Kind::Log => None,
            Kind::Cause => Some(0),
        };
        Self { name, kind, content: Content::Awaited, top, is_asked: true }
    }

    /// What brings its content.
    pub(crate) fn ask(&self) -> Ask {
        match self.kind {
            Kind::Log => Ask::Log(self.name.clone()),
            Kind::Cause => Ask::Detail(self.name.clone()),
        }
    }

    pub(crate) fn title(&self) -> String {
        match self.kind {
            Kind::Log => format!("the last lines of {}", self.name),
            Kind::Cause => format!("how {} is, and its last ends", self.name),
        }
    }

    /// In lines of so many columns.
    pub(crate) fn lines(&self, width: u16) -> Vec<String> {
        let width = usize::from(width);
        let plain = Style { colours: false, width: Some(width) };
        let text = match &self.content {
            Content::Awaited => "...".to_owned(),
            Content::Log(lines) if lines.is_empty() => "it has said nothing".to_owned(),
            Content::Log(lines) => lines.iter().map(|raw| line(raw, plain)).collect(),
            Content::Detail(of) => detail(&self.name, of, plain),
            Content::Failure(why) => why.clone(),
        };
        // What fits keeps its blanks.
        let fit = |line: &str| if columns(line) <= width { vec![line.to_owned()] } else { wrap(line, Some(width)) };
        text.lines().flat_map(fit).collect()
    }

    /// The first line on a screen that has room for `height` of `count`.
    pub(crate) fn first(&self, count: usize, height: usize) -> usize {
        let last = count.saturating_sub(height);
        self.top.unwrap_or(last).min(last)
    }

    /// Up or down; at the end it sticks there, where it is a log.
    pub(crate) fn scroll(&mut self, by: isize, (width, height): (u16, usize)) {
        let count = self.lines(width).len();
        let to = self.first(count, height).saturating_add_signed(by).min(count.saturating_sub(height));
        let sticks = self.kind == Kind::Log && by > 0 && to + height >= count;
        self.top = (!sticks).then_some(to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_sticks_to_its_end_until_somebody_scrolls() {
        let mut page = Page::new("a.ini".into(), Kind::Log);
        let lines = |count: usize| Content::Log((0..count).map(|n| format!("{n}Z app: x\n").into_bytes()).collect());
        page.content = lines(10);
        assert_eq!(page.first(10, 4), 6);
        page.scroll(-2, (60, 4));
        page.content = lines(20);
        assert_eq!(page.first(20, 4), 4, "what comes does not move what is read");
        page.scroll(100, (60, 4));
        page.content = lines(30);
        assert_eq!(page.first(30, 4), 26);
    }
}
