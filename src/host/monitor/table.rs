//! All files of one monitor, and which of them is due when.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use liege_core::FileId;
use tokio::time::Instant;

use super::{
    file::{File, Found, News, Sign},
    look::{Look, Question},
    walk::Listing,
};

/// By path.
#[derive(Debug, Default)]
pub(super) struct Table {
    files: HashMap<Arc<Path>, File>,
    agenda: BTreeSet<(Instant, Arc<Path>)>,
}

impl Table {
    /// inotify said something about a name.
    pub(super) fn sign(&mut self, now: Instant, path: &Path, sign: Sign) {
        // The end of a file nobody knows is no news; everything else may be the beginning of one.
        let unknown = !self.files.contains_key(path);
        if unknown && matches!(sign, Sign::Deleted | Sign::MovedAway) {
            return;
        }
        self.with(path, |file| file.sign(now, sign));
    }

    /// A file is to be read again, if it is there.
    pub(super) fn read_again(&mut self, now: Instant, path: &Path) {
        if self.files.contains_key(path) {
            self.with(path, |file| file.read_again(now));
        }
    }

    /// The directory is not what it was.
    pub(super) fn distrust(&mut self) {
        self.files.values_mut().for_each(File::distrust);
    }

    /// A scan is done. `complete`: what is not in it is not there.
    /// Nor what is `kept`.
    pub(super) fn scanned(&mut self, now: Instant, listing: &Listing, complete: bool, kept: impl Fn(&Path) -> bool) {
        for (path, stamp) in &listing.files {
            self.with(path, |file| file.scanned(now, Found::File(*stamp)));
        }
        for path in &listing.unknown {
            self.with(path, |file| file.scanned(now, Found::Something));
        }
        if complete {
            let unknown: HashSet<&Path> = listing.unknown.iter().map(PathBuf::as_path).collect();
            let found = |path: &Path| listing.files.contains_key(path) || unknown.contains(path) || kept(path);
            let missing: Vec<_> = self.files.keys().filter(|path| !found(path)).cloned().collect();
            for path in missing {
                self.with(&path, |file| file.scanned(now, Found::Nothing));
            }
        }
    }

    /// Whether the file is unknown, or all that was asked of it is answered.
    pub(super) fn is_settled(&self, path: &Path) -> bool {
        self.files.get(path).is_none_or(File::is_settled)
    }

    /// Whether a sign said that the name was unlinked or moved away.
    pub(super) fn is_unlinked(&self, path: &Path) -> bool {
        self.files.get(path).is_some_and(File::is_unlinked)
    }

    /// Of the files somebody was told of, by directory: those that are not among these, and were not unlinked.
    pub(super) fn missing(&self, found: impl Fn(&Path) -> bool) -> HashMap<PathBuf, usize> {
        let mut missing: HashMap<PathBuf, usize> = HashMap::new();
        for (path, _) in self.files.iter().filter(|(path, file)| file.was_told() && !file.is_unlinked() && !found(path)) {
            *missing.entry(path.parent().unwrap_or(Path::new("/")).to_owned()).or_default() += 1;
        }
        missing
    }

    /// Whether there is anything to say of a file.
    pub(super) fn knows(&self, path: &Path) -> bool {
        self.files.contains_key(path)
    }

    /// Which file the last reading of a path was of.
    pub(super) fn id(&self, path: &Path) -> Option<FileId> {
        self.files.get(path)?.id()
    }

    /// When the next file is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.agenda.first().map(|(at, _)| *at)
    }

    /// Begins a look at a file that is due.
    pub(super) fn begin(&mut self, now: Instant) -> Option<(Arc<Path>, Question)> {
        let (at, path) = self.agenda.first()?.clone();
        if at > now {
            return None;
        }
        let question = self.with(&path, |file| file.begin(now));
        Some((path, question))
    }

    /// A look is done.
    pub(super) fn finish(&mut self, now: Instant, path: &Path, look: Look) -> News {
        let news = self.with(path, |file| file.finish(now, look));
        // One that was signed meanwhile may be back: it is looked at once more.
        // And one that comes and goes without end is kept, because its looks are counted; a scan lets go of it.
        if matches!(news, News::Gone) && self.files.get(path).is_some_and(|file| file.due().is_none() && !file.is_held()) {
            self.files.remove(path);
        }
        news
    }

    /// Changes one file and keeps the agenda true.
    fn with<T>(&mut self, path: &Path, change: impl FnOnce(&mut File) -> T) -> T {
        let (path, file) = match self.files.get_key_value(path) {
            Some((path, _)) => {
                let path = Arc::clone(path);
                (Arc::clone(&path), self.files.entry(path).or_default())
            }
            None => {
                let path: Arc<Path> = Arc::from(path);
                (Arc::clone(&path), self.files.entry(path).or_default())
            }
        };
        let before = file.due();
        let result = change(file);
        let after = file.due();
        if before != after {
            if let Some(at) = before {
                self.agenda.remove(&(at, Arc::clone(&path)));
            }
            if let Some(at) = after {
                self.agenda.insert((at, path));
            }
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_file_that_is_gone_and_signed_again_is_looked_at() {
        let (mut table, path, begin) = (Table::default(), Path::new("/v/a.ini"), Instant::now());
        let at = |millis| begin + Duration::from_millis(millis);
        table.sign(begin, path, Sign::Complete);
        // It is never quiet, so in the end an answer is believed that is older than the last sign.
        let mut told = News::None;
        for millis in [0, 1500, 3000] {
            assert!(table.begin(at(millis)).is_some());
            table.sign(at(millis), path, Sign::Complete);
            told = table.finish(at(millis), path, Look::Missing);
        }
        assert!(matches!(told, News::Gone));
        assert_eq!(table.next_due(), Some(at(3000)), "the last sign was not answered yet");
        assert!(table.begin(at(3000)).is_some());
        assert!(matches!(table.finish(at(3000), path, Look::Missing), News::Gone));
        assert!(table.next_due().is_none() && table.files.is_empty());
    }
}
