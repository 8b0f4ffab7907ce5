//! What the core was told and what it answered, as JSON lines: a field failure becomes a unit test (`replay.rs`).
//!
//! Written by a thread of its own, so that a slow disk never stops the loop; the queue has no end, because a trace with holes
//! proves nothing.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    sync::mpsc,
    thread::JoinHandle,
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

/// An open trace. Dropped, it is complete on disk.
#[derive(Debug)]
pub(crate) struct Trace {
    lines: Option<mpsc::Sender<String>>,
    writer: Option<JoinHandle<()>>,
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
        let writer = std::thread::Builder::new().name("trace".into()).spawn(move || {
            if let Err(error) = write_all(&mut file, &queue) {
                tracing::error!(target: "emperor", "--trace {shown}: {error}; the trace ends here");
            }
        })?;
        Ok(Self { lines: Some(lines), writer: Some(writer) })
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
        if let Some(writer) = self.writer.take() {
            writer.join().ok();
        }
    }
}
