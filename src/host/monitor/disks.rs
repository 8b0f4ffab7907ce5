//! Whether vassals end whose files are links, when the file system that their targets were on is gone.
//!
//! A link that is still there and leads nowhere is a removal, unless a directory on its way is another one than it was:
//!
//! | the first directory of the way that changed | the target |
//! |---|---|
//! | is on another file system than the target was | is on a file system that was unmounted |
//! | is another one, on the same file system, and empty | is below a bind mount that was unmounted |
//! | is gone, and what is above it is on another file system than the target was | is on a file system that was unmounted |
//! | anything else | is removed |
//!
//! * [`Way::of`] when a file was read: what its way is made of. Blocks.
//! * [`Way::lost`] when it is missing: the directory that changed, if its file system is what went. Blocks.
//! * [`Disks::missing`] then: whether its vassal runs on. It does for `emperor-shrink-guard`.
//! * [`Disks::found`], [`Disks::forget`] when the file is there again, or gone for good.
//!
//! The device of a *directory* counts: a file on an overlay has the device of its layer.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use liege_core::Event;
use tokio::time::Instant;

use super::guard::Inode;

/// The directories above a file, from the root down, without any link.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Way(Vec<(PathBuf, Inode)>);

impl Way {
    /// The way of a file below a monitor's base. None where no link below the base is on it: [`super::guard`] has those.
    pub(super) fn of(path: &Path, base: &Path) -> Option<Self> {
        let below = path.strip_prefix(base).ok()?;
        let is_plain = below.components().count() == 1 && fs::symlink_metadata(path).is_ok_and(|found| !found.is_symlink());
        if is_plain {
            return None;
        }
        let real = fs::canonicalize(path).ok()?;
        if fs::canonicalize(base).ok()?.join(below) == real {
            return None;
        }
        let mut directories: Vec<&Path> = real.ancestors().skip(1).collect();
        directories.reverse();
        let known = directories.into_iter().map(|directory| Some((directory.to_owned(), Inode::at(directory).ok()?)));
        known.collect::<Option<_>>().map(Self)
    }

    /// The directory whose change took the file away, where that was its file system's end and the link is still there.
    pub(super) fn lost(&self, path: &Path, base: &Path) -> Option<PathBuf> {
        let is_link = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
        if !path.ancestors().take_while(|above| *above != base).any(is_link) {
            return None;
        }
        let (_, target) = self.0.last()?;
        let mut above = None;
        for (directory, before) in &self.0 {
            let now = Inode::at(directory).ok();
            if now == Some(*before) {
                above = now;
                continue;
            }
            let is_lost = match now {
                Some(now) => !now.is_on_disk_of(*target) || is_empty(directory),
                None => above.is_some_and(|above: Inode| !above.is_on_disk_of(*target)),
            };
            return is_lost.then(|| directory.clone());
        }
        None
    }

    fn inode_of(&self, directory: &Path) -> Option<Inode> {
        self.0.iter().find(|(path, _)| path == directory).map(|(_, inode)| *inode)
    }
}

fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none())
}

#[derive(Debug)]
struct Held {
    files: HashSet<Arc<Path>>,
    /// When it is believed.
    until: Instant,
    /// That time is over, and looks were asked for.
    is_over: bool,
}

/// The links of one monitor. Pure: it is told the time and what was found.
#[derive(Debug)]
pub(super) struct Disks {
    /// Zero: everything is believed.
    lasts: Duration,
    ways: HashMap<Arc<Path>, Arc<Way>>,
    /// By the directory that changed.
    held: BTreeMap<PathBuf, Held>,
}

impl Disks {
    pub(super) fn new(lasts: Duration) -> Self {
        Self { lasts, ways: HashMap::new(), held: BTreeMap::new() }
    }

    /// The way a file had when it was there.
    pub(super) fn way(&self, path: &Path) -> Option<Arc<Way>> {
        self.ways.get(path).cloned()
    }

    /// When the next one is believed.
    pub(super) fn due(&self) -> Option<Instant> {
        self.held.values().filter(|held| !held.is_over).map(|held| held.until).min()
    }

    /// Whether one is believed from now on: all files are to be looked at. Told once.
    pub(super) fn is_over(&mut self, now: Instant) -> bool {
        let over = self.held.values_mut().filter(|held| !held.is_over && held.until <= now);
        over.map(|held| held.is_over = true).count() > 0
    }

    /// An operator says that it is so.
    pub(super) fn believe(&mut self, now: Instant) {
        self.held.values_mut().for_each(|held| held.until = now);
    }

    /// A file is missing because this directory changed. Whether its vassal runs on, and what is to be told.
    pub(super) fn missing(&mut self, now: Instant, path: &Arc<Path>, lost: &Path) -> (bool, Option<Event>) {
        if self.lasts.is_zero() {
            return (false, None);
        }
        match self.held.get_mut(lost) {
            Some(held) if held.until <= now => (false, self.release(path, true)),
            Some(held) => {
                let is_news = held.files.insert(Arc::clone(path));
                (true, self.held_event(now, lost).filter(|_| is_news))
            }
            None => {
                let before = self.ways.get(path).and_then(|way| way.inode_of(lost));
                // All that led through it are missing; their looks come one by one.
                let affected = self.ways.iter().filter(|(_, way)| before.is_some() && way.inode_of(lost) == before);
                let mut files: HashSet<Arc<Path>> = affected.map(|(path, _)| Arc::clone(path)).collect();
                files.insert(Arc::clone(path));
                self.held.insert(lost.to_owned(), Held { files, until: now + self.lasts, is_over: false });
                (true, self.held_event(now, lost))
            }
        }
    }

    /// A file is there, by this way (None: no link is on it).
    pub(super) fn found(&mut self, path: &Arc<Path>, way: Option<Way>) -> Option<Event> {
        match way {
            Some(way) => drop(self.ways.insert(Arc::clone(path), Arc::new(way))),
            None => drop(self.ways.remove(path)),
        }
        self.release(path, false)
    }

    /// A file is gone.
    pub(super) fn forget(&mut self, path: &Path) -> Option<Event> {
        self.ways.remove(path);
        self.release(path, true)
    }

    fn held_event(&self, now: Instant, lost: &Path) -> Option<Event> {
        let held = self.held.get(lost)?;
        Some(Event::DirectoryHeld {
            directory: lost.to_string_lossy().into_owned(),
            vassals: held.files.len(),
            why: "was unmounted, and links to vassal files lead there".to_owned(),
            believed_in: Some(held.until.saturating_duration_since(now)),
        })
    }

    /// A file is held no more; told with the last one of a directory.
    fn release(&mut self, path: &Path, believed: bool) -> Option<Event> {
        let lost = self.held.iter_mut().find_map(|(lost, held)| held.files.remove(path).then(|| lost.clone()))?;
        if self.held.get(&lost).is_some_and(|held| !held.files.is_empty()) {
            return None;
        }
        self.held.remove(&lost);
        Some(Event::DirectoryReleased { directory: lost.to_string_lossy().into_owned(), believed })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new() -> Self {
            let tree = Self(tempfile::tempdir().unwrap());
            fs::create_dir_all(tree.path("v")).unwrap();
            fs::create_dir_all(tree.path("real/deep")).unwrap();
            fs::write(tree.path("real/deep/a.ini"), "").unwrap();
            symlink("../real/deep/a.ini", tree.path("v/a.ini")).unwrap();
            tree
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().canonicalize().unwrap().join(name)
        }

        fn way(&self) -> Way {
            Way::of(&self.path("v/a.ini"), &self.path("v")).unwrap()
        }

        fn lost(&self, way: &Way) -> Option<PathBuf> {
            way.lost(&self.path("v/a.ini"), &self.path("v"))
        }
    }

    #[test]
    fn only_links_below_the_base_have_a_way() {
        let tree = Tree::new();
        fs::write(tree.path("v/plain.ini"), "").unwrap();
        assert!(Way::of(&tree.path("v/plain.ini"), &tree.path("v")).is_none());
        symlink("v", tree.path("base")).unwrap();
        assert!(Way::of(&tree.path("base/plain.ini"), &tree.path("base")).is_none());
        symlink("../real", tree.path("v/site")).unwrap();
        assert!(Way::of(&tree.path("v/site/deep/a.ini"), &tree.path("v")).is_some());
    }

    #[test]
    fn a_target_or_directory_that_is_removed_or_replaced_on_its_disk_is_a_removal() {
        let tree = Tree::new();
        let way = tree.way();
        assert_eq!(tree.lost(&way), None);
        fs::remove_file(tree.path("real/deep/a.ini")).unwrap();
        assert_eq!(tree.lost(&way), None);
        // Kept elsewhere, so that its inode's number is not used again.
        fs::rename(tree.path("real"), tree.path("former")).unwrap();
        assert_eq!(tree.lost(&way), None);
        fs::create_dir_all(tree.path("real/other")).unwrap();
        assert_eq!(tree.lost(&way), None, "another one with something in it");
        fs::remove_dir(tree.path("real/other")).unwrap();
        assert_eq!(tree.lost(&way), Some(tree.path("real")), "another one, and empty: as a bind mount that was unmounted");
        fs::remove_file(tree.path("v/a.ini")).unwrap();
        assert_eq!(tree.lost(&way), None, "the link was removed");
    }

    #[test]
    fn a_directory_of_another_disk_took_the_target_away() {
        let tree = Tree::new();
        let elsewhere = tempfile::tempdir_in("/dev/shm").unwrap();
        let mut way = tree.way();
        let other = Inode::at(elsewhere.path()).unwrap();
        // As if `real` had been a mount: it and what is below it were on that disk.
        way.0.iter_mut().rev().take(2).for_each(|(_, inode)| *inode = other);
        fs::write(tree.path("real/note"), "").unwrap();
        assert_eq!(tree.lost(&way), Some(tree.path("real")));
        fs::remove_dir_all(tree.path("real")).unwrap();
        assert_eq!(tree.lost(&way), Some(tree.path("real")), "the mount point went with it");
    }

    fn told(event: Option<Event>) -> String {
        match event {
            None => String::new(),
            Some(Event::DirectoryHeld { vassals, believed_in, .. }) => format!("{vassals} held for {:?}", believed_in.unwrap()),
            Some(Event::DirectoryReleased { believed, .. }) => format!("released, believed: {believed}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn all_links_through_a_directory_are_held_at_once_and_released_with_the_last() {
        let tree = Tree::new();
        let (mut disks, now) = (Disks::new(Duration::from_secs(60)), Instant::now());
        let lost = tree.path("real");
        let [a, b]: [Arc<Path>; 2] = ["/v/a.ini", "/v/b.ini"].map(|path| Arc::from(Path::new(path)));
        for path in [&a, &b] {
            assert_eq!(told(disks.found(path, Some(tree.way()))), "");
        }
        let (runs_on, event) = disks.missing(now, &a, &lost);
        assert_eq!((runs_on, told(event).as_str()), (true, "2 held for 60s"));
        let (runs_on, event) = disks.missing(now, &b, &lost);
        assert_eq!((runs_on, told(event).as_str()), (true, ""));
        assert_eq!(told(disks.found(&a, Some(tree.way()))), "");
        assert_eq!(told(disks.found(&b, Some(tree.way()))), "released, believed: false");
        assert_eq!(disks.due(), None);

        disks.missing(now, &a, &lost);
        let later = now + Duration::from_secs(60);
        assert_eq!(disks.due(), Some(later));
        assert!(!disks.is_over(now) && disks.is_over(later) && !disks.is_over(later));
        let (runs_on, event) = disks.missing(later, &a, &lost);
        assert_eq!((runs_on, told(event).as_str()), (false, ""), "the other one is yet to be looked at");
        let (runs_on, event) = disks.missing(later, &b, &lost);
        assert_eq!((runs_on, told(event).as_str()), (false, "released, believed: true"));
    }

    #[test]
    fn an_operator_may_believe_at_once_or_have_no_guard() {
        let tree = Tree::new();
        let (lost, now) = (tree.path("real"), Instant::now());
        let a: Arc<Path> = Arc::from(Path::new("/v/a.ini"));
        let mut disks = Disks::new(Duration::ZERO);
        disks.found(&a, Some(tree.way()));
        assert!(!disks.missing(now, &a, &lost).0);
        let mut disks = Disks::new(Duration::from_secs(60));
        disks.found(&a, Some(tree.way()));
        disks.missing(now, &a, &lost);
        disks.believe(now);
        assert!(!disks.missing(now, &a, &lost).0);
    }
}
