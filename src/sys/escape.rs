//! Text that another process chose, as it may stand in a line beside text of ours.

/// Whether a character ends a line or turns the rest of it around: controls, separators of lines, marks of direction.
#[must_use]
pub fn breaks_a_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text with each of these escaped, the tab too.
pub(crate) fn in_one_line(text: &str) -> String {
    text.chars().map(|c| if breaks_a_line(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}
