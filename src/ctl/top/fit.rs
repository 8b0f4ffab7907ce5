//! Which columns a line has room for, and how wide each is.

use crate::words::{columns, shown};

use super::{model::Model, row::Row, sort::Column};

/// What may stand in a line, in its order there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    /// One that can be sorted by.
    Sorted(Column),
    /// The last checks.
    Checks,
    /// The last ends.
    Ends,
    /// Why it last died.
    Last,
}

impl Cell {
    pub(crate) fn head(self) -> &'static str {
        match self {
            Self::Sorted(column) => column.word(),
            Self::Checks => "CHECKS",
            Self::Ends => "ENDS",
            Self::Last => "LAST",
        }
    }
}

/// So wide the reason becomes before the past does.
const REASON: usize = 60;

/// Between columns: two blanks where there is room.
pub(crate) fn gap(width: usize) -> usize {
    if width < 100 { 1 } else { 2 }
}

/// Those that fit into so many columns, each with its width. Room that is left goes to the most important ones first.
pub(crate) fn fit(model: &Model, width: usize) -> Vec<(Cell, usize)> {
    let longest = |of: fn(&Row) -> usize, at_most: usize| model.rows.iter().map(of).max().unwrap_or(0).min(at_most);
    let has_mounts = model.rows.iter().any(|row| !row.mounts.is_empty());
    let sparks = if has_mounts { 16 } else { 6 };
    // The most important first: least width, and what it would like.
    let wanted: [(Cell, usize, usize); 10] = [
        (Cell::Sorted(Column::Name), 8, longest(|row| columns(&shown(&row.name)), 40)),
        (Cell::Sorted(Column::State), 9, longest(|row| columns(&row.state), 22)),
        (Cell::Sorted(Column::Mounts), 7, longest(|row| columns(&row.mounts.join(" ")), 30)),
        (Cell::Sorted(Column::Up), 6, 6),
        (Cell::Sorted(Column::Restarts), 9, 9),
        (Cell::Sorted(Column::Memory), 7, 7),
        (Cell::Sorted(Column::Cpu), 5, 5),
        (Cell::Checks, 6, sparks),
        (Cell::Ends, 6, 12),
        (Cell::Last, 24, longest(|row| row.trouble.as_ref().map_or(0, |said| columns(said)), 200)),
    ];
    let mut room = width;
    let mut chosen: Vec<(Cell, usize, usize)> = Vec::new();
    for (cell, least, likes) in wanted {
        let needs = least + if chosen.is_empty() { 0 } else { gap(width) };
        if needs > room && !chosen.is_empty() {
            break; // a less important one does not take its place
        }
        room = room.saturating_sub(needs);
        chosen.push((cell, least.min(width), likes));
    }
    let mut grow = |wants: fn(Cell) -> bool, at_most: usize| {
        for (_, has, likes) in chosen.iter_mut().filter(|(cell, _, _)| wants(*cell)) {
            let more = (*likes).min(at_most).saturating_sub(*has).min(room);
            (*has, room) = (*has + more, room - more);
        }
    };
    grow(|cell| matches!(cell, Cell::Sorted(_)), usize::MAX);
    grow(|cell| cell == Cell::Last, REASON);
    grow(|cell| matches!(cell, Cell::Checks | Cell::Ends), usize::MAX);
    grow(|cell| cell == Cell::Last, usize::MAX);
    // In the order people know from `status`.
    let order = |cell: &Cell| match cell {
        Cell::Sorted(Column::Name) => 0,
        Cell::Sorted(Column::State) => 1,
        Cell::Sorted(Column::Up) => 2,
        Cell::Sorted(Column::Restarts) => 3,
        Cell::Sorted(Column::Memory) => 4,
        Cell::Sorted(Column::Cpu) => 5,
        Cell::Sorted(Column::Mounts) => 6,
        Cell::Checks => 7,
        Cell::Ends => 8,
        Cell::Last => 9,
    };
    chosen.sort_by_key(|(cell, _, _)| order(cell));
    chosen.into_iter().map(|(cell, has, _)| (cell, has)).collect()
}
