//! The way from a vassal file that is a symbolic link to the file it means, and watches on what decides that way.
//!
//! Two things decide it: each name on the way that is a link (or that is missing), watched in its directory; and the file at the
//! end, watched itself. A directory on the way that is renamed is not watched: the rescans find it.
//!
//! [`Led::follow`] runs on a thread that may block. It watches *before* the file is read, so a change after the reading is
//! told. At most [`MOST_LINKS`] names are followed, as the kernel does it.

use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    fs::{self, Metadata},
    io,
    path::{Component, Path, PathBuf},
};

use inotify::{WatchDescriptor, WatchMask, Watches};

use super::walk::is_gone;

/// The kernel's limit (ELOOP).
const MOST_LINKS: usize = 40;

/// What was found on the way.
#[derive(Debug, Default, PartialEq, Eq)]
struct Way {
    /// Names that decide where it leads, each with its directory, which is free of links.
    names: Vec<(PathBuf, OsString)>,
    /// The file at the end, if one is there.
    end: Option<PathBuf>,
}

/// The watches on one way.
#[derive(Debug, Default)]
pub(super) struct Trail {
    /// Of this inotify instance.
    pub(super) instance: u64,
    /// A name in a watched directory, or (None) what is watched itself.
    pub(super) watched: Vec<(WatchDescriptor, Option<OsString>)>,
    /// A watch that could not be made: only rescans find what it would have told.
    pub(super) blind: Option<io::Error>,
}

/// Where a path leads.
#[derive(Debug, Default)]
pub(super) enum Led {
    /// No link is on it.
    #[default]
    Straight,
    /// There are links, and no inotify instance to watch them with.
    Untracked,
    /// By links that are watched now.
    Watched(Trail),
    /// As before: it was not followed again.
    AsBefore,
}

impl Led {
    /// Follows a path. Blocks.
    pub(super) fn follow(path: &Path, tracker: Option<Tracker>) -> Self {
        let Some(way) = resolve(path).filter(|way| !way.names.is_empty()) else { return Self::Straight };
        tracker.map_or(Self::Untracked, |mut tracker| Self::Watched(tracker.watch_all(way)))
    }
}

/// Makes the watches; one for each look.
#[derive(Clone, Debug)]
pub(super) struct Tracker {
    pub(super) watches: Watches,
    /// The inotify instance they are of.
    pub(super) instance: u64,
    /// So many more may be made.
    pub(super) room: usize,
}

impl Tracker {
    fn watch_all(&mut self, way: Way) -> Trail {
        let mut trail = Trail { instance: self.instance, ..Trail::default() };
        let comings = WatchMask::CREATE | WatchMask::MOVED_TO | WatchMask::MOVED_FROM | WatchMask::DELETE;
        let own = WatchMask::DELETE_SELF | WatchMask::MOVE_SELF;
        for (directory, name) in way.names {
            self.watch(&mut trail, &directory, comings | own | WatchMask::ONLYDIR, Some(name));
        }
        if let Some(end) = way.end {
            let writes = WatchMask::MODIFY | WatchMask::CLOSE_WRITE | WatchMask::ATTRIB;
            self.watch(&mut trail, &end, writes | own | WatchMask::DONT_FOLLOW, None);
        }
        trail
    }

    fn watch(&mut self, trail: &mut Trail, path: &Path, mask: WatchMask, name: Option<OsString>) {
        if trail.watched.len() >= self.room {
            return trail.blind = Some(io::Error::other("this monitor has as many watches as it may have"));
        }
        match self.watches.add(path, mask) {
            Ok(descriptor) => trail.watched.push((descriptor, name)),
            // It went just now. Its name is watched in the directory above, so its going is told.
            Err(error) if is_gone(&error) => {}
            Err(error) => trail.blind = Some(error),
        }
    }
}

/// Goes the way that a path leads. Blocks. `step` is told each name before it is looked at, then with what was found; false: it goes no
/// further. Whether the end was reached.
pub(super) fn walk(path: &Path, step: &mut dyn FnMut(&Path, Option<&Metadata>) -> bool) -> bool {
    let mut goes_on = true;
    resolve_by(path, &mut |next, found| {
        goes_on = step(next, found);
        goes_on
    });
    goes_on
}

fn resolve(path: &Path) -> Option<Way> {
    resolve_by(path, &mut |_, _| true)
}

/// Follows every link on the way, as the kernel does. None: the way cannot be looked at.
fn resolve_by(path: &Path, step: &mut dyn FnMut(&Path, Option<&Metadata>) -> bool) -> Option<Way> {
    let mut way = Way::default();
    let mut links = 0;
    let mut at = PathBuf::from("/");
    let mut rest: VecDeque<OsString> = path.components().filter_map(part).collect();
    while let Some(name) = rest.pop_front() {
        if name == ".." {
            at.pop(); // free of links, so the name above is the directory above
            continue;
        }
        let next = at.join(&name);
        if !step(&next, None) {
            return None;
        }
        let found = fs::symlink_metadata(&next);
        if found.as_ref().is_ok_and(|found| !step(&next, Some(found))) {
            return None;
        }
        match found {
            Ok(found) if found.is_symlink() => {
                way.names.push((at.clone(), name));
                links += 1;
                if links > MOST_LINKS {
                    return Some(way); // in circles; a change of any of these may end it
                }
                let target = fs::read_link(&next).ok()?;
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                for part in target.components().filter_map(part).collect::<Vec<_>>().into_iter().rev() {
                    rest.push_front(part);
                }
            }
            Ok(found) if rest.is_empty() => {
                // Replaced by a rename, it is another file.
                if links > 0 {
                    way.names.push((at, name));
                    way.end = found.is_file().then_some(next);
                }
                return Some(way);
            }
            Ok(_) => at = next,
            Err(error) if is_gone(&error) => {
                // It leads nowhere yet.
                if links > 0 {
                    way.names.push((at, name));
                }
                return Some(way);
            }
            Err(_) => return Some(way),
        }
    }
    Some(way)
}

fn part(component: Component<'_>) -> Option<OsString> {
    match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsStr::new("..").to_owned()),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// The names that decide, below the directory; and where it ends.
    fn way(dir: &Path, path: &str) -> (Vec<String>, Option<String>) {
        let shown = |path: &Path| path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
        let way = resolve(&dir.join(path)).unwrap();
        let names = way.names.iter().map(|(directory, name)| shown(&directory.join(name))).collect();
        (names, way.end.as_deref().map(shown))
    }

    #[test]
    fn each_link_on_the_way_and_the_file_at_its_end_decide() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap();
        for made in ["v", "real/deep", "..1"] {
            fs::create_dir_all(path.join(made)).unwrap();
        }
        fs::write(path.join("real/deep/a.ini"), "").unwrap();
        symlink("../way/deep/a.ini", path.join("v/a.ini")).unwrap();
        symlink(path.join("real"), path.join("way")).unwrap();
        let names = ["v/a.ini", "way", "real/deep/a.ini"].map(str::to_owned).to_vec();
        assert_eq!(way(&path, "v/a.ini"), (names, Some("real/deep/a.ini".to_owned())));
        assert_eq!(way(&path, "real/deep/a.ini"), (Vec::new(), None), "no link is on it");

        symlink("..data/x.ini", path.join("c.ini")).unwrap();
        symlink("..1", path.join("..data")).unwrap();
        assert_eq!(way(&path, "c.ini"), (["c.ini", "..data", "..1/x.ini"].map(str::to_owned).to_vec(), None));
        symlink("loop", path.join("loop")).unwrap();
        assert_eq!(way(&path, "loop").0.len(), MOST_LINKS + 1);
    }
}
