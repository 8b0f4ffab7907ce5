//! A running `liege run`: its log, its vassals, its end.

use std::ffi::OsString;
use std::io::BufReader;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};
use std::{fs, thread};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::gauge::{Gauge, is_helper};
use crate::procs::{self, Process};
use crate::story::Host;
use crate::tools;
use crate::wait::{LONG, SHORT, wait_for, wait_until};

/// Idle threads the runtime may keep in its blocking pool for a while after a storm.
const POOL: usize = 32;

/// A daemon that is not started yet.
#[derive(Debug)]
pub struct Launch<'h> {
    host: &'h Host,
    watched: PathBuf,
    arguments: Vec<OsString>,
    defaults: bool,
    namespaces: Option<String>,
    environment: Vec<(String, String)>,
    wrapper: Vec<OsString>,
}

impl<'h> Launch<'h> {
    pub(crate) fn new(host: &'h Host) -> Self {
        Self {
            host,
            watched: host.path("vassals"),
            arguments: Vec::new(),
            defaults: true,
            namespaces: Some("fs,pid".into()),
            environment: Vec::new(),
            wrapper: Vec::new(),
        }
    }

    /// One more argument of `liege run`.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// `emperor-use-clone`; None: no new namespaces.
    #[must_use]
    pub fn namespaces(mut self, list: Option<&str>) -> Self {
        self.namespaces = list.map(str::to_owned);
        self
    }

    /// No argument but those of [`Self::arg`]; `watched` is where the story will put its files.
    #[must_use]
    pub fn only_my_arguments(mut self, watched: &Path) -> Self {
        self.defaults = false;
        self.watched = watched.to_owned();
        self
    }

    /// An environment variable of the daemon.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// A program, with arguments, that executes the daemon's command line behind it: `prlimit`, `env`.
    #[must_use]
    pub fn under(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(OsString::from).collect();
        self
    }

    /// Starts it and waits until it watches.
    ///
    /// # Panics
    /// When it does not start, with its log.
    #[must_use]
    pub fn start(self) -> Rc<Emperor> {
        let emperor = self.start_unheard();
        emperor.wait_log("the emperor is ready");
        // The gauge's zero: nothing is dropped yet, and what starts lazily has started.
        let stable = wait_for("the daemon to come to rest", SHORT, || {
            let (one, _, two) = (emperor.gauge(), crate::wait::breathe(Duration::from_millis(30)), emperor.gauge());
            (one == two).then_some(one)
        });
        *emperor.zero.lock().expect("no thread panicked with it") = Some(stable);
        emperor
    }

    /// Starts it, and does not wait for anything.
    ///
    /// # Panics
    /// When the program cannot be executed.
    #[must_use]
    pub fn start_unheard(self) -> Rc<Emperor> {
        let (state, control) = (self.host.path("state"), self.host.path("control.sock"));
        let mut words = self.wrapper.clone();
        words.extend([tools::liege().into_os_string(), "run".into()]);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        if self.defaults {
            fs::create_dir_all(&self.watched).expect("mkdir in our own directory");
            command.arg("--emperor").arg(&self.watched);
            if let Some(namespaces) = &self.namespaces {
                command.args(["--emperor-use-clone", namespaces]);
            }
            command.arg("--emperor-state-dir").arg(&state).arg("--emperor-control").arg(&control);
        }
        command.args(&self.arguments).current_dir(self.host.dir());
        command
            .env_clear()
            .env("PATH", tools::PATH)
            .env("NO_COLOR", "1")
            .env("LANG", "C.UTF-8")
            .env("UWSGI_PLUGIN", "psgi")
            .envs(self.environment);
        // One pipe for both, so that the lines keep their order.
        let (reader, writer) = std::io::pipe().expect("a pipe");
        command.stdin(Stdio::null()).stdout(writer.try_clone().expect("a descriptor")).stderr(writer);
        let child = command.spawn().unwrap_or_else(|e| panic!("{}: {e}", tools::liege().display()));
        drop(command); // it holds the pipe's other ends
        let log = Arc::new(Log::default());
        let filled = Arc::clone(&log);
        thread::spawn(move || filled.fill(BufReader::new(reader)));
        let emperor = Rc::new(Emperor {
            pid: i32::try_from(child.id()).expect("a pid is small"),
            child: Mutex::new(child),
            log,
            watched: self.watched,
            state,
            control,
            zero: Mutex::default(),
        });
        self.host.adopt(&emperor);
        emperor
    }
}

/// The daemon of a story.
#[derive(Debug)]
pub struct Emperor {
    /// Its pid.
    pub pid: i32,
    /// The directory it watches.
    pub watched: PathBuf,
    /// Its control socket.
    pub control: PathBuf,
    state: PathBuf,
    child: Mutex<Child>,
    log: Arc<Log>,
    zero: Mutex<Option<Gauge>>,
}

impl Emperor {
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

    /// Waits for the vassal one of whose processes has `marker` in its command line.
    ///
    /// # Panics
    /// When there is none in time.
    #[track_caller]
    #[must_use]
    pub fn vassal(&self, marker: &str) -> Vassal {
        wait_for(&format!("a vassal with {marker:?} in a command line"), SHORT, || self.vassal_with(marker))
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
        self.log.lines.lock().expect("the reader does not panic").clone()
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
            if let Some(zero) = self.zero.lock().expect("no thread panicked with it").as_ref() {
                let start = Instant::now();
                while let Some(difference) = self.gauge().differs(zero, POOL) {
                    assert!(start.elapsed() < SHORT, "the daemon did not come back to what it was at its start:\n{difference}");
                    crate::wait::breathe(Duration::from_millis(10));
                }
            }
            self.signal(Signal::SIGTERM);
            let status = self.wait_exit(SHORT);
            assert!(status.code() == Some(0), "the daemon ended with {status} (signal {:?})", status.signal());
            self.assert_state_gone();
        }
    }

    /// What a daemon that ended in order leaves in its state directory and beside it: nothing.
    ///
    /// # Panics
    /// When there is something.
    pub fn assert_state_gone(&self) {
        let mut left: Vec<PathBuf> =
            fs::read_dir(&self.state).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        left.extend(self.control.exists().then(|| self.control.clone()));
        assert!(left.is_empty(), "left by the daemon: {left:?}");
    }

    fn empty_watched(&self) {
        for entry in fs::read_dir(&self.watched).into_iter().flatten().flatten() {
            let _ = fs::remove_file(entry.path()).or_else(|_| fs::remove_dir_all(entry.path()));
        }
    }
}

/// One living vassal: its init and everything below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vassal {
    /// `liege-init`: pid 1 of the vassal's pid namespace where it has one.
    pub init: Process,
}

impl Vassal {
    /// All its processes, init first.
    #[must_use]
    pub fn processes(&self) -> Vec<Process> {
        let mut all = vec![self.init.clone()];
        all.extend(procs::descendants(self.init.pid));
        all
    }

    /// Its first process of this name (`comm`), waited for.
    ///
    /// # Panics
    /// When there is none in time.
    #[track_caller]
    #[must_use]
    pub fn process(&self, name: &str) -> Process {
        wait_for(&format!("a process {name} in the vassal"), SHORT, || self.processes().into_iter().find(|p| p.name == name))
    }

    /// The mount id and the device of what is mounted on a path, as its mount table says.
    #[must_use]
    pub fn mount(&self, path: &Path) -> Option<(u64, String)> {
        let table = self.init.mountinfo();
        let line = table.lines().rfind(|line| line.split(' ').nth(4).map(Path::new) == Some(path))?;
        let mut fields = line.split(' ');
        Some((fields.next()?.parse().ok()?, fields.nth(1)?.to_owned()))
    }

    /// Whether nothing of it is left: no process of its tree as it was.
    #[must_use]
    pub fn is_gone(&self, processes: &[Process]) -> bool {
        processes.iter().all(|process| !process.lives())
    }
}

/// The daemon's lines, as they come.
#[derive(Debug, Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    more: Condvar,
    ended: AtomicBool,
}

impl Log {
    fn fill(&self, mut from: impl std::io::BufRead) {
        let mut raw = Vec::new();
        while from.read_until(b'\n', &mut raw).is_ok_and(|n| n > 0) {
            let line = String::from_utf8_lossy(&raw).trim_end().to_owned();
            self.lines.lock().expect("nobody panics with it").push(line);
            self.more.notify_all();
            raw.clear();
        }
        // Under the lock, else a waiter between its look and its sleep would miss it.
        let _lines = self.lines.lock().expect("nobody panics with it");
        self.ended.store(true, Ordering::Release);
        self.more.notify_all();
    }

    fn find(&self, mark: usize, limit: Duration, fits: impl Fn(&str) -> bool) -> Option<String> {
        let deadline = Instant::now() + limit;
        let mut lines = self.lines.lock().expect("nobody panics with it");
        loop {
            if let Some(line) = lines.iter().skip(mark).find(|line| fits(line)) {
                return Some(line.clone());
            }
            if self.ended.load(Ordering::Acquire) {
                return None; // nobody is left who could say it
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            lines = self.more.wait_timeout(lines, left).expect("nobody panics with it").0;
        }
    }
}
