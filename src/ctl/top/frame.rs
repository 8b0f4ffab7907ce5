//! The whole screen: a title, the table or a page, something about who is selected, the bottom line.

use liege_core::Phase;
use ratatui::{
    Frame,
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
};

use super::{
    bottom::bottom,
    fit::{Cell, fit, gap},
    model::Model,
    page::Page,
    paint::{bar, style, text},
    row::Row,
    sort::Column,
    spark,
};
use crate::{
    span::span,
    style::RED,
    words::{bytes, columns, cut, is_ill, padded, shown, wrapped},
};

/// From so many lines on there is room for more about the selected row, and from so many for its whole reason.
const ROOMY: u16 = 12;
const TALL: u16 = 20;

/// The lines of its reason there.
const REASON: u16 = 1;
const WHOLE_REASON: u16 = 3;

/// A rule, and its checks and ends.
const BESIDE_REASON: u16 = 2;

const NONE: &str = "-";

/// So many rows are seen at once: without title, head and bottom line.
pub(crate) fn table_height((_, lines): (u16, u16)) -> usize {
    usize::from(lines.saturating_sub(3 + about_height(lines)))
}

/// So many lines of a page are.
pub(crate) fn page_height((_, lines): (u16, u16)) -> usize {
    usize::from(lines.saturating_sub(2))
}

fn about_height(lines: u16) -> u16 {
    match lines {
        TALL.. => BESIDE_REASON + WHOLE_REASON,
        ROOMY.. => BESIDE_REASON + REASON,
        _ => 0,
    }
}

/// Paints it.
pub(crate) fn draw(model: &Model, frame: &mut Frame<'_>) {
    let (area, buffer) = (frame.area(), frame.buffer_mut());
    match &model.page {
        Some(page) => draw_page(page, area, buffer),
        None => draw_table(model, area, buffer),
    }
    let (said, is_urgent) = bottom(model);
    let style = if is_urgent { Style::new().add_modifier(Modifier::BOLD) } else { style(Some("2"), model.colours) };
    if area.height > 1 {
        bar(buffer, area, area.height - 1, &shown(&said), style);
    }
}

fn draw_page(page: &Page, area: Rect, buffer: &mut Buffer) {
    let (lines, height) = (page.lines(area.width), page_height((area.width, area.height)));
    let first = page.first(lines.len(), height);
    let seen = lines.iter().skip(first).take(height);
    let title = format!("{} ({}-{}/{})", shown(&page.title()), first + 1, (first + height).min(lines.len()), lines.len());
    bar(buffer, area, 0, &title, Style::new().add_modifier(Modifier::BOLD));
    (1..).zip(seen).for_each(|(n, line)| text(buffer, area, n, line, Style::new()));
}

fn draw_table(model: &Model, area: Rect, buffer: &mut Buffer) {
    bar(buffer, area, 0, &title(model), Style::new().add_modifier(Modifier::BOLD));
    let width = usize::from(area.width).saturating_sub(1);
    let cells = fit(model, width);
    let head: Vec<String> = cells.iter().map(|(cell, _)| head(*cell, model)).collect();
    bar(buffer, area, 1, &format!(" {}", join(&head, &cells, width)), Style::new().add_modifier(Modifier::UNDERLINED));
    let height = table_height((area.width, area.height));
    let first = first_row(model.cursor, model.rows.len(), height);
    for (line, (n, row)) in (2..).zip(model.rows.iter().enumerate().skip(first).take(height)) {
        let is_selected = n == model.cursor;
        let words: Vec<String> = cells.iter().map(|(cell, width)| word(*cell, *width, row, model)).collect();
        let said = format!("{}{}", if is_selected { '>' } else { ' ' }, join(&words, &cells, width));
        let style = style(row.colour, model.colours);
        bar(buffer, area, line, &said, if is_selected { style.add_modifier(Modifier::REVERSED) } else { style });
    }
    let about = about_height(area.height);
    if about > 0 {
        let below = Rect { y: area.y + area.height - 1 - about, height: about, ..area };
        draw_about(model, below, buffer);
    }
}

/// Who is selected is in the middle, as far as there are rows.
fn first_row(cursor: usize, count: usize, height: usize) -> usize {
    cursor.saturating_sub(height / 2).min(count.saturating_sub(height))
}

/// How many there are, and how they are.
fn title(model: &Model) -> String {
    let all = &model.view.vassals;
    let running = all.iter().filter(|vassal| vassal.phase == Phase::Running).count();
    let ill = all.iter().filter(|vassal| vassal.mounts.iter().any(is_ill)).count();
    // A file that never was usable has a row too.
    let count = all.len() + model.view.unusable.len();
    let many = if count == 1 { "" } else { "s" };
    let mut said = format!("{count} vassal{many}, {running} running");
    let flapping = all.iter().filter(|vassal| vassal.flapping.is_some()).count();
    let given_up = all.iter().filter(|vassal| vassal.gave_up).count();
    let doubtful = all.iter().filter(|vassal| vassal.doubt.is_some()).count();
    let counts = [
        (flapping, "flapping"),
        (given_up, "given up"),
        (doubtful, "doubtful"),
        (ill, "ill"),
        (model.view.unusable.len(), "bad"),
    ];
    for (count, what) in counts {
        if count > 0 {
            said.push_str(&format!(", {count} {what}"));
        }
    }
    for held in &model.view.held {
        said.push_str(&format!("; {}", shown(&held.to_string())));
    }
    if model.view.shutting_down {
        said.push_str(", the daemon is shutting down");
    }
    if !model.filter.is_empty() {
        said.push_str(&format!("; only /{}/", shown(&model.filter)));
    }
    said
}

/// What it is sorted by is marked.
fn head(cell: Cell, model: &Model) -> String {
    let mark = match (cell == Cell::Sorted(model.column), model.is_reversed) {
        (true, false) => "*",
        (true, true) => "^",
        (false, _) => "",
    };
    format!("{mark}{}", cell.head())
}

fn join(words: &[String], cells: &[(Cell, usize)], width: usize) -> String {
    let padded = words.iter().zip(cells).map(|(word, &(_, wide))| padded(&cut(word, Some(wide)), wide));
    padded.collect::<Vec<_>>().join(&" ".repeat(gap(width)))
}

fn word(cell: Cell, width: usize, row: &Row, model: &Model) -> String {
    let none = || NONE.to_owned();
    let history = model.histories.get(&row.name);
    match cell {
        Cell::Sorted(Column::Name) => shown(&row.name),
        // Its first word is enough where its particulars would be cut.
        Cell::Sorted(Column::State) if columns(&row.state) > width => row.state.split(',').next().unwrap_or_default().to_owned(),
        Cell::Sorted(Column::State) => row.state.clone(),
        Cell::Sorted(Column::Up) => row.up.map_or_else(none, span),
        Cell::Sorted(Column::Restarts) => row.restarts.to_string(),
        Cell::Sorted(Column::Memory) => row.memory.map_or_else(none, bytes),
        Cell::Sorted(Column::Cpu) => row.cpu.map_or_else(none, |share| format!("{:.1}%", share * 100.0)),
        Cell::Sorted(Column::Mounts) => mounts(row, width),
        Cell::Checks => history.map(|history| spark::latency(&history.latency, width)).unwrap_or_default(),
        Cell::Ends => history.map(|history| spark::ends(&history.ends, width)).unwrap_or_default(),
        Cell::Last => row.trouble.clone().unwrap_or_default(),
    }
}

/// All of them, or what is worth knowing of them.
fn mounts(row: &Row, width: usize) -> String {
    let all = row.mounts.join(" ");
    match (row.mounts.len(), row.ill) {
        (0, _) => NONE.to_owned(),
        _ if columns(&all) <= width => all,
        (1, _) => all.rsplit(':').next().unwrap_or_default().to_owned(),
        (count, 0) => format!("{count}"),
        (count, ill) => format!("{ill}/{count} ill"),
    }
}

/// More about who is selected: why it last died, its mounts, its past.
fn draw_about(model: &Model, area: Rect, buffer: &mut Buffer) {
    let Some(row) = model.rows.get(model.cursor) else { return };
    let said = row.trouble.as_deref().unwrap_or("has never died");
    let ruled = style(Some("2"), model.colours).add_modifier(Modifier::UNDERLINED);
    bar(buffer, Rect { height: 1, ..area }, 0, "", ruled);
    let lines = wrapped(&format!("{}: {said}", shown(&row.name)), Some(area.width.into()), (area.height - BESIDE_REASON).into());
    (1..).zip(&lines).for_each(|(n, line)| text(buffer, area, n, line, style(row.colour, model.colours)));
    let half = usize::from(area.width / 2).saturating_sub(10);
    let Some(history) = model.histories.get(&row.name) else { return };
    let slowest = history.latency.back().copied().flatten();
    let (ms, colour) = (slowest.map(micros), (row.ill > 0).then_some(RED));
    let checks = ms.map_or_else(String::new, |ms| format!("checks {} {ms}  ", spark::latency(&history.latency, half)));
    text(
        buffer,
        area,
        area.height - 1,
        &format!("{checks}ends {}", spark::ends(&history.ends, half)),
        style(colour, model.colours),
    );
}

/// `0.04ms`
#[allow(clippy::cast_precision_loss, reason = "two digits are shown")]
fn micros(micros: u64) -> String {
    format!("{:.2}ms", micros as f64 / 1e3)
}
