//! glob(3) for configurations: bounded, and given up in the middle when nobody wants its result any more.
//!
//! A pattern may be a tenant's and lead through a tree of the tenant's making, so neither what is found nor what is walked past
//! decides how much memory it takes: of a directory only the names that match are kept, and each entry is one step of a budget.
//!
//! As glob(3): hidden names only where the pattern names the dot, `**` is `*`, results sorted by level.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

use glob::{MatchOptions, Pattern};
use liege_spec::NoAnswer;

use crate::world::{asked, errno, is_lack};

/// What glob(3) matches.
pub(crate) const AS_GLOB_3: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// A search under way.
pub(crate) struct Search<'a> {
    /// Takes one step: an error where it is to end.
    pub(crate) step: &'a dyn Fn() -> Result<(), NoAnswer>,
    /// So many results are too many.
    pub(crate) most: usize,
    found: Vec<PathBuf>,
}

impl<'a> Search<'a> {
    pub(crate) fn new(most: usize, step: &'a dyn Fn() -> Result<(), NoAnswer>) -> Self {
        Self { step, most, found: Vec::new() }
    }

    /// All paths that match an absolute pattern. Blocks as long as the file system does.
    ///
    /// # Errors
    /// They are too many, a step said no, or a directory could not be asked.
    pub(crate) fn all(mut self, pattern: &Path) -> Result<Vec<PathBuf>, NoAnswer> {
        let levels: Vec<Component<'_>> = pattern.components().collect();
        self.descend(PathBuf::new(), &levels)?;
        Ok(self.found)
    }

    fn descend(&mut self, at: PathBuf, levels: &[Component<'_>]) -> Result<(), NoAnswer> {
        let Some((level, below)) = levels.split_first() else {
            if self.found.len() >= self.most {
                return Err(NoAnswer::TooMuch);
            }
            self.found.push(at);
            return Ok(());
        };
        let name = level.as_os_str().to_string_lossy();
        let pattern = match level {
            Component::Normal(_) if name.contains(['*', '?', '[']) => Pattern::new(&name.replace("**", "*")).ok(),
            _ => None,
        };
        let Some(pattern) = pattern else {
            (self.step)()?;
            let next = at.join(level);
            // As glob(3): a link that leads nowhere is there, where it is the last one.
            let is_there = if below.is_empty() { next.symlink_metadata().is_ok() } else { next.is_dir() };
            return if is_there { self.descend(next, below) } else { Ok(()) };
        };
        let mut names = Vec::new();
        for entry in asked(fs::read_dir(&at).map_err(|error| errno(&error)), is_lack)?.into_iter().flatten() {
            (self.step)()?;
            let Some(entry) = asked(entry.map_err(|error| errno(&error)), is_lack)? else { break };
            let name = entry.file_name();
            if !name.to_str().is_some_and(|name| pattern.matches_with(name, AS_GLOB_3)) {
                continue;
            }
            let may_lead_on = below.is_empty() || entry.file_type().is_ok_and(|kind| kind.is_dir() || kind.is_symlink());
            if may_lead_on {
                names.push(name);
            }
        }
        names.sort_unstable();
        for name in names {
            self.descend(at.join(name), below)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, os::unix::fs::symlink};

    use super::*;

    fn found(dir: &Path, pattern: &str, most: usize) -> Result<Vec<String>, NoAnswer> {
        let paths = Search::new(most, &|| Ok(())).all(&dir.join(pattern))?;
        Ok(paths.iter().map(|path| path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned()).collect())
    }

    #[test]
    fn it_finds_what_glob_3_finds() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["b/y.ini", "a/x.ini", "b/.z.ini", "a/sub/w.ini", "c/x.txt"] {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        symlink("a", dir.path().join("l")).unwrap();
        symlink("nowhere", dir.path().join("c/dangling")).unwrap();
        let all = |pattern| found(dir.path(), pattern, 99).unwrap();
        assert_eq!(all("*/*.ini"), ["a/x.ini", "b/y.ini", "l/x.ini"]);
        assert_eq!(all("b/.*.ini"), ["b/.z.ini"]);
        assert_eq!(all("?/sub/*"), ["a/sub/w.ini", "l/sub/w.ini"]);
        assert_eq!(all("**/x.txt"), ["c/x.txt"]);
        assert_eq!(all("c/d*"), ["c/dangling"]);
        assert_eq!(all("c/dangling"), ["c/dangling"]);
        assert_eq!((all("c/dangling/*").len(), all("no/*").len(), all("[").len()), (0, 0, 0));
        assert_eq!(found(dir.path(), "*/*.ini", 2), Err(NoAnswer::TooMuch));
    }

    #[test]
    fn each_entry_is_a_step_also_where_nothing_matches() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..100 {
            fs::write(dir.path().join(number.to_string()), "").unwrap();
        }
        let left = Cell::new(50);
        let step = || {
            left.set(left.get() - 1);
            if left.get() > 0 { Ok(()) } else { Err(NoAnswer::Cancelled("enough".to_owned())) }
        };
        let answer = Search::new(9, &step).all(&dir.path().join("nothing*"));
        assert_eq!(answer, Err(NoAnswer::Cancelled("enough".to_owned())));
    }
}
