//! A vassal whose app lives from one file system, and is watched.

use std::io::Read as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::emperor::Emperor;
use crate::faults::{Filesystem, Kind};
use crate::procs::Process;
use crate::story::Host;
use crate::vassal::Vassal;
use crate::wait::{bar, breathe};

/// The times of a mountpoint check.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// `mountpoint-check-interval`, seconds.
    pub interval: f64,
    /// `mountpoint-check-timeout`, seconds.
    pub timeout: f64,
}

impl Pace {
    /// Fast enough for a suite, slow enough for a machine that builds something at the same time.
    pub const SUITE: Self = Self { interval: 0.2, timeout: 0.5 };
}

/// One vassal, with everything needed to hurt it and to see it served again.
#[derive(Clone, Debug)]
pub struct Victim {
    /// Its file's name.
    pub name: String,
    /// What it lives from.
    pub filesystem: Filesystem,
    /// Where its app listens: a name that stands in the app's command line and in no other.
    socket: PathBuf,
    reader: PathBuf,
    habits: &'static str,
    /// The path that is checked.
    watched: Option<PathBuf>,
    before: String,
    more: String,
    pace: Pace,
}

impl Victim {
    /// A vassal file and all it needs; nothing is started. `habits` are words of `bin/reader`.
    #[must_use]
    pub fn new(host: &Host, name: &str, filesystem: Filesystem, habits: &'static str, pace: Pace) -> Self {
        // Not a port: those that were free a moment ago are taken by whoever connects to something.
        let socket = host.open_dir("sockets").join(format!("{name}.socket"));
        let (reader, name) = (host.helper("reader"), format!("{name}.ini"));
        let watched = Some(filesystem.mount.clone());
        Self { name, filesystem, socket, reader, habits, watched, before: String::new(), more: String::new(), pace }
    }

    /// Its check is on this path; None: it has none.
    #[must_use]
    pub fn watching(mut self, path: Option<&Path>) -> Self {
        self.watched = path.map(Path::to_owned);
        self
    }

    /// Lines in its file that come before those that mount its file system.
    #[must_use]
    pub fn after(mut self, lines: &str) -> Self {
        self.before.push_str(lines);
        self
    }

    /// More lines in its file.
    #[must_use]
    pub fn with(mut self, lines: &str) -> Self {
        self.more.push_str(lines);
        self
    }

    /// Its file.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { filesystem, socket, reader, habits, before, more, pace, .. } = self;
        let root = if filesystem.app_identity().contains("uid = ") { "" } else { "uid = root\n" };
        let checked = self.watched.as_ref().map_or_else(String::new, |path| format!("mountpoint-check = {}\n", path.display()));
        format!(
            "[vassal]\ncommand = {} {} {} {habits}\n{}stop-timeout = 1\n{before}{}{checked}\
             mountpoint-check-interval = {}\nmountpoint-check-timeout = {}\n{more}{root}",
            reader.display(),
            socket.display(),
            filesystem.hello().0.display(),
            filesystem.app_identity(),
            filesystem.lines(),
            pace.interval,
            pace.timeout
        )
    }

    /// Whether its app answers with what stands on its file system.
    #[must_use]
    pub fn serves(&self) -> bool {
        let Ok(mut app) = UnixStream::connect(&self.socket) else { return false };
        let mut said = String::new();
        let heard = app.set_read_timeout(Some(bar(Duration::from_secs(5)))).and_then(|()| app.read_to_string(&mut said));
        heard.is_ok() && said == self.filesystem.hello().1
    }

    /// How long it took from `start` until the app served.
    ///
    /// # Errors
    /// A sentence, when it took longer than `limit`.
    pub fn until_served(&self, start: Instant, limit: Duration) -> Result<Duration, String> {
        loop {
            if self.serves() {
                return Ok(start.elapsed());
            }
            if start.elapsed() > bar(limit) {
                return Err(format!("not served for {limit:?}"));
            }
            breathe(Duration::from_millis(2));
        }
    }

    /// The living vassal.
    ///
    /// # Errors
    /// A sentence, when there is none.
    pub fn vassal(&self, emperor: &Emperor) -> Result<Vassal, String> {
        emperor.vassal_with(&self.socket.to_string_lossy()).ok_or_else(|| format!("{} has no app", self.name))
    }

    /// The process that serves the file system.
    ///
    /// # Errors
    /// A sentence, when there is none.
    pub fn daemon(&self, vassal: &Vassal) -> Result<Process, String> {
        let program = self.filesystem.kind.program();
        let found = vassal.processes().into_iter().find(|process| process.name == program);
        found.ok_or_else(|| format!("{} has no {program}", self.name))
    }

    /// Whether its file system takes orders.
    #[must_use]
    pub fn takes_orders(&self) -> bool {
        self.filesystem.kind == Kind::Faultfs
    }

    /// Gives an order to its file system.
    ///
    /// # Errors
    /// A sentence.
    pub fn order(&self, word: &str) -> Result<(), String> {
        let faultfs = self.filesystem.faultfs.as_ref().ok_or("it takes no orders")?;
        faultfs.order(word).map_err(|e| format!("order {word:?}: {e}"))
    }
}
