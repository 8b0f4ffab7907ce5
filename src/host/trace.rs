//! What the core was told and what it answered, as JSON lines: a field failure becomes a unit test (`replay.rs`).
//!
//! Written by a thread of its own, so that a slow disk never stops the loop; the queue has no end, because a trace with holes
//! proves nothing. A dead disk must not keep the daemon from ending either: its end waits for the last lines, but not for ever.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    sync::mpsc::{self, RecvTimeoutError},
    time::Duration,
};

use anyhow::Context;
use liege_core::{Action, Event, Time};
use liege_plan::Limits;
use liege_spec::EmperorSpec;
use serde::{Deserialize, Serialize};

/// The first line: what the core was made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Header {
    /// The version of the daemon that wrote it.
    pub(crate) liege: String,
    pub(crate) spec: EmperorSpec,
    pub(crate) processors: usize,
    pub(crate) limits: Limits,
}

/// Each further line: one turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Turn<E, A> {
    /// Microseconds since the daemon started.
    pub(crate) at: Time,
    pub(crate) event: E,
    pub(crate) actions: A,
}

/// How long the end of the daemon waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(3);

/// An open trace. Dropped, it is complete on disk, unless the disk does not answer.
#[derive(Debug)]
pub(crate) struct Trace {
    lines: Option<mpsc::Sender<String>>,
    /// Nothing comes here; it closes when the writer has ended.
    writer: mpsc::Receiver<()>,
    patience: Duration,
    shown: String,
}

impl Trace {
    /// Creates the file, readable by its owner only: configurations may hold secrets.
    ///
    /// # Errors
    /// The file cannot be created or written.
    pub(crate) fn create(path: &Path, header: &Header) -> anyhow::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt;
        let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path);
        let file = file.with_context(|| format!("--trace {}: create it", path.display()))?;
        let mut file = BufWriter::new(file);
        writeln!(file, "{}", serde_json::to_string(header)?).with_context(|| format!("--trace {}: write", path.display()))?;
        let (lines, queue) = mpsc::channel::<String>();
        let shown = path.display().to_string();
        let (writes, writer) = mpsc::channel::<()>();
        std::thread::Builder::new().name("trace".into()).spawn({
            let shown = shown.clone();
            move || {
                if let Err(error) = write_all(&mut file, &queue) {
                    tracing::error!(target: "emperor", "--trace {shown}: {error}; the trace ends here");
                }
                drop(file); // what is still in its buffer
                drop(writes);
            }
        })?;
        Ok(Self { lines: Some(lines), writer, patience: LAST_LINES, shown })
    }

    pub(crate) fn turn(&mut self, at: Time, event: &Event, actions: &[Action]) {
        if let (Some(lines), Ok(line)) = (&self.lines, serde_json::to_string(&Turn { at, event, actions })) {
            lines.send(line).ok(); // the writer has said why it stopped
        }
    }
}

/// Writes what comes, flushes when nothing waits.
fn write_all(file: &mut BufWriter<File>, queue: &mpsc::Receiver<String>) -> std::io::Result<()> {
    while let Ok(line) = queue.recv() {
        writeln!(file, "{line}")?;
        while let Ok(line) = queue.try_recv() {
            writeln!(file, "{line}")?;
        }
        file.flush()?;
    }
    Ok(())
}

impl Drop for Trace {
    fn drop(&mut self) {
        self.lines = None;
        if self.writer.recv_timeout(self.patience) == Err(RecvTimeoutError::Timeout) {
            tracing::error!(
                target: "emperor", "--trace {}: its file system has not answered for {:?}; the last lines are lost",
                self.shown, self.patience
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::OpenOptionsExt;

    use liege_spec::read_emperor;

    use super::*;

    fn header() -> Header {
        let flags = [("emperor".to_owned(), "/v".to_owned())];
        let spec = read_emperor(None, &flags, &crate::World::alone()).value.unwrap();
        Header { liege: "0".into(), spec, processors: 1, limits: Limits { nofile: (1, 1), oom_score_adj: 0, umask: 0o022 } }
    }

    #[test]
    fn dropped_it_is_complete_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let mut trace = Trace::create(&dir.path().join("t"), &header()).unwrap();
        (0..1000).for_each(|at| trace.turn(Time(at), &Event::Deadline, &[]));
        drop(trace);
        assert_eq!(std::fs::read_to_string(dir.path().join("t")).unwrap().lines().count(), 1001);
    }

    #[test]
    fn a_dead_disk_does_not_keep_the_daemon_from_ending() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("t");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        // Open, but nobody reads: what does not fit the pipe is never written.
        let unread = File::options().read(true).custom_flags(nix::libc::O_NONBLOCK).open(&fifo).unwrap();
        let mut trace = Trace::create(&fifo, &header()).unwrap();
        trace.patience = Duration::from_millis(10);
        (0..10_000).for_each(|at| trace.turn(Time(at), &Event::Deadline, &[]));
        drop(trace); // comes back
        drop(unread);
    }
}
