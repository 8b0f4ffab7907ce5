//! A question to a mount, and whoever waits for the answer.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use liege_integration_tests::apps::user;
use liege_integration_tests::procs::Process;
use liege_integration_tests::wait::{bar, breathe};

/// Whoever has not been answered by then is not answered.
pub(crate) const PATIENCE: Duration = Duration::from_millis(300);

/// A statfs in a process of its own.
pub(crate) struct Asked(std::cell::RefCell<Child>);

impl Asked {
    pub(crate) fn by_root(path: &Path) -> Self {
        Self::spawn(Command::new("stat"), path)
    }

    pub(crate) fn by_owner(path: &Path) -> Self {
        let (uid, gid) = user();
        let mut command = Command::new("setpriv");
        command.args([&format!("--reuid={uid}"), &format!("--regid={gid}"), "--clear-groups", "stat"]);
        Self::spawn(command, path)
    }

    pub(crate) fn spawn(mut command: Command, path: &Path) -> Self {
        command.args(["-f", "-c", "%b"]).arg(path).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().expect("stat is installed");
        let asked = Self(child.into());
        let start = Instant::now();
        while !asked.ended() && start.elapsed() < bar(PATIENCE) {
            breathe(Duration::from_millis(1));
        }
        asked
    }

    /// By the process table, so that its status is still there to be waited for.
    pub(crate) fn ended(&self) -> bool {
        self.0.borrow_mut().try_wait().expect("our own child").is_some()
    }

    pub(crate) fn blocks(&self) -> bool {
        !self.ended()
    }

    /// In words.
    pub(crate) fn answer(&self) -> String {
        if self.blocks() {
            let pid = self.0.borrow().id();
            let state = Process::read(i32::try_from(pid).expect("a pid is small")).map_or('?', |process| process.state);
            let place = fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
            return format!("blocks, state {state}, in {place}");
        }
        let mut child = self.0.borrow_mut();
        let mut said = [String::new(), String::new()];
        if let Some(mut out) = child.stdout.take() {
            let _ = std::io::Read::read_to_string(&mut out, &mut said[0]);
        }
        if let Some(mut err) = child.stderr.take() {
            let _ = std::io::Read::read_to_string(&mut err, &mut said[1]);
        }
        let [out, err] = said;
        if err.is_empty() {
            format!("success, {} blocks", out.trim())
        } else {
            err.trim().rsplit(": ").next().unwrap_or_default().to_owned()
        }
    }

    pub(crate) fn dies_by_kill(&self) -> bool {
        self.0.borrow_mut().kill().expect("our own child");
        let start = Instant::now();
        while !self.ended() && start.elapsed() < bar(PATIENCE) {
            breathe(Duration::from_millis(1));
        }
        self.ended()
    }
}
