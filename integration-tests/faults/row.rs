//! The table: one row for each time something was hurt.

use std::fmt;
use std::time::Duration;

use crate::faults::{Cell, Fault};

/// What one cell saw.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was done.
    pub fault: Fault,
    kind: &'static str,
    owner: &'static str,
    /// The state the daemon called it.
    pub state: String,
    /// From the file to the first answer: what daemon and app themselves need.
    pub birth: Duration,
    /// From the fault to the daemon's word for it.
    pub known: Option<Duration>,
    /// From the fault to the decision to destroy the vassal.
    pub decided: Option<Duration>,
    /// From the fault to the next answer.
    pub served: Option<Duration>,
    /// What lived on of the old life.
    pub leftovers: Vec<String>,
    /// What went wrong.
    pub failure: Option<String>,
}

impl Row {
    pub(super) fn new(cell: &Cell, birth: Duration) -> Self {
        let filesystem = &cell.victim.filesystem;
        Self {
            fault: cell.fault,
            kind: filesystem.kind.program(),
            owner: filesystem.owner.word(),
            state: "-".into(),
            birth,
            known: None,
            decided: None,
            served: None,
            leftovers: Vec::new(),
            failure: None,
        }
    }

    pub(super) fn failed(cell: &Cell, why: String) -> Self {
        Self { failure: Some(why), ..Self::new(cell, Duration::ZERO) }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |time: Option<Duration>| time.map_or_else(|| "-".into(), milliseconds);
        let fault = format!("{:?}", self.fault);
        let left = if self.leftovers.is_empty() { "none".into() } else { self.leftovers.join(", ") };
        write!(
            f,
            "{fault:<14} {:<12} {:<10} {:<8} {:>9} {:>9} {:>9} {:>9}  {left}",
            self.kind,
            self.owner,
            self.state,
            milliseconds(self.birth),
            time(self.known),
            time(self.decided),
            time(self.served)
        )?;
        self.failure.as_ref().map_or(Ok(()), |why| write!(f, "  FAILED: {why}"))
    }
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Rows(pub Vec<Row>);

impl Rows {
    /// Those that went wrong.
    pub fn failures(&self) -> impl Iterator<Item = &Row> {
        self.0.iter().filter(|row| row.failure.is_some())
    }

    /// The median of something of all rows with this fault; None without any.
    #[must_use]
    pub fn median(&self, fault: Fault, of: impl Fn(&Row) -> Option<Duration>) -> Option<Duration> {
        let mut times: Vec<Duration> = self.0.iter().filter(|row| row.fault == fault).filter_map(of).collect();
        times.sort();
        times.get(times.len() / 2).copied()
    }
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<14} {:<12} {:<10} {:<8} {:>9} {:>9} {:>9} {:>9}  leftovers",
            "fault", "kind", "owner", "state", "birth ms", "known ms", "decided", "served ms"
        )?;
        self.0.iter().try_for_each(|row| writeln!(f, "{row}"))
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1000.0)
}
