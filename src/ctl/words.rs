//! The words of table and detail: where a vassal stands, what is wrong, sizes; and text that fits.

use std::{fmt::Write, time::Duration};

use liege_core::{Health, HeldDirectory, MountView, Phase, StepView, VassalView, View};
use liege_sys::escape::is_obeyed;
use unicode_width::UnicodeWidthChar;

use crate::{
    span::span,
    style::{FAINT, RED, YELLOW},
};

/// A step that lasts longer may need advice.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a person wants to know about where it stands.
pub(crate) fn state(vassal: &VassalView, now: liege_core::Time) -> String {
    let mut shown = match vassal.phase {
        Phase::Suspended if vassal.gave_up => "given up".to_owned(),
        Phase::Suspended => "stopped".to_owned(),
        other if vassal.flapping.is_some() => format!("flapping, {}", other.word()),
        other if vassal.doubt.is_some() => format!("doubtful, {}", other.word()),
        other => other.word().to_owned(),
    };
    if vassal.phase == Phase::Running {
        shown.push_str(match (vassal.loyal, vassal.ready) {
            (true, _) => ", loyal",
            (false, true) => ", ready",
            (false, false) => "",
        });
    }
    if let Some(at) = vassal.retry_at {
        let _ = write!(shown, ", again in {}", span(at.since(now)));
    }
    shown
}

/// A directory whose vassals are kept, and until when.
pub(crate) fn held(held: &HeldDirectory, now: liege_core::Time) -> String {
    let since = span(now.since(held.since));
    match held.until {
        Some(until) => format!("{held} for {} more (since {since}; liege rescan --force ends them)", span(until.since(now))),
        None => format!("{held} (since {since})"),
    }
}

/// How long the app has been running; else nothing.
pub(crate) fn uptime(vassal: &VassalView, now: liege_core::Time) -> Option<String> {
    vassal.up_since.map(|since| span(now.since(since)))
}

/// The worst that is to be said of it, first line only: its file, a reload that failed, what its start waits for, its last failure, its last end.
pub(crate) fn trouble(vassal: &VassalView, view: &View) -> Option<String> {
    if let Some(error) = &vassal.config_error {
        return Some(format!("bad file: {}", first_line(error)));
    }
    if let Some(why) = &vassal.reload_given_up {
        return Some(format!("reload given up: {}", first_line(why)));
    }
    if let Some(other) = &vassal.waits_for {
        return Some(waits_for(other));
    }
    if let Some(step) = &vassal.step {
        return Some(under_way(step, view.now));
    }
    if let Some(doubt) = &vassal.doubt {
        return Some(first_line(doubt).to_owned());
    }
    last(vassal, view.now)
}

/// Its last failure, whatever ends somebody wished for came after; else its last end. First line only.
pub(crate) fn last(vassal: &VassalView, now: liege_core::Time) -> Option<String> {
    let times = vassal.flapping.map(|flapping| format!(" (×{})", flapping.failures)).unwrap_or_default();
    let ago = |since, cause: &str| format!("{} ago{times}: {}", span(since), first_line(cause));
    if let Some(failure) = &vassal.last_failure {
        return Some(ago(Duration::try_from_secs_f64(failure.ago).unwrap_or_default(), &failure.what));
    }
    vassal.last_cause.as_ref().map(|cause| match vassal.last_end {
        Some(at) => ago(now.since(at), cause),
        None => first_line(cause).to_owned(),
    })
}

/// Its file was another vassal's, which must end first.
pub(crate) fn waits_for(other: &str) -> String {
    format!("waits for {other}, which had this file, to end")
}

/// `for 12s: exec fuse-zip -f ... (shop.ini:4: exec-as-user)`, and from some seconds on what helps.
pub(crate) fn under_way(step: &StepView, now: liege_core::Time) -> String {
    let lasts = now.since(step.since);
    let advice = step.advice.as_ref().filter(|_| lasts >= PATIENCE).map(|advice| format!(": {advice}"));
    format!("for {}: {}{}", span(lasts), first_line(&step.what), advice.unwrap_or_default())
}

pub(crate) fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// Ends so far.
pub(crate) fn restarts(vassal: &VassalView) -> u64 {
    vassal.restarts.iter().map(|(_, count)| count).sum()
}

/// `/app:ok`
pub(crate) fn mount(mount: &MountView) -> String {
    let state = match mount.health {
        Some(Health::Healthy) => "ok",
        None => "?",
        Some(other) => other.word(),
    };
    format!("{}:{state}", mount.path)
}

/// Whether a watched mount does not do its work.
pub(crate) fn is_ill(mount: &MountView) -> bool {
    mount.health.is_some_and(Health::is_ill)
}

/// Red for what is down against its wish, yellow for what is on its way.
pub(crate) fn colour(vassal: &VassalView) -> Option<&'static str> {
    if vassal.gave_up || vassal.flapping.is_some() {
        return Some(RED);
    }
    match vassal.phase {
        Phase::Running if vassal.mounts.iter().any(is_ill) => Some(RED),
        Phase::Running if vassal.is_in_doubt() => Some(YELLOW),
        Phase::Running => None,
        Phase::Suspended => Some(FAINT),
        Phase::Waiting if vassal.failures > 0 => Some(RED),
        Phase::Waiting
        | Phase::Spawning
        | Phase::Preparing
        | Phase::Reloading
        | Phase::Stopping
        | Phase::Killing
        | Phase::Gone => Some(YELLOW),
    }
}

/// `41.2M`
#[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "K", "M", "G", "T"];
    let mut amount = count as f64;
    let mut unit = 0;
    while amount >= 1000.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    if unit == 0 || amount >= 100.0 { format!("{amount:.0}{}", UNITS[unit]) } else { format!("{amount:.1}{}", UNITS[unit]) }
}

/// Processor time.
pub(crate) fn cpu(seconds: f64) -> String {
    if seconds < 60.0 { format!("{seconds:.1}s") } else { span(std::time::Duration::from_secs_f64(seconds)) }
}

/// Text a terminal shows and does not obey: files that tenants have written are quoted here. Nor may it turn the rest of a line around.
#[must_use]
pub fn shown(text: &str) -> String {
    text.chars().map(|c| if is_obeyed(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// The same of a JSON text, which means what it meant before. The ends of its lines stay.
#[must_use]
pub fn shown_json(text: &str) -> String {
    // All of these have four digits.
    let escaped = |c: char| if is_obeyed(c) && c != '\n' { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    text.chars().map(escaped).collect()
}

/// How many columns of a terminal it takes: two for a wide character, none for an accent on the letter before it.
pub(crate) fn columns(text: &str) -> usize {
    text.chars().map(of_one).sum()
}

fn of_one(c: char) -> usize {
    c.width().unwrap_or(1)
}

/// With blanks to so many columns.
pub(crate) fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(columns(text))))
}

/// Cut to so many columns, with a sign that it was.
pub(crate) fn cut(text: &str, width: Option<usize>) -> String {
    match width {
        Some(width) if columns(text) > width => format!("{}…", split(text, width.saturating_sub(1)).0),
        _ => text.to_owned(),
    }
}

/// What fits into so many columns, and the rest.
fn split(text: &str, width: usize) -> (&str, &str) {
    let mut used = 0;
    let too_much = text.char_indices().find(|(_, c)| {
        used += of_one(*c);
        used > width
    });
    text.split_at(too_much.map_or(text.len(), |(at, _)| at))
}

/// In lines of at most so many columns, broken at blanks where there are any.
pub(crate) fn wrap(text: &str, width: Option<usize>) -> Vec<String> {
    let Some(width) = width.map(|width| width.max(16)) else { return vec![text.to_owned()] };
    let mut lines = vec![String::new()];
    for mut word in text.split(' ') {
        while !word.is_empty() {
            let line = lines.last_mut().expect("there is always one");
            let used = columns(line);
            let room = width.saturating_sub(used + usize::from(used > 0));
            if columns(word) <= room || used == 0 {
                let (fits, rest) = split(word, width);
                if used > 0 {
                    line.push(' ');
                }
                line.push_str(fits);
                word = rest;
            } else {
                lines.push(String::new());
            }
        }
    }
    lines
}

/// The same in at most so many lines; a sign tells that the last one is cut.
pub(crate) fn wrapped(text: &str, width: Option<usize>, most: usize) -> Vec<String> {
    let mut lines = wrap(text, width);
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            *last = cut(&format!("{last} …"), width);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits() {
        assert_eq!([0, 999, 1000, 43_200_000, 2 << 30].map(bytes), ["0B", "999B", "1.0K", "41.2M", "2.0G"]);
        assert_eq!([0.04, 59.0, 7265.0].map(cpu), ["0.0s", "59.0s", "2h01m"]);
    }

    #[test]
    fn text_fits_and_loses_nothing_but_what_it_says() {
        assert_eq!(cut("abcdef", Some(4)), "abc…");
        assert_eq!(cut("abcd", Some(4)), "abcd");
        assert_eq!(
            wrap("the mount at /a-very-long-path-indeed is dead", Some(16)),
            ["the mount at", "/a-very-long-pat", "h-indeed is dead"]
        );
        assert_eq!(wrap("", Some(20)), [""]);
        assert_eq!(wrap("日本語の店の日本語の店", Some(16)), ["日本語の店の日本", "語の店"]);
    }

    #[test]
    fn a_wide_character_takes_two_columns() {
        assert_eq!(["shop", "日本", "e\u{301}"].map(columns), [4, 4, 1]);
        assert_eq!((padded("日本", 6), padded("shop", 2)), ("日本  ".to_owned(), "shop".to_owned()));
        assert_eq!((cut("日本語", Some(4)), cut("日本語", Some(6))), ("日…".to_owned(), "日本語".to_owned()));
    }

    #[test]
    fn a_terminal_is_never_told_what_to_do() {
        assert_eq!(shown("a\x1b[2Jb\r\u{9b}"), "a\\u{1b}[2Jb\\r\\u{9b}");
        assert_eq!(shown("\u{202e}ini.exe\u{2066}"), "\\u{202e}ini.exe\\u{2066}");
        assert_eq!(shown("a\u{2028}b\u{2029}c\u{85}d\u{200f}e\u{feff}"), "a\\u{2028}b\\u{2029}c\\u{85}d\\u{200f}e\\u{feff}");
        assert_eq!(shown("\tk\u{f6}ln 日本"), "\tk\u{f6}ln 日本");
    }

    #[test]
    fn json_is_escaped_and_means_the_same() {
        let odd = "a\u{1b}[2J\u{9b}2J\u{85}\u{2028}\u{202e}\u{feff}\u{f6}\n";
        let json = serde_json::to_string_pretty(&[odd]).unwrap();
        let told = shown_json(&json);
        assert!(!told.contains(|c| is_obeyed(c) && c != '\n') && told.lines().count() == 3, "{told}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&told).unwrap(), [odd]);
    }
}
