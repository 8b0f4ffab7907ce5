//! Text into the buffer of a frame.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Color, Modifier, Style},
};

use crate::style::{FAINT, RED, YELLOW};

/// The colour `status` has for it, where colours are wanted.
pub(crate) fn style(colour: Option<&str>, colours: bool) -> Style {
    let style = Style::new();
    match colour.filter(|_| colours) {
        Some(RED) => style.fg(Color::Red),
        Some(YELLOW) => style.fg(Color::Yellow),
        Some(FAINT) => style.add_modifier(Modifier::DIM),
        Some(_) | None => style,
    }
}

/// One line of an area; what is too long is cut, what is outside is not painted.
pub(crate) fn text(buffer: &mut Buffer, area: Rect, line: u16, text: &str, style: Style) {
    if line < area.height {
        buffer.set_stringn(area.x, area.y + line, text, usize::from(area.width), style);
    }
}

/// A whole line in one style, also where there is no text.
pub(crate) fn bar(buffer: &mut Buffer, area: Rect, line: u16, said: &str, style: Style) {
    if line < area.height {
        buffer.set_style(Rect { y: area.y + line, height: 1, ..area }, style);
        text(buffer, area, line, said, style);
    }
}
