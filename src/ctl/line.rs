//! A line of a vassal's log for a terminal: `TIME SOURCE: TEXT`, where the text may be anything.
//!
//! What an app writes is not to be trusted with the terminal of whoever reads it: a control character is shown, not sent.

use crate::{
    style::{FAINT, Style, YELLOW},
    words::shown,
};

/// The line, with its end.
#[must_use]
pub fn line(raw: &[u8], style: Style) -> String {
    let text = String::from_utf8_lossy(raw.strip_suffix(b"\n").unwrap_or(raw));
    let shown = shown(&text);
    let Some((stamp, rest)) = shown.split_once(' ').filter(|(stamp, _)| stamp.ends_with('Z')) else { return shown + "\n" };
    // The logger's own words: what was dropped, what could not be written.
    let colour = rest.starts_with("liege: ").then_some(YELLOW);
    format!("{} {}\n", style.paint(stamp, Some(FAINT)), style.paint(rest, colour))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_app_writes_cannot_play_with_the_terminal() {
        let shown = line(b"2026-11-22T03:04:05.678Z app: a\x1b]0;title\x07\tb\xff\xc2\x9bc\x7f\r\n", Style::default());
        assert_eq!(shown, "2026-11-22T03:04:05.678Z app: a\\u{1b}]0;title\\u{7}\tb\u{fffd}\\u{9b}c\\u{7f}\\r\n");
    }

    #[test]
    fn the_time_is_faint_and_the_loggers_own_words_stand_out() {
        let style = Style { colours: true, width: None };
        assert_eq!(line(b"1Z app: x\n", style), "\x1b[2m1Z\x1b[0m app: x\n");
        assert_eq!(line(b"1Z liege: x\n", style), "\x1b[2m1Z\x1b[0m \x1b[33mliege: x\x1b[0m\n");
        assert_eq!(line(b"no stamp", style), "no stamp\n");
    }
}
