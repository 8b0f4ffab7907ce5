//! Log lines on their way out, without ever holding up who writes them.
//!
//! stderr may be a full pipe to a log collector that hangs; the loop must not hang with it. So lines go into memory, a thread
//! writes them, and what does not fit is dropped and counted: a gap in the log is said in the log.

use std::{
    borrow::Cow,
    io::{self, Write},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use crate::journal;

/// Lines dropped since the program began.
static LOST: AtomicU64 = AtomicU64::new(0);

/// Lines dropped since the program began, in all logs together (there is one).
pub(crate) fn lost() -> u64 {
    LOST.load(Ordering::Relaxed)
}

/// As if a line had been dropped.
#[cfg(test)]
pub(crate) fn lose_one() {
    LOST.fetch_add(1, Ordering::Relaxed);
}

/// Bytes that may wait: a health report of ten thousand vassals fits several times.
const ROOM: usize = 16 << 20;
/// How long the end of the program waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The writing end; cheap to copy. Each write is one message, of one line or several.
#[derive(Clone, Debug)]
pub(crate) struct Lines {
    shared: Arc<Shared>,
    /// The journal reads them: each line begins with its priority.
    priorities: bool,
}

/// The writing end for messages of one level.
#[derive(Debug)]
pub(crate) struct Leveled<'a>(&'a Lines, Level);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
    emptied: Condvar,
}

/// How soon a full, non-blocking log is tried again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

#[derive(Debug, Default)]
struct Queue {
    bytes: Vec<u8>,
    /// Lines dropped since the last one that fitted.
    dropped: u64,
    /// The thread is writing what it took.
    writing: bool,
}

/// Dropped at the end of the program: waits a moment for the last lines.
#[derive(Debug)]
pub struct Flush(Lines);

impl Lines {
    /// Starts the thread that writes to `out`; with `priorities`, as the journal reads them.
    pub(crate) fn to(mut out: impl Write + Send + 'static, priorities: bool) -> io::Result<(Self, Flush)> {
        let lines = Self { shared: Arc::default(), priorities };
        let shared = Arc::clone(&lines.shared);
        thread::Builder::new().name("log".into()).stack_size(64 << 10).spawn(move || {
            loop {
                let bytes = shared.take();
                // Nobody can be told that the log cannot be written.
                write_patiently(&mut out, &bytes).and_then(|()| out.flush()).ok();
            }
        })?;
        Ok((lines.clone(), Flush(lines)))
    }

    fn push(&self, level: Level, message: &[u8]) {
        let line = self.written(level, message);
        let mut queue = self.shared.lock();
        if queue.bytes.len() + line.len() > ROOM {
            queue.dropped += 1;
            LOST.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if queue.dropped > 0 {
            let gap = format!("... {} log lines were lost: whoever reads this log is too slow\n", queue.dropped);
            queue.bytes.extend_from_slice(&self.written(Level::WARN, gap.as_bytes()));
            queue.dropped = 0;
        }
        queue.bytes.extend_from_slice(&line);
        self.shared.filled.notify_one();
    }

    fn written<'a>(&self, level: Level, message: &'a [u8]) -> Cow<'a, [u8]> {
        if self.priorities { journal::prioritised(level, message).into() } else { message.into() }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that waits, at once; sleeps until there is something.
    fn take(&self) -> Vec<u8> {
        let mut queue = self.lock();
        queue.writing = false;
        if queue.bytes.is_empty() {
            self.emptied.notify_all();
        }
        while queue.bytes.is_empty() {
            queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.writing = true;
        std::mem::take(&mut queue.bytes)
    }
}

/// Writes everything, also where a vassal has made the file description it shares with us non-blocking. This thread has nothing
/// else to do, so it looks again after a moment; meanwhile lines queue up, and those that find no room are counted.
fn write_patiently(out: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => bytes = &bytes[n..],
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => thread::sleep(LOOK_AGAIN),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

impl Drop for Flush {
    fn drop(&mut self) {
        let shared = &self.0.shared;
        let busy = |queue: &mut Queue| queue.writing || !queue.bytes.is_empty();
        drop(shared.emptied.wait_timeout_while(shared.lock(), LAST_LINES, busy));
    }
}

impl Write for Leveled<'_> {
    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        self.0.push(self.1, message);
        Ok(message.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Leveled<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        Leveled(self, Level::INFO)
    }

    fn make_writer_for(&'a self, message: &Metadata<'_>) -> Self::Writer {
        Leveled(self, *message.level())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A reader that takes nothing until it is told to.
    struct Stuck(mpsc::Receiver<()>, mpsc::Sender<Vec<u8>>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.recv().ok();
            self.1.send(bytes.to_vec()).ok();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_hangs_holds_up_nobody_and_the_gap_is_told() {
        let (go, stuck) = mpsc::channel();
        let (out, written) = mpsc::channel();
        let (lines, flush) = Lines::to(Stuck(stuck, out), false).unwrap();
        let megabyte = vec![b'x'; 1 << 20];
        for _ in 0..40 {
            lines.push(Level::INFO, &megabyte);
        }
        let dropped = lines.shared.lock().dropped;
        assert!(dropped >= 40 - 32, "{dropped}");
        assert!(lost() >= dropped, "counted for the metrics too");
        drop(go);
        drop(flush);
        lines.push(Level::INFO, b"last\n");
        drop(Flush(lines));
        let all: Vec<u8> = written.try_iter().flatten().collect();
        let end = String::from_utf8_lossy(&all[all.len() - 100..]).into_owned();
        assert!(
            end.ends_with(&format!("... {dropped} log lines were lost: whoever reads this log is too slow\nlast\n")),
            "{end}"
        );
    }
}
