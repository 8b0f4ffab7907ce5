//! What one `emperor = ...` means: a directory, or a pattern.
//!
//! Both are the same shape: a base directory without wildcards, then one pattern per level, the last of them for the vassal
//! files. A directory is a base with one level that takes every name. As in uWSGI a pattern that matches exactly one
//! directory at the start is that directory.
//!
//! Deliberately not here: `**` (glob(3) has none), and hidden names under `*` (as glob(3) does it).

use std::{
    ffi::OsStr,
    fmt, fs,
    path::{Component, Path, PathBuf},
};

use glob::Pattern;

use crate::search::AS_GLOB_3;

/// A monitor's place.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) base: PathBuf,
    /// One per level below the base; None takes every name.
    pub(super) levels: Vec<Option<Pattern>>,
    /// Where steps and apps of its vassals start.
    pub(super) directory: String,
    shown: String,
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
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

fn literal(name: &str) -> Pattern {
    Pattern::new(&Pattern::escape(name)).unwrap_or_default()
}

pub(super) fn matches(level: Option<&Pattern>, name: &OsStr) -> bool {
    level.is_none_or(|pattern| name.to_str().is_some_and(|name| pattern.matches_with(name, AS_GLOB_3)))
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
}
