//! What a daemon writes to its output, line by line, and the waiting for a line.

use std::io::{BufReader, PipeReader};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::wait::bar;

/// The daemon's lines, as they come.
#[derive(Debug, Default)]
pub(crate) struct Log {
    lines: Mutex<Vec<String>>,
    more: Condvar,
    ended: AtomicBool,
}

impl Log {
    /// Reads a pipe to its end, in a thread of its own.
    pub(crate) fn of(pipe: PipeReader) -> Arc<Self> {
        let log = Arc::new(Self::default());
        let filled = Arc::clone(&log);
        thread::spawn(move || filled.fill(BufReader::new(pipe)));
        log
    }

    /// All lines so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("nobody panics with it").clone()
    }

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

    /// The first line from number `mark` on that fits, waited for; None at the deadline, or when nobody is left to write one.
    pub(crate) fn find(&self, mark: usize, limit: Duration, fits: impl Fn(&str) -> bool) -> Option<String> {
        let deadline = Instant::now() + bar(limit);
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
