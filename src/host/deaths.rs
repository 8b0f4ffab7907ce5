//! Why vassals died, kept for whoever asks later: the last few ends of each, a small JSON file in the state directory.
//!
//! The log says it too, once, among everything else; this is for three in the morning. The files are written by a thread of their
//! own, each as a whole and renamed into place; a disk that does not keep up costs records, never the loop. A vassal whose file is
//! gone has no records, and a daemon that ends in order leaves none; one that was killed leaves them to be read.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::mpsc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use liege_core::{Death, Name, Note};

use crate::file_name::file_name;

/// Ends kept of each vassal.
const KEPT: usize = 16;
/// Ends that may wait for the disk.
const QUEUE: usize = 1024;
/// How long the end of the daemon waits for the disk.
const LAST: Duration = Duration::from_secs(1);

#[derive(Debug)]
enum Request {
    Add(Name, Box<Death>),
    Forget(Name),
}

/// The records of all vassals.
#[derive(Debug)]
pub(crate) struct Deaths {
    records: Records,
    requests: Option<mpsc::SyncSender<Request>>,
    ended: mpsc::Receiver<()>,
}

/// Where they can be read.
#[derive(Clone, Debug)]
pub(crate) struct Records(PathBuf);

impl Records {
    pub(crate) fn below(state_dir: &Path) -> Self {
        Self(state_dir.join("deaths"))
    }

    /// The last ends of a vassal, the newest last; none where none are known. Reads a file.
    pub(crate) fn of(&self, vassal: &str) -> Vec<Death> {
        read(&file_of(&self.0, vassal))
    }
}

impl Deaths {
    /// In `deaths/` below the state directory, for root's eyes: a cause may name a hook's arguments.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub(crate) fn keep(state_dir: &Path) -> anyhow::Result<Self> {
        let records = Records::below(state_dir);
        let dir = records.0.clone();
        match DirBuilder::new().mode(0o700).create(&dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| format!("make {}", dir.display()));
            }
            _ => {}
        }
        let (requests, queue) = mpsc::sync_channel(QUEUE);
        let (end, ended) = mpsc::channel();
        std::thread::Builder::new().name("deaths".into()).stack_size(128 << 10).spawn(move || {
            serve(&dir, &queue);
            fs::remove_dir_all(&dir).ok();
            end.send(()).ok();
        })?;
        Ok(Self { records, requests: Some(requests), ended })
    }

    /// Where they can be read while the daemon runs.
    pub(crate) fn records(&self) -> Records {
        self.records.clone()
    }

    /// Takes from a note what is of interest here.
    pub(crate) fn hear(&self, note: &Note) {
        let request = match note {
            Note::Ended { vassal, cause, lived, again_in } => Request::Add(
                vassal.clone(),
                Box::new(Death {
                    at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
                    cause: cause.word().to_owned(),
                    what: cause.to_string(),
                    detail: cause.clone(),
                    lived: lived.as_secs_f64(),
                    again_in: again_in.as_ref().map(Duration::as_secs_f64),
                }),
            ),
            Note::Gone { vassal } => Request::Forget(vassal.clone()),
            _ => return,
        };
        if let Some(requests) = &self.requests {
            requests.try_send(request).ok(); // full: the disk does not keep up, the log has it
        }
    }
}

impl Drop for Deaths {
    fn drop(&mut self) {
        self.requests = None;
        self.ended.recv_timeout(LAST).ok();
    }
}

fn serve(dir: &Path, queue: &mpsc::Receiver<Request>) {
    let mut has_failed = false;
    while let Ok(request) = queue.recv() {
        let answer = match &request {
            Request::Add(vassal, death) => add(&file_of(dir, vassal), death),
            Request::Forget(vassal) => fs::remove_file(file_of(dir, vassal)).or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            }),
        };
        if let Err(error) = &answer
            && !has_failed
        {
            tracing::warn!(target: "emperor", "{}: {error}; why vassals died is in the log only", dir.display());
        }
        has_failed = answer.is_err();
    }
}

fn add(file: &Path, death: &Death) -> io::Result<()> {
    let mut deaths = read(file);
    deaths.push(death.clone());
    deaths.drain(..deaths.len().saturating_sub(KEPT));
    let new = file.with_extension("new");
    fs::write(&new, serde_json::to_vec_pretty(&deaths)?)?;
    fs::rename(&new, file)
}

/// What cannot be read (the first one, or half of one after a crash) is no reason not to write.
fn read(file: &Path) -> Vec<Death> {
    fs::read(file).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

/// `shop.ini.json`
fn file_of(dir: &Path, vassal: &str) -> PathBuf {
    dir.join(format!("{}.json", file_name(vassal)))
}

#[cfg(test)]
mod tests {
    use liege_core::Cause;

    use super::*;

    fn ended(code: i32) -> Note {
        Note::Ended {
            vassal: "a/b.ini".into(),
            cause: Cause::Exit { code },
            lived: Duration::from_millis(1500),
            again_in: Some(Duration::ZERO),
        }
    }

    fn recorded(dir: &Path) -> Vec<Death> {
        assert!(dir.join("a%2fb.ini.json").exists());
        Records(dir.to_owned()).of("a/b.ini")
    }

    #[test]
    fn the_last_ends_are_kept_and_go_with_the_vassal() {
        let dir = tempfile::tempdir().unwrap();
        let (requests, queue) = mpsc::sync_channel(QUEUE);
        let deaths = Deaths { records: Records::below(dir.path()), requests: Some(requests), ended: mpsc::channel().1 };
        (0..20).for_each(|code| deaths.hear(&ended(code)));
        drop(deaths);
        serve(dir.path(), &queue);
        let kept = recorded(dir.path());
        assert_eq!(
            kept.iter().map(|death| death.detail.clone()).collect::<Vec<_>>(),
            (4..20).map(|code| Cause::Exit { code }).collect::<Vec<_>>()
        );
        assert_eq!((kept[0].cause.as_str(), kept[0].lived), ("exit", 1.5));

        let (requests, queue) = mpsc::sync_channel(QUEUE);
        let deaths = Deaths { records: Records::below(dir.path()), requests: Some(requests), ended: mpsc::channel().1 };
        deaths.hear(&Note::Gone { vassal: "a/b.ini".into() });
        drop(deaths);
        serve(dir.path(), &queue);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_daemon_that_ends_in_order_leaves_none() {
        let dir = tempfile::tempdir().unwrap();
        let deaths = Deaths::keep(dir.path()).unwrap();
        deaths.hear(&ended(1));
        drop(deaths);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
