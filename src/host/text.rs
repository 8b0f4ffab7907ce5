//! A log line for people: when, how loud, which target, whose, what; then the other fields; then further lines of the message.
//!
//! ```text
//! 2026-11-22T18:13:04.149047Z ERROR vassal: app001.ini: its file cannot be used (1 mistake)
//!     /etc/liege/vassals/app001.ini:3:7: error: ...
//! ```
//!
//! Messages quote files that tenants may have written, so what a terminal obeys is shown, never sent to it; and only a message's
//! first line begins at the left, so none of its others can pass for another message.

use std::fmt::{self, Write as _};

use liege_sys::escape::is_obeyed;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

/// The text format.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text;

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut said = Said::default();
        event.record(&mut said);
        let Said { vassal, message, fields } = said;
        SystemTime.format_time(&mut out)?;
        let (level, target) = (event.metadata().level(), event.metadata().target());
        match colour(*level).filter(|_| out.has_ansi_escapes()) {
            Some(colour) => write!(out, " \x1b[{colour}m{level:>5}\x1b[0m {target}:")?,
            None => write!(out, " {level:>5} {target}:")?,
        }
        if let Some(vassal) = vassal {
            write!(out, " {}:", Shown(&vassal))?;
        }
        let (first, rest) = message.split_once('\n').unwrap_or((&message, ""));
        write!(out, " {}{fields}", Shown(first))?;
        for line in rest.lines() {
            write!(out, "\n    {}", Shown(line))?;
        }
        writeln!(out)
    }
}

fn colour(level: Level) -> Option<&'static str> {
    match level {
        Level::ERROR => Some("31"),
        Level::WARN => Some("33"),
        Level::INFO => Some("32"),
        Level::DEBUG | Level::TRACE => Some("34"),
    }
}

/// The fields of an event.
#[derive(Default)]
struct Said {
    vassal: Option<String>,
    message: String,
    /// All others, each with a blank before it.
    fields: String,
}

impl Said {
    fn field(&mut self, name: &str, value: &str) {
        match name {
            "message" => value.clone_into(&mut self.message),
            "vassal" => self.vassal = Some(value.to_owned()),
            _ => {
                let plain = !value.is_empty() && !value.contains(|c: char| c.is_whitespace() || is_obeyed(c) || c == '"');
                let written =
                    if plain { write!(self.fields, " {name}={value}") } else { write!(self.fields, " {name}={value:?}") };
                written.unwrap_or_default(); // a String takes everything
            }
        }
    }
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.field(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.field(field.name(), &format!("{value:?}"));
    }
}

/// Text without what a terminal or a pager obeys.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| if is_obeyed(c) { write!(f, "{}", c.escape_default()) } else { f.write_char(c) })
    }
}
