//! How the log looks: text for a terminal, logfmt and JSON for machines.
//!
//! Targets: `emperor`, `vassal`, `mountpoint`, `health`, `control`. The level comes from `--log`, else from `RUST_LOG`, else it
//! is `info`. Colours only in text on a terminal, and never with `NO_COLOR`.

use std::io::{self, IsTerminal};

use anyhow::{Context, anyhow};
use liege_sys::signals::outlive_file_limit;
use tracing_subscriber::{
    EnvFilter, filter::LevelFilter, fmt::MakeWriter, layer::SubscriberExt, registry::Registry, util::SubscriberInitExt,
};

use crate::{
    escape::{As, Escaping},
    journal,
    lines::{Flush, Lines},
    text::Text,
};

/// The form of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// `key=value` pairs.
    Logfmt,
    /// One JSON object per line.
    Json,
}

/// Starts logging to stderr. What it returns is kept to the end of the program.
///
/// # Errors
/// `level` is no level and no list of `target=level`.
pub fn start(format: Format, level: Option<&str>) -> anyhow::Result<Flush> {
    outlive_file_limit().ok(); // the log may reach it, and so may the copies of our programs
    let environment = std::env::var_os("RUST_LOG").filter(|value| !value.is_empty());
    let (filter, mistake) = match (level, environment) {
        (Some(level), _) => (filter(level).map_err(|why| anyhow!("--log {level}: {why}"))?, None),
        (None, Some(asked)) => match filter(&asked.to_string_lossy()) {
            Ok(filter) => (filter, None),
            Err(why) => (EnvFilter::new("info"), Some(format!("RUST_LOG={}: {why}; it counts as info", asked.display()))),
        },
        (None, None) => (EnvFilter::new("info"), None),
    };
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let (lines, flush) = Lines::to(io::stderr(), journal::is_connected(io::stderr())).context("start the log's thread")?;
    tracing_subscriber::registry().with(filter).with(layer(format, colours, lines)).try_init().context("start logging")?;
    if let Some(mistake) = mistake {
        tracing::warn!(target: "emperor", "{mistake}");
    }
    Ok(flush)
}

/// Whether a level is one, for whoever wants to know before anything is started.
///
/// # Errors
/// Why not.
pub fn check_level(level: &str) -> Result<String, String> {
    filter(level).map(|_| level.to_owned())
}

/// Stricter than [`EnvFilter`], to which any word is a target: a slip of the pen would be a daemon that says nothing at all.
fn filter(asked: &str) -> Result<EnvFilter, String> {
    for part in asked.split(',') {
        let level = part.rsplit_once('=').map_or(part, |(_, level)| level).trim();
        if level.is_empty() || level.parse::<LevelFilter>().is_err() {
            return Err(format!("\"{level}\" is no level: error, warn, info, debug, trace or off, or TARGET=LEVEL,..."));
        }
    }
    EnvFilter::try_new(asked).map_err(|error| error.to_string())
}

type Layer = Box<dyn tracing_subscriber::Layer<Layered> + Send + Sync>;
type Layered = tracing_subscriber::layer::Layered<EnvFilter, Registry>;

fn layer<W>(format: Format, colours: bool, writer: W) -> Layer
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    match format {
        Format::Text => Box::new(tracing_subscriber::fmt::layer().event_format(Text).with_ansi(colours).with_writer(writer)),
        Format::Logfmt => Box::new(tracing_logfmt::builder().with_target(true).layer().with_writer(Escaping(As::Text, writer))),
        Format::Json => {
            Box::new(tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(Escaping(As::Json, writer)))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: Format) -> String {
        let memory = Memory::default();
        let writer = memory.clone();
        let layer = layer(format, false, move || writer.clone());
        let subscriber = tracing_subscriber::registry().with(EnvFilter::new("info")).with(layer);
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "health", "liege_vassal_up{{vassal=\"a.ini\"}} 1");
            tracing::warn!(target: "vassal", vassal = "a.ini", cause = "exit", "ended\nhere: \x1b[31m");
            tracing::debug!(target: "vassal", "not asked for");
        });
        let bytes = memory.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_word_that_is_no_level_is_no_filter() {
        for good in ["info", "DEBUG", "off", "info,vassal=debug"] {
            assert!(filter(good).is_ok(), "{good}");
        }
        for bad in ["", "loud", "vassal", "vassal=", "vassal=loud", "info,loud", "info,"] {
            assert!(filter(bad).is_err_and(|why| why.contains("is no level")), "{bad}");
        }
    }

    #[test]
    fn a_health_line_in_text_is_a_sample_behind_its_target() {
        let text = logged(Format::Text);
        assert!(text.lines().next().unwrap().ends_with("health: liege_vassal_up{vassal=\"a.ini\"} 1"), "{text}");
    }

    #[test]
    fn a_line_in_text_has_its_vassal_first_and_its_fields_before_further_lines() {
        let text = logged(Format::Text);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].ends_with(" WARN vassal: a.ini: ended cause=exit"), "{text}");
        assert_eq!(lines[2], "    here: \\u{1b}[31m");
    }

    #[test]
    fn a_json_line_is_an_object_with_the_fields() {
        let text = logged(Format::Json);
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["message"], "liege_vassal_up{vassal=\"a.ini\"} 1");
        assert_eq!((&lines[1]["target"], &lines[1]["vassal"]), (&"vassal".into(), &"a.ini".into()));
    }

    #[test]
    fn a_logfmt_line_stays_one_line() {
        let text = logged(Format::Logfmt);
        assert_eq!(text.lines().count(), 2, "{text}");
        let line = text.lines().nth(1).unwrap();
        assert!(line.contains("target=vassal") && line.contains("vassal=a.ini") && line.contains("cause=exit"), "{line}");
    }
}
