//! Text that another process chose, as it may stand in a line beside text of ours.

/// Whether a character ends a line or turns the rest of it around: controls, separators of lines, marks of direction.
#[must_use]
pub fn breaks_a_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a terminal or a pager obeys a character: it breaks a line and is no tab, or it takes no room and hides what it stands between.
#[must_use]
pub fn is_obeyed(c: char) -> bool {
    breaks_a_line(c) && c != '\t' || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The text with each of these escaped, the tab too.
pub(crate) fn in_one_line(text: &str) -> String {
    text.chars().map(|c| if breaks_a_line(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_separators_and_marks_of_direction_are_obeyed() {
        let obeyed = "\0\u{7}\n\r\u{1b}\u{7f}\u{80}\u{85}\u{9b}\u{9f}\u{61c}\u{200b}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202e}\u{2066}\u{2069}\u{feff}";
        assert_eq!(obeyed.chars().filter(|c| !is_obeyed(*c)).collect::<String>(), "");
        assert_eq!("\ta \u{a0}\u{e9}e\u{301}\u{2010}\u{2026}日本".chars().filter(|c| is_obeyed(*c)).collect::<String>(), "");
    }
}
