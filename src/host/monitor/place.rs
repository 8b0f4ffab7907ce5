//! What one `emperor = ...` means: a directory, or a pattern; and the walk over it.
//!
//! Both are the same shape: a base directory without wildcards, then one pattern per level, the last of them for the vassal
//! files. A directory is a base with one level that takes every name. As in uWSGI a pattern that matches exactly one
//! directory at the start is that directory.
//!
//! The walk watches each directory *before* it lists it, so what happens after the listing is told by inotify. Where the base
//! is missing, the nearest directory above it that exists is watched for its coming.
//!
//! Deliberately not here: `**` (glob(3) has none), and hidden names under `*` (as glob(3) does it).

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fmt, fs, io,
    path::{Component, Path, PathBuf},
};

use glob::{MatchOptions, Pattern};
use inotify::{WatchDescriptor, WatchMask, Watches};
use nix::errno::Errno;

use super::stamp::Stamp;

/// A monitor's place.
#[derive(Clone, Debug)]
pub(super) struct Place {
    base: PathBuf,
    /// One per level below the base; None takes every name.
    levels: Vec<Option<Pattern>>,
    /// Where steps and apps of its vassals start.
    pub(super) directory: String,
    shown: String,
}

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
    /// The base is not there at all.
    pub(super) base_missing: bool,
}

impl Place {
    /// Understands an `emperor = ...`; relative ones start in `cwd`.
    pub(super) fn new(text: &str, cwd: &Path) -> Self {
        let path = cwd.join(text);
        let has_wildcard = |part: &str| part.contains(['*', '?', '[']);
        if !has_wildcard(text) {
            return match fs::metadata(&path) {
                Ok(found) if found.is_file() => Self::literal_file(&path, text, cwd),
                _ => Self::of_directory(&path, text),
            };
        }
        let matches: Vec<PathBuf> = glob::glob(&path.to_string_lossy()).into_iter().flatten().flatten().take(2).collect();
        if let [only] = &*matches
            && only.is_dir()
        {
            return Self::of_directory(only, text);
        }
        let mut base = PathBuf::new();
        let mut levels = Vec::new();
        for part in path.components() {
            let name = part.as_os_str().to_string_lossy();
            if levels.is_empty() && !has_wildcard(&name) {
                base.push(part);
            } else if part != Component::CurDir {
                // What is no pattern (`[x`) is a name.
                levels.push(Some(Pattern::new(&name).unwrap_or_else(|_| literal(&name))));
            }
        }
        Self { base, levels, directory: cwd.to_string_lossy().into_owned(), shown: text.to_owned() }
    }

    fn of_directory(path: &Path, text: &str) -> Self {
        let base: PathBuf = path.components().collect(); // without `/./` and a trailing slash
        Self { directory: base.to_string_lossy().into_owned(), base, levels: vec![None], shown: text.to_owned() }
    }

    /// One file, as a pattern that matches only itself.
    fn literal_file(path: &Path, text: &str, cwd: &Path) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Self {
            base: path.parent().unwrap_or(Path::new("/")).to_owned(),
            levels: vec![Some(literal(&name))],
            directory: cwd.to_string_lossy().into_owned(),
            shown: text.to_owned(),
        }
    }

    /// Every name in one directory, so that a vassal can be called by its file name.
    pub(super) fn is_directory(&self) -> bool {
        matches!(&*self.levels, [None])
    }

    /// Whether a name in a directory with [`Role::Files`] is meant.
    pub(super) fn takes(&self, name: &OsStr) -> bool {
        self.levels.last().is_some_and(|level| matches(level.as_ref(), name))
    }

    /// Watches and lists everything. Blocks.
    pub(super) fn walk(&self, watches: &mut Watches, nofollow: bool) -> Listing {
        let mut listing = Listing::default();
        self.descend(&self.base, &self.levels, watches, nofollow, &mut listing);
        if listing.base_missing {
            await_coming(&self.base, watches, &mut listing);
            // It may have come between the two looks.
            if fs::metadata(&self.base).is_ok_and(|m| m.is_dir()) {
                listing.base_missing = false;
                self.descend(&self.base, &self.levels, watches, nofollow, &mut listing);
            }
        }
        listing
    }

    fn descend(&self, dir: &Path, levels: &[Option<Pattern>], watches: &mut Watches, nofollow: bool, listing: &mut Listing) {
        let Some((level, below)) = levels.split_first() else { return };
        let role = if below.is_empty() { Role::Files } else { Role::Above };
        if let Err(error) = watch(dir, role, watches, listing)
            && !is_gone(&error)
        {
            listing.unwatched = Some((dir.to_owned(), error)); // the rescans are left
        }
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) if is_gone(&error) => {
                listing.base_missing |= dir == self.base;
                return;
            }
            Err(error) => return listing.unreadable.push((dir.to_owned(), error)),
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return listing.unreadable.push((dir.to_owned(), error)),
            };
            if !matches(level.as_ref(), &entry.file_name()) {
                continue;
            }
            let path = entry.path();
            if role == Role::Above {
                if path.is_dir() {
                    self.descend(&path, below, watches, nofollow, listing);
                }
                continue;
            }
            // Following a link may wait for a file system that hangs: that is for a look, which has a deadline of its own.
            if !nofollow && entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
                listing.unknown.push(path);
                continue;
            }
            match Stamp::of_path(&path, nofollow) {
                Ok(Some(stamp)) => drop(listing.files.insert(path, stamp)),
                Ok(None) => {} // no regular file
                Err(error) if is_gone(&error) => {}
                Err(_) => listing.unknown.push(path), // a look will say why
            }
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// Not there, as opposed to not readable for now.
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::ENOENT | Errno::ENOTDIR))
}

fn literal(name: &str) -> Pattern {
    Pattern::new(&Pattern::escape(name)).unwrap_or_default()
}

fn matches(level: Option<&Pattern>, name: &OsStr) -> bool {
    let options = MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };
    level.is_none_or(|pattern| name.to_str().is_some_and(|name| pattern.matches_with(name, options)))
}

fn watch(dir: &Path, role: Role, watches: &mut Watches, listing: &mut Listing) -> io::Result<()> {
    let comings = WatchMask::CREATE | WatchMask::MOVED_TO | WatchMask::MOVED_FROM | WatchMask::DELETE;
    let own = WatchMask::DELETE_SELF | WatchMask::MOVE_SELF | WatchMask::ONLYDIR;
    let mask = match role {
        Role::Above => comings | own,
        Role::Files => comings | own | WatchMask::CLOSE_WRITE | WatchMask::MODIFY | WatchMask::ATTRIB,
    };
    let descriptor = watches.add(dir, mask)?;
    listing.watched.push((descriptor, dir.to_owned(), role));
    Ok(())
}

/// Watches the nearest directory above a missing one.
fn await_coming(missing: &Path, watches: &mut Watches, listing: &mut Listing) {
    for above in missing.ancestors().skip(1) {
        match watch(above, Role::Above, watches, listing) {
            Err(error) if is_gone(&error) => {}
            // One that cannot be watched is left to the rescans.
            Ok(()) | Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_wildcards_is_a_directory_even_while_it_is_missing() {
        let place = Place::new("no/such/./dir/", Path::new("/nowhere"));
        assert!(place.is_directory());
        assert_eq!(place.directory, "/nowhere/no/such/dir");
        assert!(place.takes(OsStr::new(".hidden.ini")));
    }

    #[test]
    fn one_file_is_a_pattern_for_itself() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a[1].ini"), "").unwrap();
        let place = Place::literal_file(&dir.path().join("a[1].ini"), "x", Path::new("/"));
        assert!(place.takes(OsStr::new("a[1].ini")) && !place.takes(OsStr::new("a1.ini")));
    }

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
        let listing = place.walk(&mut inotify.watches(), false);
        let names: Vec<_> = listing.files.keys().map(|p| p.strip_prefix(dir.path()).unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a/x.ini", "b/y.ini"]);
        assert_eq!(listing.watched.len(), 4);
    }

    #[test]
    fn the_directory_above_a_missing_one_is_watched() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path().join("x/y").to_str().unwrap(), Path::new("/"));
        let inotify = inotify::Inotify::init().unwrap();
        let listing = place.walk(&mut inotify.watches(), false);
        assert!(listing.base_missing);
        assert_eq!(listing.watched.iter().map(|w| &*w.1).collect::<Vec<_>>(), [dir.path()]);
    }
}
