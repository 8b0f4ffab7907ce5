//! `attach-daemon` and its family: programs that run beside a command, as uWSGI's master keeps them beside its workers.
//!
//! Three kinds, as there: one that stays in the foreground (`attach-daemon`, and `attach-control-daemon`, whose end is the
//! instance's), one that goes into the background itself and is followed by its pidfile (`smart-attach-daemon`), and one that stays in
//! the foreground and has its pidfile written for it (`smart-attach-daemon2`). `attach-daemon2` says the same with keys. Each command
//! is a line for `/bin/sh`. A vassal without a command of its own hands all of them on to its uwsgi.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::options::Options;
use crate::pair::Pair;
use crate::report::Report;
use crate::{Asked, Code, values};

/// The lines that attach a daemon.
pub(crate) const KEYS: [&str; 5] =
    ["attach-daemon", "attach-control-daemon", "smart-attach-daemon", "smart-attach-daemon2", "attach-daemon2"];

/// uWSGI waits so many seconds for a pidfile (`freq`).
const PIDFILE_PATIENCE: u64 = 10;
/// Its longest pause before a daemon is started again.
const MAX_THROTTLE: u64 = 300;

/// One attached daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachedDaemon {
    /// What `/bin/sh -c` runs.
    pub command: String,
    /// How it is followed where it is not by its own process.
    pub pidfile: Option<Pidfile>,
    /// Its end is the end of the instance (`control`).
    pub control: bool,
    /// Its own user (`uid`); None: the vassal's.
    pub uid: Option<u32>,
    /// Its own group (`gid`); None: the vassal's.
    pub gid: Option<u32>,
    /// Where it starts (`chdir`); None: as the app.
    pub chdir: Option<String>,
    /// What asks it to end (`stopsignal`, TERM).
    pub stop_signal: i32,
    /// What a reload sends it instead (`reloadsignal`).
    pub reload_signal: Option<i32>,
    /// One with a pidfile is told of a reload too (`notifypid`).
    pub notify: bool,
    /// The longest pause before it is started again (`max_throttle`, 300 s).
    pub max_throttle: Duration,
}

/// The file with the pid of a daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pidfile {
    /// Its path, in the vassal's root.
    pub path: String,
    /// How long it may take to appear (`freq`).
    pub patience: Duration,
    /// It is written for a daemon that stays in the foreground (`daemonize`). Else the daemon goes into the background and writes it.
    pub written_for_it: bool,
}

/// The daemons of a command, in the order of the file.
pub(crate) fn raise(options: &Options<'_>, report: &mut Report) -> Vec<Asked<AttachedDaemon>> {
    let mut daemons = Vec::new();
    for line in options.all(&KEYS) {
        let daemon = match line.key.as_str() {
            "attach-daemon2" => keyed(line, report),
            "smart-attach-daemon" => smart(line, false, report),
            "smart-attach-daemon2" => smart(line, true, report),
            key => Some(AttachedDaemon { control: key == "attach-control-daemon", ..AttachedDaemon::of(&line.value) }),
        };
        let Some(daemon) = daemon else { continue };
        if daemon.command.trim().is_empty() {
            report.push(line.error(Code::MissingValue, "the command is empty"));
        } else {
            daemons.push(Asked::new(daemon, line.origin.clone()));
        }
    }
    daemons
}

impl AttachedDaemon {
    fn of(command: &str) -> Self {
        Self {
            command: command.to_owned(),
            pidfile: None,
            control: false,
            uid: None,
            gid: None,
            chdir: None,
            stop_signal: 15,
            reload_signal: None,
            notify: false,
            max_throttle: Duration::from_secs(MAX_THROTTLE),
        }
    }
}

/// `PIDFILE[,SECONDS] COMMAND`
fn smart(line: &Pair, written_for_it: bool, report: &mut Report) -> Option<AttachedDaemon> {
    let Some((file, command)) = line.value.split_once(' ') else {
        report.push(line.error(Code::MissingValue, "is written PIDFILE COMMAND"));
        return None;
    };
    let (path, freq) = file.split_once(',').map_or((file, None), |(path, freq)| (path, Some(freq)));
    let patience = match freq.map(values::integer) {
        None => PIDFILE_PATIENCE,
        Some(Ok(seconds)) => seconds,
        Some(Err(why)) => {
            report.push(line.error_at(file, Code::BadValue, why));
            return None;
        }
    };
    let pidfile = pidfile(line, path, patience, written_for_it, report)?;
    Some(AttachedDaemon { pidfile: Some(pidfile), ..AttachedDaemon::of(command) })
}

fn pidfile(line: &Pair, path: &str, patience: u64, written_for_it: bool, report: &mut Report) -> Option<Pidfile> {
    if !path.starts_with('/') {
        report.push(line.error_at(path, Code::RelativePath, "a pidfile is named by its whole path, in the vassal's root"));
        return None;
    }
    Some(Pidfile { path: path.to_owned(), patience: Duration::from_secs(patience.max(1)), written_for_it })
}

/// `key=value,key=value`; a comma of a value stands behind a backslash.
fn keyed(line: &Pair, report: &mut Report) -> Option<AttachedDaemon> {
    let mut keys = Keys { daemon: AttachedDaemon::of(""), pidfile: None, patience: PIDFILE_PATIENCE, written_for_it: false };
    let mut good = true;
    for (key, value) in pairs(&line.value) {
        if let Err(why) = keys.set(&key, &value) {
            report.push(line.error_at(&key, Code::BadValue, format!("{key}: {why}")));
            good = false;
        }
    }
    let Keys { mut daemon, pidfile: path, patience, written_for_it } = keys;
    match path {
        Some(path) => daemon.pidfile = Some(pidfile(line, &path, patience, written_for_it, report)?),
        None if written_for_it => {
            report.push(line.error_at("daemon", Code::MissingValue, "daemonize needs pidfile=PATH"));
            return None;
        }
        None => {}
    }
    good.then_some(daemon)
}

/// What keys have said so far.
struct Keys {
    daemon: AttachedDaemon,
    pidfile: Option<String>,
    patience: u64,
    written_for_it: bool,
}

impl Keys {
    /// Most keys of uWSGI are switched on by whatever stands behind them.
    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let id = || u32::try_from(values::integer(value)?).map_err(|_| format!("{value} is no id"));
        match key {
            "cmd" | "command" | "exec" => self.daemon.command = value.to_owned(),
            "pidfile" => self.pidfile = Some(value.to_owned()),
            "freq" => self.patience = values::integer(value)?,
            "control" => self.daemon.control = true,
            "daemonize" | "daemon" => self.written_for_it = true,
            "stopsignal" | "stop_signal" => self.daemon.stop_signal = values::signal(value)?,
            "reloadsignal" | "reload_signal" => self.daemon.reload_signal = Some(values::signal(value)?),
            "uid" => self.daemon.uid = Some(id()?),
            "gid" => self.daemon.gid = Some(id()?),
            "chdir" => self.daemon.chdir = Some(value.to_owned()),
            "max_throttle" => {
                self.daemon.max_throttle = Duration::from_secs(values::integer(value)?.clamp(1, MAX_THROTTLE));
            }
            "notifypid" => self.daemon.notify = true,
            "stdin" => return Err("its standard input is /dev/null".into()),
            "ns_pid" => return Err("the vassal has its own pid namespace (emperor-use-clone = pid)".into()),
            "touch" => return Err("touch the vassal's file, or send the daemon a signal".into()),
            _ => return Err("is no key of attach-daemon2".into()),
        }
        Ok(())
    }
}

fn pairs(text: &str) -> Vec<(String, String)> {
    let mut items = vec![String::new()];
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match (c, items.last_mut()) {
            (',', _) => items.push(String::new()),
            ('\\', Some(item)) => item.extend(rest.next()),
            (c, Some(item)) => item.push(c),
            (_, None) => {}
        }
    }
    let split = |item: String| item.split_once('=').map_or((item.clone(), String::new()), |(k, v)| (k.into(), v.into()));
    items.into_iter().filter(|item| !item.is_empty()).map(split).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_behind_a_backslash_belongs_to_the_value() {
        let both = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(pairs(r"cmd=a\,b=c,control,uid=5"), [both("cmd", "a,b=c"), both("control", ""), both("uid", "5")]);
        assert_eq!(pairs(""), []);
    }
}
