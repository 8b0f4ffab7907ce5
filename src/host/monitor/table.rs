//! All files of one monitor, and which of them is due when.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use liege_core::FileId;
use tokio::time::Instant;

use super::{
    file::{Begun, File, Found, News, Sign},
    look::Look,
    stamp::Stamp,
    walk::Listing,
};

/// Looks at one path that were given up because they hang, and whose threads hang still: at most so many.
const MOST_GIVEN_UP: usize = 8;

/// By path.
#[derive(Debug, Default)]
pub(super) struct Table {
    files: HashMap<Arc<Path>, File>,
    agenda: BTreeSet<(Instant, Arc<Path>)>,
    /// The number of the last look.
    number: u64,
    /// Looks that were given up and have not come back, by number.
    given_up: HashMap<u64, Arc<Path>>,
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

    /// Why the last look could not read a file, where that says nothing about its content.
    pub(super) fn why_unread(&self, path: &Path) -> Option<&str> {
        self.files.get(path)?.why_unread()
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

    /// Begins a look at a file that is due: its number, and what is to be done.
    pub(super) fn begin(&mut self, now: Instant) -> Option<(Arc<Path>, u64, Begun)> {
        let (at, path) = self.agenda.first()?.clone();
        if at > now {
            return None;
        }
        self.number += 1;
        let number = self.number;
        let begun = self.with(&path, |file| file.begin(now, number));
        Some((path, number, begun))
    }

    /// Whether the answer of this look is awaited: it was not given up.
    pub(super) fn awaits(&self, path: &Path, number: u64) -> bool {
        self.files.get(path).is_some_and(|file| file.awaits(number))
    }

    /// Whether a look at it is under way whose answer is awaited.
    pub(super) fn is_looked_at(&self, path: &Path) -> bool {
        self.files.get(path).is_some_and(File::is_looked_at)
    }

    /// This look is late. The name stood so when it began. Whether that is the first to be told of the file.
    pub(super) fn late(&mut self, path: &Path, number: u64, entry: Option<Stamp>) -> bool {
        self.awaits(path, number) && self.with(path, |file| file.late(entry))
    }

    /// A look at the name of a late file has found it there.
    pub(super) fn there(&mut self, now: Instant, path: &Arc<Path>, entry: Stamp) {
        let may = self.given_up.values().filter(|of| *of == path).count() < MOST_GIVEN_UP;
        if self.knows(path)
            && let Some(number) = self.with(path, |file| file.there(now, entry, may))
        {
            self.given_up.insert(number, Arc::clone(path));
        }
    }

    /// A look at the name of a late file was worth nothing.
    pub(super) fn unclear(&mut self, path: &Path) {
        if self.knows(path) {
            self.with(path, File::unclear);
        }
    }

    /// A look at the name of a late file has found that it is gone. Whether its look was given up for it: then [`Self::finish`] is called.
    pub(super) fn lost(&mut self, path: &Arc<Path>) -> bool {
        let number = if self.knows(path) { self.with(path, File::lost) } else { None };
        number.map(|number| self.given_up.insert(number, Arc::clone(path))).is_some()
    }

    /// A look that was given up has come back. Its answer is worth nothing.
    pub(super) fn came_back(&mut self, now: Instant, path: &Path, number: u64) {
        self.given_up.remove(&number);
        if self.knows(path) {
            self.with(path, |file| file.may_try_again(now));
        }
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
    /// Another look than one that hangs begins when there is something new: an edit, as often as may be; and a removal always.
    #[test]
    fn a_look_that_hangs_hides_no_news_and_has_no_more_than_so_many_beside_it() {
        let (mut table, path, begin) = (Table::default(), Arc::<Path>::from(Path::new("/v/a.ini")), Instant::now());
        let dir = tempfile::tempdir().unwrap();
        let stamp = |name: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, name).unwrap();
            Stamp::of_path(&path, false).unwrap().unwrap()
        };
        let (entry, other) = (stamp("entry"), stamp("other"));
        let at = |seconds| begin + Duration::from_secs(seconds);
        let look = |table: &mut Table, now| match table.begin(now) {
            Some((_, number, Begun::Look(_))) => number,
            _ => panic!("no look begins"),
        };
        let name = |table: &mut Table, now| matches!(table.begin(now), Some((_, _, Begun::Name)));
        table.sign(at(0), &path, Sign::Complete);
        let first = look(&mut table, at(0));
        table.sign(at(1), &path, Sign::Complete);
        assert!(table.begin(at(1)).is_none(), "it may answer yet");
        table.late(&path, first, Some(entry));
        assert!(name(&mut table, at(2)), "there was a sign since it began");
        assert!(table.begin(at(2)).is_none(), "one at a time");
        table.there(at(2), &path, entry);
        let mut hanging = vec![first];
        // A scan that finds nothing new begins nothing, another file under the name does.
        let mut listing = Listing::default();
        listing.files.insert(path.to_path_buf(), entry);
        for seconds in (4..).step_by(2).take(MOST_GIVEN_UP) {
            let number = look(&mut table, at(seconds));
            table.late(&path, number, Some(entry));
            table.scanned(at(seconds), &listing, true, |_| false);
            assert!(table.begin(at(seconds)).is_none());
            listing.files.insert(path.to_path_buf(), other);
            table.scanned(at(seconds), &listing, true, |_| false);
            assert!(name(&mut table, at(seconds)));
            table.there(at(seconds), &path, other);
            listing.files.insert(path.to_path_buf(), entry);
            hanging.push(number);
        }
        assert!(table.begin(at(30)).is_none(), "enough of them hang");
        let last = hanging.pop().unwrap();
        assert!(table.awaits(&path, last) && !table.awaits(&path, first));
        table.sign(at(30), &path, Sign::Complete);
        assert!(name(&mut table, at(30)));
        table.there(at(30), &path, entry);
        table.came_back(at(31), &path, first);
        assert!(name(&mut table, at(31)), "one came back, so the sign is answered");
        table.sign(at(31), &path, Sign::Deleted);
        table.there(at(31), &path, entry);
        hanging.push(look(&mut table, at(32)));
        table.late(&path, hanging[MOST_GIVEN_UP], Some(entry));
        table.sign(at(34), &path, Sign::Deleted);
        assert!(name(&mut table, at(35)));
        assert!(table.lost(&path), "the bound is none for what is gone");
        assert!(matches!(table.finish(at(35), &path, Look::Missing), News::Gone));
        assert!(!table.knows(&path) && table.is_settled(&path));
        // A file of that name that comes later has nothing to do with them.
        table.sign(at(36), &path, Sign::Complete);
        let next = look(&mut table, at(36));
        hanging.iter().for_each(|number| table.came_back(at(36), &path, *number));
        assert!(table.awaits(&path, next) && !table.lost(&path));
    }
}
