//! Whether what a scan finds of the vassals' directories is believed: a file system that was unmounted ends nobody at once.
//!
//! | a directory | its vassals without a file |
//! |---|---|
//! | is the one it was | are gone |
//! | is another one (device or inode), with files in it | are gone |
//! | is another one and empty, or was empty at first: unmounted, or replaced | run on for `emperor-shrink-guard`, unless it comes back |
//! | is gone | the same |
//! | cannot be listed | run on |
//!
//! A file that was unlinked or renamed was told by inotify, and is gone whatever becomes of its directory. The machine is pure: it
//! is told the time and what was found. Files that are links are `disks.rs`'.

use std::{
    collections::HashMap,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use liege_core::Event;
use tokio::time::Instant;

/// A directory, as opposed to its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inode {
    device: u64,
    number: u64,
}

impl Inode {
    /// What stands at a path. Blocks.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        std::fs::metadata(path).map(|found| Self { device: found.dev(), number: found.ino() })
    }

    /// Whether both are on one file system.
    pub(super) fn is_on_disk_of(self, other: Self) -> bool {
        self.device == other.device
    }
}

/// What a scan found of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    There {
        inode: Inode,
        /// Vassal files in it.
        files: usize,
    },
    Gone,
    /// Why not.
    Unreadable(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    why: String,
    /// So many vassals have no file.
    vassals: usize,
    /// When it is believed.
    until: Option<Instant>,
    /// It was seen empty: what comes into it now is no sign of its being the right one.
    was_empty: bool,
}

/// The directories of one monitor.
#[derive(Debug)]
pub(super) struct Guard {
    /// Zero: everything is believed.
    lasts: Duration,
    /// None: that it is gone, while some of its vassals are yet to be told of.
    believed: HashMap<PathBuf, Option<Inode>>,
    held: HashMap<PathBuf, Held>,
}

impl Guard {
    pub(super) fn new(lasts: Duration) -> Self {
        Self { lasts, believed: HashMap::new(), held: HashMap::new() }
    }

    /// The directories there is something to say of.
    pub(super) fn directories(&self) -> Vec<PathBuf> {
        self.believed.keys().chain(self.held.keys()).cloned().collect()
    }

    /// Whether this is another directory than the one that was believed: what is missing in it may come back.
    pub(super) fn doubts(&self, directory: &Path, found: Option<Inode>) -> bool {
        !self.lasts.is_zero() && self.believed.get(directory).is_some_and(|believed| *believed != found)
    }

    /// Whether vassals without a file run on in this directory.
    pub(super) fn holds(&self, directory: &Path) -> bool {
        self.held.contains_key(directory)
    }

    /// When the next one is believed.
    pub(super) fn due(&self) -> Option<Instant> {
        self.held.values().filter_map(|held| held.until).min()
    }

    /// Whoever rules says that it is so.
    pub(super) fn believe(&mut self, now: Instant) {
        self.held.values_mut().filter(|held| held.until.is_some()).for_each(|held| held.until = Some(now));
    }

    /// A scan has found this of a directory; `missing` of its vassals have no file in it. What is to be told.
    pub(super) fn scanned(&mut self, now: Instant, directory: &Path, state: &State, missing: usize) -> Option<Event> {
        let why = match state {
            _ if missing == 0 => None,
            State::Unreadable(why) => Some(format!("cannot be listed ({why})")),
            _ if self.lasts.is_zero() => None,
            State::Gone if self.believed.get(directory) == Some(&None) => None,
            State::Gone => Some("is gone".to_owned()),
            State::There { inode, files } => {
                let is_other =
                    self.believed.get(directory).is_some_and(|believed| believed.is_some_and(|believed| believed != *inode));
                let was_empty = self.held.get(directory).is_some_and(|held| held.was_empty);
                let is_suspect = is_other && (*files == 0 || was_empty);
                let now = if *files == 0 { "is empty now" } else { "was empty at first, before other files came" };
                is_suspect.then(|| format!("was unmounted or replaced, and {now}"))
            }
        };
        let until = match (self.held.get(directory), state) {
            (_, State::Unreadable(_)) => None,
            (Some(Held { until: Some(until), .. }), _) => Some(*until),
            (Some(_) | None, _) => Some(now + self.lasts),
        };
        match why.filter(|_| until.is_none_or(|until| now < until)) {
            Some(why) => {
                let was_empty = matches!(state, State::There { .. });
                let held = Held { why, vassals: missing, until, was_empty };
                let Held { why, vassals, until, .. } = held.clone();
                let before = self.held.insert(directory.to_owned(), held.clone());
                let believed_in = until.map(|until| until - now);
                let directory = directory.to_string_lossy().into_owned();
                (before != Some(held)).then_some(Event::DirectoryHeld { directory, vassals, why, believed_in })
            }
            None => {
                match state {
                    State::There { inode, .. } => drop(self.believed.insert(directory.to_owned(), Some(*inode))),
                    State::Gone if missing > 0 => drop(self.believed.insert(directory.to_owned(), None)),
                    State::Gone => drop(self.believed.remove(directory)),
                    State::Unreadable(_) => {}
                }
                self.held.remove(directory)?;
                let directory = directory.to_string_lossy().into_owned();
                Some(Event::DirectoryReleased { directory, believed: missing > 0 || *state == State::Gone })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIR: &str = "/v";

    fn there(number: u64, files: usize) -> State {
        State::There { inode: Inode { device: 1, number }, files }
    }

    struct Scene(Guard, Instant);

    impl Scene {
        fn new(seconds: u64) -> Self {
            let mut scene = Self(Guard::new(Duration::from_secs(seconds)), Instant::now());
            assert_eq!(scene.scan(&there(1, 3), 0), "");
            scene
        }

        fn after(&mut self, seconds: u64) -> &mut Self {
            self.1 += Duration::from_secs(seconds);
            self
        }

        fn scan(&mut self, state: &State, missing: usize) -> String {
            match self.0.scanned(self.1, DIR.as_ref(), state, missing) {
                None => String::new(),
                Some(Event::DirectoryHeld { vassals, believed_in, .. }) => {
                    format!("{vassals} held for {:?}", believed_in.map(|span| span.as_secs()))
                }
                Some(Event::DirectoryReleased { believed, .. }) => format!("released, believed: {believed}"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn removals_in_the_same_directory_and_a_new_one_with_files_are_believed() {
        let mut scene = Scene::new(60);
        assert_eq!(scene.scan(&there(1, 0), 3), "");
        assert_eq!(scene.scan(&there(2, 2), 1), "");
        assert!(!scene.0.holds(DIR.as_ref()));
    }

    #[test]
    fn an_empty_one_in_its_place_is_held_until_it_is_back_or_its_time_is_over() {
        let mut scene = Scene::new(60);
        assert_eq!(scene.scan(&there(2, 0), 3), "3 held for Some(60)");
        assert!(scene.0.holds(DIR.as_ref()));
        assert_eq!(scene.after(3).scan(&there(2, 0), 3), "", "told once");
        assert_eq!(scene.scan(&there(2, 1), 3), "3 held for Some(57)", "a new file is no reason to end the others, and is told");
        assert_eq!(scene.scan(&there(2, 2), 3), "", "once");
        assert_eq!(scene.scan(&there(1, 3), 0), "released, believed: false");
        assert_eq!(scene.scan(&State::Gone, 3), "3 held for Some(60)");
        assert_eq!(scene.scan(&there(2, 1), 2), "released, believed: true", "two renames: the next one comes as a whole");
        assert_eq!(scene.scan(&State::Gone, 3), "3 held for Some(60)");
        assert_eq!(scene.after(30).scan(&there(3, 0), 3), "3 held for Some(30)", "another sight, the same time");
        assert_eq!(scene.after(30).scan(&there(3, 0), 3), "released, believed: true");
        assert_eq!(scene.scan(&there(3, 0), 3), "");
    }

    /// Its vassals are looked at one by one, and meanwhile another scan comes.
    #[test]
    fn one_that_is_believed_to_be_gone_is_not_held_again_and_not_what_it_was() {
        let mut scene = Scene::new(60);
        assert_eq!(scene.scan(&State::Gone, 3), "3 held for Some(60)");
        assert_eq!(scene.after(60).scan(&State::Gone, 3), "released, believed: true");
        assert_eq!((scene.scan(&State::Gone, 3), scene.scan(&State::Gone, 1), scene.scan(&State::Gone, 0)), Default::default());
        assert!(!scene.0.doubts(DIR.as_ref(), None) && scene.0.directories().is_empty());
        assert_eq!(scene.scan(&there(4, 1), 0), "");
        assert_eq!(scene.scan(&State::Gone, 1), "1 held for Some(60)");
        assert_eq!(scene.scan(&State::Gone, 0), "released, believed: true", "all of them were removed, and it is missing");
    }

    #[test]
    fn whoever_rules_need_not_wait_and_may_have_no_guard() {
        let mut scene = Scene::new(60);
        scene.scan(&there(2, 0), 3);
        scene.0.believe(scene.1);
        assert_eq!(scene.scan(&there(2, 0), 3), "released, believed: true");
        let mut scene = Scene::new(0);
        assert_eq!(scene.scan(&there(2, 0), 3), "");
        assert_eq!(scene.scan(&State::Gone, 3), "");
    }

    #[test]
    fn one_that_cannot_be_listed_is_never_believed() {
        let mut scene = Scene::new(0);
        let unreadable = State::Unreadable("Input/output error".into());
        assert_eq!(scene.scan(&unreadable, 3), "3 held for None");
        scene.0.believe(scene.1);
        assert_eq!(scene.after(600).scan(&unreadable, 3), "");
        assert_eq!(scene.scan(&there(1, 3), 0), "released, believed: false");
    }
}
