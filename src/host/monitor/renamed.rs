//! A file under a new name that another name had: its reading is told to the core when the loss of the other name has been told.
//!
//! inotify tells of the two names in any order where they are of two monitors, and a name that was left has a grace in which a new file
//! may come under it. So the other name is asked for: where it leads to this file still, nothing waits (a hard link, a second link to one
//! target); where it does not, its monitor reads it, and tells what it has found, before the new name is told.

use std::{collections::HashMap, path::Path, sync::Arc};

use liege_core::{Event, FileId, Name};
use tokio::{sync::mpsc, time::timeout};

use super::{Home, Names, READING_LASTS, errands::Answer, stamp::file_at};
use crate::workers::FILES;

/// News that wait, by path.
#[derive(Debug, Default)]
pub(super) struct Renamed(HashMap<Arc<Path>, Waiting>);

#[derive(Debug)]
struct Waiting {
    event: Event,
    /// The first scan is not over before they are told.
    _awaited: Arc<()>,
}

/// Names that had a file, and where what they have become is told.
pub(super) struct Asked {
    pub(super) file: FileId,
    pub(super) others: Vec<(Name, Arc<Path>)>,
    pub(super) names: Arc<Names>,
    pub(super) answers: mpsc::UnboundedSender<Answer>,
    pub(super) awaited: Arc<()>,
}

impl Renamed {
    /// Newer news of a path that waits take the place of the older ones. None: they wait.
    pub(super) fn newest(&mut self, path: &Path, event: Event) -> Option<Event> {
        match self.0.get_mut(path) {
            Some(Waiting { event: waiting, .. }) => {
                let before = std::mem::replace(waiting, event);
                // That it was touched is still to be told.
                if let (Event::Config { touched: true, .. }, Event::Config { touched, .. }) = (before, waiting) {
                    *touched = true;
                }
                None
            }
            None => Some(event),
        }
    }

    /// Has news wait until it is known what the other names have become: then [`Answer::Settled`] comes.
    pub(super) fn wait(&mut self, path: &Path, event: Event, Asked { file, others, names, answers, awaited }: Asked) {
        let path: Arc<Path> = path.into();
        self.0.insert(Arc::clone(&path), Waiting { event, _awaited: awaited });
        tokio::spawn(async move {
            timeout(READING_LASTS, settled(file, others, names)).await.ok(); // what hangs is not waited for
            answers.send(Answer::Settled(path)).ok(); // an error: the daemon is ending
        });
    }

    /// They need not wait any more.
    pub(super) fn take(&mut self, path: &Path) -> Option<Event> {
        self.0.remove(path).map(|waiting| waiting.event)
    }

    pub(super) fn waits(&self, path: &Path) -> bool {
        self.0.contains_key(path)
    }
}

/// Done when the core was told of those of these names that have lost the file.
async fn settled(file: FileId, others: Vec<(Name, Arc<Path>)>, names: Arc<Names>) {
    let has_lost = move |path: &Path| !file_at(path).is_ok_and(|at| at.is_same(&file));
    let lost = FILES.finish(move || others.into_iter().filter(|(_, path)| has_lost(path)).map(|(name, _)| name).collect());
    let lost: Vec<Name> = lost.await;
    let read: Vec<_> = lost.iter().filter_map(|name| names.lock().get_mut(name).map(Home::read)).collect();
    futures::future::join_all(read).await;
}
