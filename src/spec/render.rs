//! A mistake as people see it. One function, so that log, `check` and `status` agree.
//!
//! ```text
//! shop.ini:2:8: error: there is no user "nobodyknows" [unknown-user]
//!   | \tuid = nobodyknows
//!   | \t      ^^^^^^^^^^^
//!   = hint: create it (useradd --system NAME), or name one that exists
//! ```
//!
//! The caret line has a cell for each cell of the line above it: a tab for a tab, two blanks for a wide character, none for an
//! accent that stands on the letter before it. What a terminal would obey instead of show is shown as a picture of it.

use std::fmt;

use unicode_width::UnicodeWidthChar;

use crate::{Diagnostic, Severity};

/// Escape sequences around the parts; all empty without colours.
struct Paint {
    place: &'static str,
    kind: &'static str,
    hint: &'static str,
    dim: &'static str,
    off: &'static str,
}

impl Diagnostic {
    /// `path:line:col: error: message [code]`, the line, a caret, a hint; without a line break at the end.
    #[must_use]
    pub fn render(&self, colours: bool) -> String {
        let (word, kind) = match self.severity {
            Severity::Warning => ("warning", "\x1b[1;33m"),
            Severity::Error => ("error", "\x1b[1;31m"),
        };
        let Paint { place, kind, hint, dim, off } = if colours {
            Paint { place: "\x1b[1m", kind, hint: "\x1b[1;36m", dim: "\x1b[2m", off: "\x1b[0m" }
        } else {
            Paint { place: "", kind: "", hint: "", dim: "", off: "" }
        };
        let at = if self.line == 0 { String::new() } else { format!("{}:{}:", self.line, self.column) };
        let (file, message, code) = (visible(&self.file), visible(&self.message), self.code);
        let mut shown = format!("{place}{file}:{at}{off} {kind}{word}:{off} {message} {dim}[{code}]{off}");
        if self.line > 0 && !self.text.is_empty() {
            let (lead, carets) = self.carets();
            let text = visible(&self.text);
            shown.push_str(&format!("\n  {dim}|{off} {text}\n  {dim}|{off} {lead}{kind}{carets}{off}"));
        }
        if let Some(advice) = &self.hint {
            shown.push_str(&format!("\n  {dim}={off} {hint}hint:{off} {}", visible(advice)));
        }
        shown
    }

    /// What stands before the carets, and they themselves.
    fn carets(&self) -> (String, String) {
        let mut characters = self.text.chars();
        let before = characters.by_ref().take(self.column.saturating_sub(1) as usize);
        let lead: String = before.map(|c| if c == '\t' { "\t".to_owned() } else { " ".repeat(cells(c)) }).collect();
        let marked: String = characters
            .take(self.width as usize)
            // How wide a tab is only the terminal knows: inside of what is marked it stays a gap.
            .map(|c| if c == '\t' { "\t".to_owned() } else { "^".repeat(cells(c)) })
            .collect();
        let carets = if marked.trim().is_empty() { "^" } else { marked.trim_end() };
        (lead, carets.to_owned())
    }
}

impl fmt::Display for Diagnostic {
    /// Without colours.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

/// How many cells of a terminal it takes.
fn cells(c: char) -> usize {
    picture(c).width().unwrap_or(1)
}

/// A text as it is safe to show: whoever wrote the file may not be whoever reads the message.
fn visible(text: &str) -> String {
    text.chars().map(picture).collect()
}

fn picture(c: char) -> char {
    match c {
        '\t' => c,
        '\0'..='\x1f' => char::from_u32(0x2400 + c as u32).unwrap_or('?'),
        '\x7f'..='\u{9f}' => '\u{2421}',
        // These end a line, turn the rest of it around, or hide what they stand between.
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => '\u{fffd}',
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    fn at(text: &str, column: u32, width: u32) -> Diagnostic {
        Diagnostic {
            line: 3,
            column,
            width,
            text: text.into(),
            ..Diagnostic::of_file(Severity::Error, Code::BadValue, "a.ini", "is wrong")
        }
    }

    #[test]
    fn the_carets_stand_under_what_is_meant() {
        for (text, column, width, line, carets) in [
            ("uid = shop", 7, 4, "uid = shop", "      ^^^^"),
            ("\tuid\t= shop", 8, 4, "\tuid\t= shop", "\t   \t  ^^^^"),
            ("é = ключ", 5, 4, "é = ключ", "    ^^^^"),
            ("名 = 值 x", 7, 1, "名 = 值 x", "        ^"),
            ("名 = 值 x", 5, 1, "名 = 值 x", "     ^^"),
            ("e\u{301} = x", 6, 1, "e\u{301} = x", "    ^"),
            ("🦀 = x", 5, 1, "🦀 = x", "     ^"),
            ("a = b\tc", 5, 3, "a = b\tc", "    ^\t^"),
            ("a = \t", 5, 1, "a = \t", "    ^"),
            ("a =", 4, 1, "a =", "   ^"),
            ("a = \x1b[31mx", 10, 1, "a = ␛[31mx", "         ^"),
        ] {
            let shown = at(text, column, width).render(false);
            assert_eq!(shown, format!("a.ini:3:{column}: error: is wrong [bad-value]\n  | {line}\n  | {carets}"));
        }
    }

    #[test]
    fn colours_are_around_the_same_text() {
        let mistake = at("uid = shop", 7, 4).with_hint("mend it");
        let coloured = mistake.render(true);
        let bare: String = coloured.split("\x1b[").map(|part| part.split_once('m').map_or("", |(_, text)| text)).collect();
        assert_eq!(bare, mistake.render(false));
        assert!(mistake.render(true).contains("\x1b[1;31m^^^^\x1b[0m"));
    }

    #[test]
    fn nothing_in_a_file_can_move_the_cursor() {
        let mut mistake = at("a = \x1b]0;x\x07", 1, 1).with_hint("\r\u{9b}2J");
        mistake.message = "there is no \"\u{202e}\x1b\u{2028}\u{2029}\u{200f}\"".into();
        let shown = mistake.to_string();
        let is_odd = |c: char| c != '\n' && c.is_control() || matches!(c, '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202e}');
        assert!(!shown.contains(is_odd), "{shown:?}");
    }
}
