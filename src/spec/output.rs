//! Where the output of a vassal goes: `vassal-log` and its sisters. (uWSGI's own `logto` family is uwsgi's and goes to it.)

use serde::{Deserialize, Serialize};

use crate::options::Options;
use crate::report::Report;
use crate::values;

/// Where what the hooks, the daemons and the app of a vassal write to stdout and stderr goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogTo {
    /// A log of its own below `emperor-log-dir`.
    #[default]
    File,
    /// systemd's journal, the vassal's name as the identifier.
    Journal,
    /// The daemon's own stdout and stderr, as under uWSGI's Emperor.
    Inherit,
}

/// How much a log may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRules {
    /// `vassal-log-size` (8 MiB): a file that has reached this many bytes is put aside and a new one begun.
    pub size: u64,
    /// `vassal-log-keep` (3): so many files that were put aside are kept.
    pub keep: u32,
    /// `vassal-log-rate` (1 MiB): bytes a second in the long run; what is written faster is dropped and counted. 0: no limit.
    pub rate: u64,
}

impl Default for LogRules {
    fn default() -> Self {
        Self { size: 8 << 20, keep: 3, rate: 1 << 20 }
    }
}

/// A file must hold a few lines.
const SMALLEST: u64 = 4096;
/// More would be renamed at each turn than anybody reads.
const MOST_KEPT: u64 = 99;

pub(crate) fn target(options: &Options<'_>, report: &mut Report) -> LogTo {
    let check = |value: &str| match value {
        "file" => Ok(LogTo::File),
        "journald" | "journal" => Ok(LogTo::Journal),
        "inherit" => Ok(LogTo::Inherit),
        other => Err(format!("\"{other}\" is none of file, journald, inherit")),
    };
    options.checked("vassal-log", report, check).unwrap_or_default()
}

pub(crate) fn rules(options: &Options<'_>, report: &mut Report) -> LogRules {
    let size = |value: &str| match values::bytes(value)? {
        bytes if bytes < SMALLEST => Err(format!("must be at least {SMALLEST} bytes")),
        bytes => Ok(bytes),
    };
    let keep = |value: &str| match values::integer(value)? {
        files if files > MOST_KEPT => Err(format!("must be at most {MOST_KEPT}")),
        files => Ok(files as u32),
    };
    let default = LogRules::default();
    LogRules {
        size: options.checked("vassal-log-size", report, size).unwrap_or(default.size),
        keep: options.checked("vassal-log-keep", report, keep).unwrap_or(default.keep),
        rate: options.checked("vassal-log-rate", report, values::bytes).unwrap_or(default.rate),
    }
}
