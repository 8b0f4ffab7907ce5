//! One walk over a place: what is there, and what is watched from now on.
//!
//! The walk watches each directory *before* it lists it, so what happens after the listing is told by inotify. Where the base
//! is missing, the nearest directory above it that exists is watched for its coming.
//!
//! It runs on a thread that may block, and says where it is: a directory that hangs can be named.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use glob::Pattern;
use inotify::{WatchDescriptor, WatchMask, Watches};
use nix::errno::Errno;

use super::{
    guard::Inode,
    place::{Place, matches},
    stamp::Stamp,
    trail::{Led, Tracker},
};
use crate::whereabouts::Whereabouts;

/// What a watched directory holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// Names in it lead to the place: any change means a scan.
    Above,
    /// Vassal files.
    Files,
}

/// The result of a walk.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// The vassal files, whether a name is one is not decided here.
    pub(super) files: BTreeMap<PathBuf, Stamp>,
    /// The directories that are watched from now on.
    pub(super) watched: Vec<(WatchDescriptor, PathBuf, Role)>,
    /// A directory that inotify refused.
    pub(super) unwatched: Option<(PathBuf, io::Error)>,
    /// Directories that could not be listed: nothing that is missing from `files` may be taken for gone.
    pub(super) unreadable: Vec<(PathBuf, io::Error)>,
    /// Files that are there, and more cannot be said of them.
    pub(super) unknown: Vec<PathBuf>,
    /// What is no file, nor a link: a directory, a fifo.
    pub(super) no_files: Vec<PathBuf>,
    /// The base is not there at all.
    pub(super) base_missing: bool,
    /// The directories that were listed.
    pub(super) directories: Vec<(PathBuf, Inode)>,
    /// The watches on the way to the base.
    pub(super) way: Led,
}

/// One walk under way.
struct Walk<'a> {
    place: &'a Place,
    /// None: there is no inotify instance.
    watches: Option<&'a mut Watches>,
    nofollow: bool,
    at: &'a Whereabouts,
    listing: Listing,
}

/// Watches and lists everything. Blocks.
pub(super) fn walk(
    place: &Place,
    watches: Option<&mut Watches>,
    tracker: Option<Tracker>,
    nofollow: bool,
    at: &Whereabouts,
) -> Listing {
    let mut walk = Walk { place, watches, nofollow, at, listing: Listing::default() };
    at.set(&place.base);
    walk.listing.way = Led::follow(&place.base, tracker);
    walk.descend(&place.base, &place.levels);
    if walk.listing.base_missing {
        walk.await_coming();
        // It may have come between the two looks.
        at.set(&place.base);
        if fs::metadata(&place.base).is_ok_and(|m| m.is_dir()) {
            walk.listing.base_missing = false;
            walk.descend(&place.base, &place.levels);
        }
    }
    walk.listing
}

impl Walk<'_> {
    fn descend(&mut self, dir: &Path, levels: &[Option<Pattern>]) {
        let Some((level, below)) = levels.split_first() else { return };
        self.at.set(dir);
        let role = if below.is_empty() { Role::Files } else { Role::Above };
        if let Err(error) = self.watch(dir, role)
            && !is_gone(&error)
        {
            self.listing.unwatched = Some((dir.to_owned(), error)); // the rescans are left
        }
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) if is_gone(&error) => {
                self.listing.base_missing |= dir == self.place.base;
                return;
            }
            Err(error) => return self.listing.unreadable.push((dir.to_owned(), error)),
        };
        match Inode::at(dir) {
            Ok(inode) => self.listing.directories.push((dir.to_owned(), inode)),
            Err(_) => return, // it goes just now: its going is a sign
        }
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return self.listing.unreadable.push((dir.to_owned(), error)),
            };
            if !matches(level.as_ref(), &entry.file_name()) {
                continue;
            }
            let path = entry.path();
            if role == Role::Above {
                self.at.set(&path);
                if path.is_dir() {
                    self.descend(&path, below);
                }
                continue;
            }
            // Following a link may wait for a file system that hangs: that is for a look, which has a deadline of its own.
            if !self.nofollow && entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
                self.listing.unknown.push(path);
                continue;
            }
            match Stamp::of_path(&path, self.nofollow) {
                Ok(Some(stamp)) => drop(self.listing.files.insert(path, stamp)),
                Ok(None) => self.listing.no_files.push(path),
                Err(error) if is_gone(&error) => {}
                Err(_) => self.listing.unknown.push(path), // a look will say why
            }
        }
    }

    fn watch(&mut self, dir: &Path, role: Role) -> io::Result<()> {
        let comings = WatchMask::CREATE | WatchMask::MOVED_TO | WatchMask::MOVED_FROM | WatchMask::DELETE;
        let own = WatchMask::DELETE_SELF | WatchMask::MOVE_SELF | WatchMask::ONLYDIR;
        let mask = match role {
            Role::Above => comings | own,
            Role::Files => comings | own | WatchMask::CLOSE_WRITE | WatchMask::MODIFY | WatchMask::ATTRIB,
        };
        let Some(watches) = &mut self.watches else { return Ok(()) };
        let descriptor = watches.add(dir, mask)?;
        self.listing.watched.push((descriptor, dir.to_owned(), role));
        Ok(())
    }

    /// Watches the nearest directory above a missing one.
    fn await_coming(&mut self) {
        for above in self.place.base.ancestors().skip(1) {
            self.at.set(above);
            match self.watch(above, Role::Above) {
                Err(error) if is_gone(&error) => {}
                // One that cannot be watched is left to the rescans.
                Ok(()) | Err(_) => return,
            }
        }
    }
}

/// Not there, as opposed to not readable for now.
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::ENOENT | Errno::ENOTDIR))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_level_by_level_and_leaves_hidden_names_out() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["a/x.ini", "b/y.ini", "b/.z.ini", "c/x.txt"] {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let place = Place::new(dir.path().join("*/*.ini").to_str().unwrap(), Path::new("/"));
        let inotify = inotify::Inotify::init().unwrap();
        let listing = walk(&place, Some(&mut inotify.watches()), None, false, &Whereabouts::default());
        let names: Vec<_> = listing.files.keys().map(|p| p.strip_prefix(dir.path()).unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a/x.ini", "b/y.ini"]);
        assert_eq!(listing.watched.len(), 4);
    }

    #[test]
    fn the_directory_above_a_missing_one_is_watched() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path().join("x/y").to_str().unwrap(), Path::new("/"));
        let inotify = inotify::Inotify::init().unwrap();
        let listing = walk(&place, Some(&mut inotify.watches()), None, false, &Whereabouts::default());
        assert!(listing.base_missing);
        assert_eq!(listing.watched.iter().map(|w| &*w.1).collect::<Vec<_>>(), [dir.path()]);
    }
}
