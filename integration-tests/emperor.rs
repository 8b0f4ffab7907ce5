//! A running `liege run`: its files, its vassals, its words, its end.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::gauge::{Gauge, is_helper};
use crate::log::Log;
use crate::procs;
use crate::tools::run_liege;
use crate::vassal::Vassal;
use crate::wait::{LONG, SHORT, bar, breathe, wait_for, wait_until};

/// Idle threads the runtime may keep in its blocking pool for a while after a storm.
const POOL: usize = 32;

/// The daemon of a story.
#[derive(Debug)]
pub struct Emperor {
    /// Its pid.
    pub pid: i32,
    /// The directory it watches.
    pub watched: PathBuf,
    /// Its control socket.
    pub control: PathBuf,
    /// Where its vassals' logs are.
    pub logs: PathBuf,
    state: PathBuf,
    child: Mutex<Child>,
    log: Arc<Log>,
    zero: Mutex<Option<Gauge>>,
}

impl Emperor {
    pub(crate) fn new(child: Child, log: Arc<Log>, watched: PathBuf, logs: PathBuf, state: PathBuf, control: PathBuf) -> Self {
        let pid = i32::try_from(child.id()).expect("a pid is small");
        Self { pid, child: Mutex::new(child), log, watched, logs, state, control, zero: Mutex::default() }
    }

    /// What it must come back to when its story ends.
    pub(crate) fn set_zero(&self, zero: Gauge) {
        *self.zero.lock().expect("no thread panicked with it") = Some(zero);
    }

    /// Where a vassal's file lies.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.watched.join(name)
    }

    /// Writes a vassal's file, as an editor that truncates does.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.file(name), text).unwrap_or_else(|e| panic!("write {name}: {e}"));
    }

    /// Takes a vassal's file away.
    ///
    /// # Panics
    /// When it is not there.
    pub fn remove(&self, name: &str) {
        fs::remove_file(self.file(name)).unwrap_or_else(|e| panic!("remove {name}: {e}"));
    }

    /// Takes a vassal's file away if it is there.
    pub fn remove_if_there(&self, name: &str) {
        let _ = fs::remove_file(self.file(name)); // gone is as good
    }

    /// `touch`.
    ///
    /// # Panics
    /// When the file is not there.
    pub fn touch(&self, name: &str) {
        let file = fs::File::options().append(true).open(self.file(name)).unwrap_or_else(|e| panic!("touch {name}: {e}"));
        file.set_modified(std::time::SystemTime::now()).expect("utimensat");
    }

    /// The vassals that live: children that are not the daemon's own program (its prober is).
    #[must_use]
    pub fn vassals(&self) -> Vec<Vassal> {
        let children = procs::all().into_iter().filter(|process| process.parent == self.pid && process.state != 'Z');
        children.filter(|process| !is_helper(process, self.pid)).map(|init| Vassal { init }).collect()
    }

    /// The vassal one of whose processes has `marker` in its command line.
    #[must_use]
    pub fn vassal_with(&self, marker: &str) -> Option<Vassal> {
        self.vassals().into_iter().find(|vassal| vassal.processes().iter().any(|process| process.command_line().contains(marker)))
    }

    /// The daemon's children that are the daemon's own program: its prober.
    #[must_use]
    pub fn helpers(&self) -> Vec<procs::Process> {
        procs::all().into_iter().filter(|process| is_helper(process, self.pid)).collect()
    }

    /// Waits for the vassal one of whose processes has `marker` in its command line.
    ///
    /// # Panics
    /// When there is none in time.
    #[track_caller]
    #[must_use]
    pub fn vassal(&self, marker: &str) -> Vassal {
        wait_for(&format!("a vassal with {marker:?} in a command line"), SHORT, || self.vassal_with(marker))
    }

    /// The daemon's pid.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Runs `liege WORDS... --control SOCKET`; its status, and what it said on both channels.
    ///
    /// # Panics
    /// When it cannot be executed or is killed.
    pub fn ask(&self, words: &[&str]) -> (i32, String) {
        let control = [OsStr::new("--control"), self.control.as_os_str()];
        run_liege(&words.iter().map(OsStr::new).chain(control).collect::<Vec<_>>())
    }

    /// [`Self::ask`], where it has to be done; what was said.
    ///
    /// # Panics
    /// When its status is not 0.
    #[track_caller]
    pub fn ask_well(&self, words: &[&str]) -> String {
        let (status, said) = self.ask(words);
        assert_eq!(status, 0, "{said}");
        said
    }

    /// What the daemon holds now.
    #[must_use]
    pub fn gauge(&self) -> Gauge {
        Gauge::read(self.pid)
    }

    /// Sends the daemon a signal.
    ///
    /// # Panics
    /// When it is gone.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid), signal).unwrap_or_else(|e| panic!("{signal} to the daemon: {e}"));
    }

    /// All lines of the log so far.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.log.lines()
    }

    /// How many lines there are: a place to look from, later.
    #[must_use]
    pub fn mark(&self) -> usize {
        self.log().len()
    }

    /// The first line that contains `pattern`, waited for.
    ///
    /// # Panics
    /// When it does not come in time.
    #[track_caller]
    pub fn wait_log(&self, pattern: &str) -> String {
        self.wait_log_from(0, &[pattern])
    }

    /// The first line from `mark` on that contains all `patterns`, waited for.
    ///
    /// # Panics
    /// When it does not come in time.
    #[track_caller]
    pub fn wait_log_from(&self, mark: usize, patterns: &[&str]) -> String {
        match self.log.find(mark, LONG, |line| patterns.iter().all(|pattern| line.contains(pattern))) {
            Some(line) => line,
            None => panic!("the daemon never said {patterns:?}"),
        }
    }

    /// What a vassal's own log says so far, the newest file only; without the stamps.
    #[must_use]
    pub fn said(&self, vassal: &str) -> Vec<String> {
        let text = fs::read_to_string(self.logs.join(vassal).join("log")).unwrap_or_default();
        text.lines().map(|line| line.split_once(' ').map_or(line, |(_, rest)| rest).to_owned()).collect()
    }

    /// Waits until a line of a vassal's own log contains this.
    ///
    /// # Panics
    /// When none does in time.
    #[track_caller]
    pub fn wait_said(&self, vassal: &str, pattern: &str) -> String {
        let what = format!("{vassal} to say {pattern:?}");
        wait_for(&what, LONG, || self.said(vassal).into_iter().find(|line| line.contains(pattern)))
    }

    /// The first line from `mark` on that fits, waited for; None when it does not come within `limit`.
    #[must_use]
    pub fn look_for(&self, mark: usize, limit: Duration, fits: impl Fn(&str) -> bool) -> Option<String> {
        self.log.find(mark, limit, fits)
    }

    /// Waits until the log says that this vassal's life ended, and by which cause (a word of the closed list).
    ///
    /// # Panics
    /// When it does not in time.
    #[track_caller]
    pub fn wait_cause(&self, mark: usize, vassal: &str, cause: &str) -> String {
        // Quoted or not, as the format has it; the word ends there.
        let fits = |line: &str| {
            line.contains(vassal) && line.replace('"', "").split(' ').any(|word| word.strip_prefix("cause=") == Some(cause))
        };
        match self.log.find(mark, LONG, fits) {
            Some(line) => line,
            None => panic!("the daemon never said that {vassal} ended by {cause}"),
        }
    }

    /// Waits for the daemon's end.
    ///
    /// # Panics
    /// When it lives on after `limit`.
    #[track_caller]
    pub fn wait_exit(&self, limit: Duration) -> ExitStatus {
        wait_for("the daemon to end", limit, || self.ended())
    }

    /// Waits until it is ready, and ends it, or until it ends by itself. Whether it was ready, and its status.
    ///
    /// # Panics
    /// When it does neither.
    #[track_caller]
    pub fn start_or_end(&self) -> (bool, ExitStatus) {
        let is_ready = || self.log().iter().any(|line| line.contains("the emperor is ready"));
        wait_until("its start, or its end", LONG, || is_ready() || self.ended().is_some());
        let has_started = is_ready();
        if has_started && self.ended().is_none() {
            self.signal(Signal::SIGTERM);
        }
        (has_started, self.wait_exit(LONG))
    }

    /// Its status, when it has ended.
    #[must_use]
    pub fn ended(&self) -> Option<ExitStatus> {
        self.child.lock().expect("no thread panicked with it").try_wait().expect("our own child")
    }

    /// Prints the log, for a story that failed.
    pub fn show_log(&self) {
        eprintln!("--- the log of liege {}:", self.pid);
        for line in self.log() {
            eprintln!("{line}");
        }
    }

    /// The end of every story: all files go, everything of them must go, the daemon must be what it was at its start, and
    /// then end with 0 and leave its state directory empty. One that has ended by itself is only looked after.
    pub fn put_to_rest(&self) {
        if self.ended().is_none() {
            self.empty_watched();
            wait_until("all vassals to be gone after their files", LONG, || self.vassals().is_empty());
            let prober = || procs::all().iter().any(|process| is_helper(process, self.pid));
            wait_until("the prober to end after the last check", SHORT, || !prober());
            if let Some(zero) = self.zero.lock().expect("no thread panicked with it").as_ref() {
                let start = Instant::now();
                while let Some(difference) = self.gauge().differs(zero, POOL) {
                    assert!(
                        start.elapsed() < bar(SHORT),
                        "the daemon did not come back to what it was at its start:\n{difference}"
                    );
                    breathe(Duration::from_millis(10));
                }
            }
            wait_until("the records of deaths to go with the vassals", SHORT, || entries(&self.state.join("deaths")).is_empty());
            self.signal(Signal::SIGTERM);
            let status = self.wait_exit(SHORT);
            assert!(status.code() == Some(0), "the daemon ended with {status} (signal {:?})", status.signal());
            self.assert_state_gone();
        }
    }

    /// What a daemon that ended in order leaves in its state directory and beside it: nothing but the logs, and why the
    /// vassals died whose files are there.
    ///
    /// # Panics
    /// When there is something.
    pub fn assert_state_gone(&self) {
        let mut left = entries(&self.state);
        let records = entries(&self.state.join("deaths"));
        left.retain(|path| !path.ends_with("logs") && (records.is_empty() || !path.ends_with("deaths")));
        left.extend(self.control.exists().then(|| self.control.clone()));
        assert!(left.is_empty(), "left by the daemon: {left:?}");
    }

    fn empty_watched(&self) {
        for entry in fs::read_dir(&self.watched).into_iter().flatten().flatten() {
            let _ = fs::remove_file(entry.path()).or_else(|_| fs::remove_dir_all(entry.path()));
        }
    }
}

/// What is in a directory; nothing, if there is none.
fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}
