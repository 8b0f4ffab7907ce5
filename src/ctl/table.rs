//! The status table: one vassal a line, what needs attention in colour. What does not fit into the last column stands below its line.
//! Where the terminal is too narrow for a table, each vassal has a line of its own for what matters and, below it, what is wrong.

use liege_core::{VassalView, View};

use crate::{
    Style,
    style::RED,
    words,
    words::{
        bytes, colour, columns, cpu, cut, first_line, is_ill, mount, padded, restarts, shown, state, trouble, uptime, wrapped,
    },
};

/// The last column is worth showing from so many characters on.
const LEAST_OF_LAST: usize = 24;

/// So many lines below a vassal's own are given to one sentence.
const LINES: usize = 4;

/// Before what stands below.
const INDENT: &str = "    ";

const NONE: &str = "-";

/// One vassal, or one file that never was usable.
struct Row {
    colour: Option<&'static str>,
    cells: Vec<String>,
    /// For a narrow terminal: what is wrong, a sentence each.
    said: Vec<String>,
}

/// The table, with a head, and a last line for a daemon on its way out.
#[must_use]
pub fn table(view: &View, style: Style) -> String {
    let with_usage = view.vassals.iter().any(|vassal| vassal.usage.is_some());
    let mut rows: Vec<Row> = view.vassals.iter().map(|vassal| row(vassal, view, with_usage)).collect();
    rows.extend(view.unusable.iter().map(|(name, mistake)| unusable(name, (view.file_word(name), mistake), with_usage)));
    let mut head: Vec<String> = ["NAME", "STATE", "PID", "UP", "RESTARTS"].map(str::to_owned).into();
    if with_usage {
        head.extend(["MEMORY", "CPU"].map(str::to_owned));
    }
    head.extend(["MOUNTS", "LAST"].map(str::to_owned));
    let all = || std::iter::once(&head).chain(rows.iter().map(|row| &row.cells));
    let widths: Vec<usize> =
        (0..head.len()).map(|column| all().map(|cells| columns(&cells[column])).max().unwrap_or(0)).collect();
    let fixed: usize = widths[..widths.len() - 1].iter().map(|width| width + 2).sum();
    let mut text = match style.width {
        Some(width) if fixed + widths[widths.len() - 1].min(LEAST_OF_LAST) > width => narrow(&rows, width, style),
        _ => wide(&head, &rows, &widths, style),
    };
    for held in &view.held {
        text.push_str(&style.paint(&cut(&shown(&words::held(held, view.now)), style.width), Some(RED)));
        text.push('\n');
    }
    if view.shutting_down {
        text.push_str("the daemon is shutting down\n");
    }
    text
}

fn wide(head: &[String], rows: &[Row], widths: &[usize], style: Style) -> String {
    let line = |cells: &[String], colour: Option<&str>| {
        let cells: Vec<String> = cells.iter().zip(widths).map(|(cell, &width)| padded(cell, width)).collect();
        style.paint(cut(cells.join("  ").trim_end(), style.width).as_str(), colour) + "\n"
    };
    let mut text = line(head, None);
    let last = widths.len() - 1;
    let before_last: usize = widths[..last].iter().map(|width| width + 2).sum();
    for Row { colour, cells, .. } in rows {
        let fits = style.width.is_none_or(|width| before_last + columns(&cells[last]) <= width);
        text.push_str(&line(&cells[..if fits { cells.len() } else { last }], *colour));
        if !fits {
            text.push_str(&below(&cells[last], *colour, style));
        }
    }
    text
}

/// A sentence in lines of its own; what is longer than some of them is cut.
fn below(said: &str, colour: Option<&str>, style: Style) -> String {
    let width = style.width.map(|width| width.saturating_sub(INDENT.len()));
    let lines = wrapped(said, width, LINES);
    lines.iter().map(|line| style.paint(&cut(&format!("{INDENT}{line}"), style.width), colour) + "\n").collect()
}

/// Name, state and uptime stay columns; the rest is said below where there is something to say.
fn narrow(rows: &[Row], width: usize, style: Style) -> String {
    let mut text = String::new();
    let of = |column: usize| rows.iter().map(|row| columns(&row.cells[column])).max().unwrap_or(0);
    let state = of(1).min(width / 2);
    let name = of(0).min(width.saturating_sub(state + 2 + 8).max(8));
    for Row { colour, cells, said } in rows {
        let (named, stands) = (cut(&cells[0], Some(name)), cut(&cells[1], Some(state)));
        let line = format!("{}  {}  {}", padded(&named, name), padded(&stands, state), cells[3]);
        text.push_str(&style.paint(cut(line.trim_end(), Some(width)).as_str(), *colour));
        text.push('\n');
        for said in said {
            text.push_str(&below(said, *colour, style));
        }
    }
    text
}

fn row(vassal: &VassalView, view: &View, with_usage: bool) -> Row {
    let none = || NONE.to_owned();
    let trouble = trouble(vassal, view).map(|trouble| shown(&trouble));
    let mut cells = vec![
        shown(&vassal.name),
        state(vassal, view.now),
        vassal.pid.map_or_else(none, |pid| pid.to_string()),
        uptime(vassal, view.now).unwrap_or_else(none),
        restarts(vassal).to_string(),
    ];
    if with_usage {
        cells.push(vassal.usage.map_or_else(none, |usage| bytes(usage.rss)));
        cells.push(vassal.usage.map_or_else(none, |usage| cpu(usage.cpu)));
    }
    let mounts: Vec<String> = vassal.mounts.iter().map(|m| shown(&mount(m))).collect();
    cells.push(if mounts.is_empty() { none() } else { mounts.join(" ") });
    cells.push(trouble.clone().unwrap_or_else(none));
    let ill = vassal.mounts.iter().filter(|m| is_ill(m)).map(|m| shown(&mount(m)));
    let usage = vassal.usage.map(|usage| format!("memory {}, cpu {}", bytes(usage.rss), cpu(usage.cpu)));
    Row { colour: colour(vassal), cells, said: usage.into_iter().chain(ill).chain(trouble).collect() }
}

/// A file that never was usable has no vassal, but its owner looks for it here.
fn unusable(name: &str, (state, mistake): (&str, &str), with_usage: bool) -> Row {
    let mistake = shown(first_line(mistake));
    let mut cells = vec![shown(name), state.to_owned()];
    cells.extend(std::iter::repeat_n(NONE.to_owned(), if with_usage { 6 } else { 4 }));
    cells.push(mistake.clone());
    Row { colour: Some(RED), cells, said: vec![mistake] }
}

#[cfg(test)]
mod tests {
    use liege_core::{Health, MountView, Time, Usage};

    use super::*;
    use crate::testing::vassal;

    fn view() -> View {
        let ill = VassalView {
            loyal: true,
            mounts: vec![MountView { health: Some(Health::Dead { errno: 107 }), ..MountView::new("/app") }],
            restarts: vec![("exit".into(), 2), ("signal".into(), 1)],
            last_cause: Some("the app exited with status 3\nmore".into()),
            last_end: Some(Time(6_000_000)),
            ..vassal("app001.ini")
        };
        View { now: Time(66_000_000), vassals: vec![ill, vassal("well.ini")], ..View::default() }
    }

    fn words(line: &str) -> Vec<&str> {
        line.split("  ").map(str::trim).filter(|w| !w.is_empty()).collect()
    }

    #[test]
    fn a_file_that_never_was_usable_is_a_line_too() {
        let view = View { unusable: vec![("bad.ini".into(), "bad.ini:2:1: no such user".into())], ..view() };
        let text = table(&view, Style::default());
        assert_eq!(words(text.lines().nth(3).unwrap()), ["bad.ini", "bad file", "-", "-", "-", "-", "bad.ini:2:1: no such user"]);
    }

    #[test]
    fn a_vassal_is_a_line() {
        let text = table(&view(), Style::default());
        let last = "1m00s ago: the app exited with status 3";
        assert_eq!(words(text.lines().nth(1).unwrap()), ["app001.ini", "running, loyal", "42", "1m05s", "3", "/app:dead", last]);
        assert_eq!(words(text.lines().nth(2).unwrap()), ["well.ini", "running, ready", "42", "1m05s", "0", "-", "-"]);
    }

    #[test]
    fn what_is_used_is_shown_where_it_was_asked_for() {
        let mut view = view();
        view.vassals[1].usage = Some(Usage { processes: 3, rss: 43_200_000, cpu: 1.25 });
        let text = table(&view, Style::default());
        assert!(text.contains("MEMORY"), "{text}");
        assert_eq!(words(text.lines().nth(2).unwrap())[5..7], ["41.2M", "1.2s"]);
    }

    #[test]
    fn sixty_columns_are_enough() {
        let text = table(&view(), Style { width: Some(60), ..Style::default() });
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(words(lines[0]), ["app001.ini", "running, loyal", "1m05s"]);
        assert_eq!(lines[1..3], ["    /app:dead", "    1m00s ago: the app exited with status 3"]);
        assert_eq!((words(lines[3]), lines.len()), (vec!["well.ini", "running, ready", "1m05s"], 4));
        let wide = table(&view(), Style { width: Some(90), ..Style::default() });
        assert!(wide.starts_with("NAME") && wide.lines().all(|line| line.chars().count() <= 90), "{wide}");
        let longest = table(&view(), Style { width: Some(8), ..Style::default() });
        assert!(longest.lines().all(|line| line.chars().count() <= 8), "{longest}");
    }

    #[test]
    fn a_reason_that_does_not_fit_stands_below_its_line() {
        let mut view = view();
        let why = "\"fuse: bad mount point `/w/nomp': No such file or directory\", exited with status 1 (mkdir the mount point): \
                   exec fuse-zip -r /w/z.zip /w/nomp (b.ini:12: exec-as-user)";
        view.vassals[0].last_cause = Some(why.into());
        for width in [60, 80, 120] {
            let text = table(&view, Style { width: Some(width), ..Style::default() });
            assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
            let words: Vec<&str> = text.split_whitespace().collect();
            assert!(words.join(" ").contains(why), "at {width}: {text}");
        }
        let whole = table(&view, Style { width: Some(300), ..Style::default() });
        assert_eq!(whole.lines().count(), 3, "{whole}");
        view.vassals[0].last_cause = Some("word ".repeat(1000));
        let long = table(&view, Style { width: Some(80), ..Style::default() });
        assert!(long.lines().count() < 10 && long.contains('…'), "{long}");
    }

    #[test]
    fn names_of_any_script_keep_the_columns() {
        let mut view = view();
        view.vassals.insert(0, vassal("日本語の店.ini"));
        view.vassals.insert(0, vassal("\u{202e}ini.evil"));
        for width in [None, Some(60)] {
            let text = table(&view, Style { width, ..Style::default() });
            let starts: Vec<usize> =
                text.lines().filter_map(|line| line.find("running").map(|at| columns(&line[..at]))).collect();
            assert!(starts.len() == 4 && starts.iter().all(|start| *start == starts[0]), "{text}");
            assert!(!text.contains('\u{202e}'));
        }
    }

    #[test]
    fn colours_only_when_asked_for() {
        assert!(!table(&view(), Style::default()).contains('\x1b'));
        assert!(table(&view(), Style { colours: true, ..Style::default() }).contains("\x1b[31m"));
    }
}
