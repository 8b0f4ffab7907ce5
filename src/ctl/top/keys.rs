//! What each key does.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use liege_core::Order;

use super::{
    event::{Ask, Wish},
    frame,
    model::{Mode, Model},
    page::Kind,
};

/// Takes note of a key.
pub(crate) fn press(model: &mut Model, key: KeyEvent) -> Option<Wish> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return (key.code == KeyCode::Char('c')).then_some(Wish::Quit);
    }
    model.message = None;
    match model.mode.clone() {
        Mode::Typing => {
            type_filter(model, key.code);
            None
        }
        Mode::Confirming(name, order) => {
            // Whatever else is pressed means no.
            model.mode = Mode::Commands;
            matches!(key.code, KeyCode::Char('y' | 'Y')).then_some(Wish::Ask(Ask::Order(name, order)))
        }
        Mode::Commands if model.page.is_some() => read(model, key.code),
        Mode::Commands => command(model, key.code),
    }
}

fn command(model: &mut Model, key: KeyCode) -> Option<Wish> {
    let screen = frame::table_height(model.size);
    match key {
        KeyCode::Char('q') => return Some(Wish::Quit),
        KeyCode::Up | KeyCode::Char('k') => model.choose(model.cursor.saturating_sub(1)),
        KeyCode::Down | KeyCode::Char('j') => model.choose(model.cursor + 1),
        KeyCode::PageUp => model.choose(model.cursor.saturating_sub(screen)),
        KeyCode::PageDown => model.choose(model.cursor + screen),
        KeyCode::Home | KeyCode::Char('g') => model.choose(0),
        KeyCode::End | KeyCode::Char('G') => model.choose(usize::MAX),
        KeyCode::Char('s') => {
            model.sort(model.column.next(), false);
        }
        KeyCode::Char('o') => {
            model.sort(model.column, !model.is_reversed);
        }
        KeyCode::Char('/') => model.mode = Mode::Typing,
        KeyCode::Esc => {
            model.filter.clear();
            model.arrange();
        }
        KeyCode::Char('r') => confirm(model, Order::Reload),
        KeyCode::Char('R') => confirm(model, Order::Restart),
        KeyCode::Char('S') => confirm(model, Order::Stop),
        KeyCode::Char('a') => confirm(model, Order::Start),
        KeyCode::Char('l') => return model.open(Kind::Log),
        KeyCode::Char('c') | KeyCode::Enter => return model.open(Kind::Cause),
        _ => {}
    }
    None
}

fn confirm(model: &mut Model, order: Order) {
    if let Some(name) = model.selected.clone() {
        model.mode = Mode::Confirming(name, order);
    }
}

fn type_filter(model: &mut Model, key: KeyCode) {
    match key {
        KeyCode::Enter => model.mode = Mode::Commands,
        KeyCode::Esc => {
            model.filter.clear();
            model.mode = Mode::Commands;
        }
        KeyCode::Backspace => drop(model.filter.pop()),
        KeyCode::Char(letter) => model.filter.push(letter),
        _ => {}
    }
    model.arrange();
}

fn read(model: &mut Model, key: KeyCode) -> Option<Wish> {
    let room = (model.size.0, frame::page_height(model.size));
    let screen = isize::try_from(room.1).unwrap_or(isize::MAX);
    let page = model.page.as_mut()?;
    match key {
        KeyCode::Char('q') => return Some(Wish::Quit),
        KeyCode::Up | KeyCode::Char('k') => page.scroll(-1, room),
        KeyCode::Down | KeyCode::Char('j') => page.scroll(1, room),
        KeyCode::PageUp => page.scroll(-screen, room),
        KeyCode::PageDown | KeyCode::Char(' ') => page.scroll(screen, room),
        KeyCode::Home | KeyCode::Char('g') => page.scroll(isize::MIN, room),
        KeyCode::End | KeyCode::Char('G') => page.scroll(isize::MAX, room),
        KeyCode::Char('l') if page.kind != Kind::Log => return model.open(Kind::Log),
        KeyCode::Char('c') if page.kind != Kind::Cause => return model.open(Kind::Cause),
        KeyCode::Esc | KeyCode::Enter | KeyCode::Char('l' | 'c') => model.page = None,
        _ => {}
    }
    None
}
