//! What happened, a line each, in the form of the log: its moment, how loud, whose, what.

use liege_core::{Happening, Level};

use crate::{
    Style,
    style::{FAINT, RED, YELLOW},
    words::shown,
};

/// One line, or several where the sentence has several.
#[must_use]
pub fn happened(happening: &Happening, style: Style) -> String {
    let (level, colour) = match happening.level {
        Level::Debug => ("DEBUG", Some(FAINT)),
        Level::Info => (" INFO", None),
        Level::Warn => (" WARN", Some(YELLOW)),
        Level::Error => ("ERROR", Some(RED)),
    };
    let mut lines = happening.text.lines();
    let whose = happening.vassal.as_ref().map(|name| format!(" {}:", shown(name))).unwrap_or_default();
    let cause = happening.cause.as_ref().map(|cause| format!(" cause={cause}")).unwrap_or_default();
    let first = shown(lines.next().unwrap_or_default());
    let mut text = format!("{} {}{whose} {first}{cause}\n", moment(happening.at), style.paint(level, colour));
    lines.for_each(|line| text.push_str(&format!("    {}\n", shown(line))));
    text
}

/// Seconds since 1970 as `2026-11-22T18:13:04.149Z`, as in the log, so that one is found in the other.
#[must_use]
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a moment after 1970 and before the end of all calendars"
)]
pub fn moment(at: f64) -> String {
    let millis = (at.max(0.0) * 1e3) as u64;
    let (days, millis) = (millis / 86_400_000, millis % 86_400_000);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (millis / 3_600_000, millis / 60_000 % 60, millis / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", millis % 1000)
}

/// The date so many days after 1970-01-01. Years begin in March here, so that the leap day is the last of its year.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // since 0000-03-01
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let (year, month) = (era * 400 + year, if month < 10 { month + 3 } else { month - 9 });
    (year + u64::from(month <= 2), month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_that_of_the_log() {
        assert_eq!(moment(0.0), "1970-01-01T00:00:00.000Z");
        assert_eq!(moment(951_868_799.5), "2000-02-29T23:59:59.500Z");
        assert_eq!(moment(1_795_371_184.149), "2026-11-22T18:13:04.149Z");
        assert_eq!(moment(4_102_444_800.0), "2100-01-01T00:00:00.000Z");
    }

    #[test]
    fn a_line_names_whose_what_and_why() {
        let happening = Happening {
            id: 7,
            at: 0.0,
            level: Level::Warn,
            kind: "ended".into(),
            vassal: Some("a.ini".into()),
            text: "ended after 1.000s\nmore\x1b[2J".into(),
            cause: Some("exit".into()),
        };
        let text = happened(&happening, Style::default());
        assert_eq!(text, "1970-01-01T00:00:00.000Z  WARN a.ini: ended after 1.000s cause=exit\n    more\\u{1b}[2J\n");
    }
}
