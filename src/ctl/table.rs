//! The status table: one vassal a line, what needs attention in colour.

use std::{fmt::Write, io::IsTerminal};

use liege_core::{Health, MountView, Phase, VassalView, View};

use crate::span::span;

/// How it is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Escape sequences may be used.
    pub colours: bool,
}

impl Style {
    /// Colours on a terminal only, and never with `NO_COLOR`.
    #[must_use]
    pub fn of_stdout() -> Self {
        Self::of(&std::io::stdout())
    }

    /// The same of the other channel.
    #[must_use]
    pub fn of_stderr() -> Self {
        Self::of(&std::io::stderr())
    }

    fn of(channel: &impl IsTerminal) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { colours: wanted && channel.is_terminal() }
    }
}

const COLUMNS: [&str; 7] = ["NAME", "PHASE", "PID", "SINCE", "RESTARTS", "MOUNTS", "LAST"];

/// The table, with a head, and a last line for a daemon on its way out.
#[must_use]
pub fn table(view: &View, style: Style) -> String {
    let colours = view.vassals.iter().map(colour).chain(view.unusable.iter().map(|_| Some("31")));
    let unusable = view.unusable.iter().map(|(name, mistake)| unusable(name, mistake));
    let rows: Vec<[String; 7]> = view.vassals.iter().map(|vassal| row(vassal, view)).chain(unusable).collect();
    let width = |column: usize| rows.iter().map(|r| r[column].chars().count()).chain([COLUMNS[column].len()]).max().unwrap_or(0);
    let widths: Vec<usize> = (0..COLUMNS.len()).map(width).collect();
    let mut shown = String::new();
    line(&mut shown, &COLUMNS.map(str::to_owned), &widths, None);
    for (colour, row) in colours.zip(&rows) {
        line(&mut shown, row, &widths, colour.filter(|_| style.colours));
    }
    if view.shutting_down {
        shown.push_str("the daemon is shutting down\n");
    }
    shown
}

fn line(shown: &mut String, cells: &[String; 7], widths: &[usize], colour: Option<&str>) {
    let cells: Vec<String> = cells.iter().zip(widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
    let text = cells.join("  ");
    let text = text.trim_end();
    let written = match colour {
        Some(colour) => writeln!(shown, "\x1b[{colour}m{text}\x1b[0m"),
        None => writeln!(shown, "{text}"),
    };
    written.unwrap_or_default(); // a String takes everything
}

fn row(vassal: &VassalView, view: &View) -> [String; 7] {
    let none = || "-".to_owned();
    let restarts: u64 = vassal.restarts.iter().map(|(_, count)| count).sum();
    [
        vassal.name.to_string(),
        phase(vassal, view),
        vassal.pid.map_or_else(none, |pid| pid.to_string()),
        span(view.now.since(vassal.since)),
        restarts.to_string(),
        if vassal.mounts.is_empty() { none() } else { vassal.mounts.iter().map(mount).collect::<Vec<_>>().join(" ") },
        match (&vassal.config_error, &vassal.last_cause) {
            (Some(error), _) => format!("bad file: {}", first_line(error)),
            (None, Some(cause)) => first_line(cause).to_owned(),
            (None, None) => none(),
        },
    ]
}

/// A file that never was usable has no vassal, but its owner looks for it here.
fn unusable(name: &str, mistake: &str) -> [String; 7] {
    let none = || "-".to_owned();
    [name.to_owned(), "bad file".to_owned(), none(), none(), none(), none(), first_line(mistake).to_owned()]
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// What a person wants to know about where it stands.
fn phase(vassal: &VassalView, view: &View) -> String {
    let mut shown = format!("{:?}", vassal.phase).to_lowercase();
    if vassal.phase == Phase::Running {
        shown.push_str(match (vassal.loyal, vassal.ready) {
            (true, _) => ", loyal",
            (false, true) => ", ready",
            (false, false) => "",
        });
    }
    if let Some(at) = vassal.retry_at {
        let _ = write!(shown, ", again in {}", span(at.since(view.now)));
    }
    shown
}

fn mount(mount: &MountView) -> String {
    let state = match mount.health {
        Some(Health::Healthy) => "ok",
        None => "?",
        Some(other) => other.word(),
    };
    format!("{}:{state}", mount.path)
}

/// Red for what is down against its wish, yellow for what is on its way.
fn colour(vassal: &VassalView) -> Option<&'static str> {
    let ill = |health| matches!(health, Health::Dead { .. } | Health::Gone | Health::Hung);
    let dead = vassal.mounts.iter().filter_map(|m| m.health).any(ill);
    match vassal.phase {
        Phase::Running if dead => Some("31"),
        Phase::Running if vassal.config_error.is_some() => Some("33"),
        Phase::Running => None,
        Phase::Waiting if vassal.failures > 0 => Some("31"),
        Phase::Suspended => None,
        Phase::Waiting
        | Phase::Spawning
        | Phase::Preparing
        | Phase::Reloading
        | Phase::Stopping
        | Phase::Killing
        | Phase::Gone => Some("33"),
    }
}

#[cfg(test)]
mod tests {
    use liege_core::Time;

    use super::*;

    fn view() -> View {
        let vassal = VassalView {
            name: "app001.ini".into(),
            phase: Phase::Running,
            pid: Some(42),
            since: Time(1_000_000),
            owner: None,
            up_since: None,
            usage: None,
            ready: true,
            accepting: true,
            loyal: true,
            mounts: vec![MountView { health: Some(Health::Dead { errno: 107 }), ..MountView::new("/app") }],
            leftovers: Vec::new(),
            restarts: vec![("exit".into(), 2), ("signal".into(), 1)],
            failures: 0,
            retry_at: None,
            last_cause: Some("the app exited with status 3\nmore".into()),
            config_error: None,
        };
        View { now: Time(66_000_000), shutting_down: false, vassals: vec![vassal], unusable: Vec::new() }
    }

    #[test]
    fn a_file_that_never_was_usable_is_a_line_too() {
        let view = View { unusable: vec![("bad.ini".into(), "bad.ini:2:1: no such user".into())], ..view() };
        let shown = table(&view, Style::default());
        let words: Vec<&str> = shown.lines().nth(2).unwrap().split("  ").map(str::trim).filter(|w| !w.is_empty()).collect();
        assert_eq!(words, ["bad.ini", "bad file", "-", "-", "-", "-", "bad.ini:2:1: no such user"]);
    }

    #[test]
    fn a_vassal_is_a_line() {
        let shown = table(&view(), Style::default());
        let line = shown.lines().nth(1).unwrap();
        let words: Vec<&str> = line.split("  ").map(str::trim).filter(|w| !w.is_empty()).collect();
        assert_eq!(words, ["app001.ini", "running, loyal", "42", "1m05s", "3", "/app:dead", "the app exited with status 3"]);
    }

    #[test]
    fn colours_only_when_asked_for() {
        assert!(!table(&view(), Style::default()).contains('\x1b'));
        assert!(table(&view(), Style { colours: true }).contains("\x1b[31m"));
    }
}
