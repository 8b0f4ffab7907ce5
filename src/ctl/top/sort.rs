//! What the rows are sorted by.

use std::cmp::{Ordering, Reverse};

use super::row::Row;

/// A column that can be sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Column {
    #[default]
    Name,
    State,
    Up,
    Restarts,
    Memory,
    Cpu,
    Mounts,
}

impl Column {
    /// Its head, and how it is called.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Name => "NAME",
            Self::State => "STATE",
            Self::Up => "UP",
            Self::Restarts => "RESTARTS",
            Self::Memory => "MEMORY",
            Self::Cpu => "CPU",
            Self::Mounts => "MOUNTS",
        }
    }

    /// The one to the right of it; after the last the first.
    pub(crate) fn next(self) -> Self {
        match self {
            Self::Name => Self::State,
            Self::State => Self::Up,
            Self::Up => Self::Restarts,
            Self::Restarts => Self::Memory,
            Self::Memory => Self::Cpu,
            Self::Cpu => Self::Mounts,
            Self::Mounts => Self::Name,
        }
    }

    /// What is looked for comes first: trouble, the youngest, the biggest. Equals are in the order of their names.
    pub(crate) fn compare(self, a: &Row, b: &Row) -> Ordering {
        let first = match self {
            Self::Name => Ordering::Equal,
            Self::State => (a.badness(), a.rank).cmp(&(b.badness(), b.rank)),
            Self::Up => (a.up.is_none(), a.up).cmp(&(b.up.is_none(), b.up)),
            Self::Restarts => b.restarts.cmp(&a.restarts),
            Self::Memory => b.memory.cmp(&a.memory),
            Self::Cpu => b.cpu.unwrap_or(-1.0).total_cmp(&a.cpu.unwrap_or(-1.0)),
            Self::Mounts => Reverse((a.ill, a.mounts.len())).cmp(&Reverse((b.ill, b.mounts.len()))),
        };
        first.then_with(|| a.name.cmp(&b.name))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::style::RED;

    fn row(name: &str) -> Row {
        Row { colour: None, state: "running, ready".into(), ..Row::unusable(&name.into(), "bad file", "") }
    }

    #[test]
    fn every_column_puts_first_what_is_looked_for() {
        let up = |seconds| Some(Duration::from_secs(seconds));
        let a = Row { up: up(90), restarts: 1, memory: Some(5), cpu: Some(0.1), ..row("a") };
        let b = Row { up: up(9), restarts: 3, memory: Some(9), cpu: None, ill: 1, mounts: vec!["/:dead".into()], ..row("b") };
        let c = Row { colour: Some(RED), memory: None, cpu: Some(2.0), mounts: vec![String::new(); 2], ..row("c") };
        let by = |column: Column| {
            let mut all = [&a, &b, &c];
            all.sort_by(|a, b| column.compare(a, b));
            all.map(|row| row.name.to_string()).concat()
        };
        let mut column = Column::Name;
        let mut found = Vec::new();
        for _ in 0..7 {
            found.push((column.word(), by(column)));
            column = column.next();
        }
        let wanted = ["abc", "cab", "bac", "bac", "bac", "cab", "bca"].map(str::to_owned);
        assert_eq!(found.iter().map(|(_, order)| order.clone()).collect::<Vec<_>>(), wanted, "{found:?}");
        assert_eq!(column, Column::Name, "all were seen once");
    }
}
