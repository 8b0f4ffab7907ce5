//! Where the records of ends can be read, and whether their disk answers.

use std::{
    fs, io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use liege_core::{Death, ROOT, may};
use tokio::time::sleep;

use super::file::{file_of, read};
use crate::{disk::Disk, workers::QUESTIONS};

/// How long an answer waits for a record.
const PATIENCE: Duration = Duration::from_secs(2);
/// A disk that writes no record for so long does not answer.
const WRITES: Duration = Duration::from_secs(5);

/// Where they can be read.
#[derive(Clone, Debug)]
pub(crate) struct Records {
    pub(super) dir: Arc<Path>,
    disk: Disk,
    /// It was told that the disk does not answer, and does not yet.
    is_silent: Arc<AtomicBool>,
}

impl Records {
    pub(crate) fn below(state_dir: &Path) -> Self {
        Self { dir: state_dir.join("deaths").into(), disk: Disk::new(&QUESTIONS), is_silent: Arc::default() }
    }

    /// The last ends of a vassal, as far as this user may see them, the newest last; none where none are known.
    ///
    /// # Errors
    /// `TimedOut`: the disk does not answer. `WouldBlock`: no thread can be had.
    pub(crate) async fn of(&self, vassal: &str, by: u32) -> io::Result<Vec<Death>> {
        let (dir, vassal) = (Arc::clone(&self.dir), vassal.to_owned());
        let answer = self.disk.ask(PATIENCE, move || Self::read(&dir, &vassal, by)).await;
        if answer.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            self.tell_of_silence();
        }
        answer
    }

    /// The disk does not answer. That it does not, and that it does again, is told once each time. On a runtime.
    fn tell_of_silence(&self) {
        if self.is_silent.swap(true, Ordering::AcqRel) {
            return;
        }
        tracing::warn!(
            target: "emperor",
            "{}: the disk of the state directory (emperor-state-dir) does not answer; until it does, why vassals died is in the log only",
            self.dir.display()
        );
        let of = self.clone();
        tokio::spawn(async move {
            let dir = Arc::clone(&of.dir);
            QUESTIONS.finish(move || drop(fs::read_dir(dir))).await;
            of.is_silent.store(false, Ordering::Release);
            tracing::info!(target: "emperor", "{}: the disk of the state directory answers again", of.dir.display());
        });
    }

    /// Of an earlier owner's lives the present one hears nothing: a name may be used again by somebody else's file.
    pub(super) fn read(dir: &Path, vassal: &str, by: u32) -> Vec<Death> {
        let deaths = read(&file_of(dir, vassal)).into_iter().filter(|death| may(by, death.owner));
        deaths.map(|death| if by == ROOT { death } else { death.for_owner() }).collect()
    }
}

/// What the thread that writes was asked for, and has done.
#[derive(Debug, Default)]
pub(super) struct Writing {
    pub(super) asked: AtomicU64,
    pub(super) done: AtomicU64,
    pub(super) is_watched: AtomicBool,
}

impl Writing {
    pub(super) async fn watch(&self, of: &Records) {
        loop {
            let before = self.done.load(Ordering::Acquire);
            sleep(WRITES).await;
            let done = self.done.load(Ordering::Acquire);
            if done < self.asked.load(Ordering::Acquire) {
                if done == before {
                    of.tell_of_silence();
                }
                continue;
            }
            self.is_watched.store(false, Ordering::Release);
            // What was asked for a moment ago was not watched by another task yet.
            let is_all = done == self.asked.load(Ordering::Acquire);
            if is_all || self.is_watched.swap(true, Ordering::AcqRel) {
                return;
            }
        }
    }
}
