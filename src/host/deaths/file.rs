//! The file that has the last ends of one vassal.

use std::{
    collections::HashMap,
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use liege_core::Death;

use crate::file_name::file_name;

/// Ends kept of each vassal.
pub(super) const KEPT: usize = 16;

pub(super) fn forget(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

pub(super) fn add(file: &Path, death: &Death, replaces: bool) -> io::Result<()> {
    let mut deaths = read(file);
    if replaces {
        deaths.pop();
    }
    let death = joined(deaths.last(), death);
    if death.count > 1 {
        deaths.pop();
    }
    deaths.push(death);
    let surplus = deaths.len().saturating_sub(KEPT);
    // The newest failure is kept, however many wished ends came after it.
    match deaths.iter().rposition(Death::is_failure) {
        Some(failure) if failure < surplus => {
            deaths.drain(failure + 1..=surplus);
            deaths.drain(..failure);
        }
        _ => drop(deaths.drain(..surplus)),
    }
    let (new, text) = (file.with_extension("new"), serde_json::to_vec_pretty(&deaths)?);
    let write = || fs::write(&new, &text);
    // Another file system may be at the state directory by now, or none.
    let is_lost = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    write()
        .or_else(|error| if is_lost(&error) { make(file.parent().unwrap_or(file)).and_then(|()| write()) } else { Err(error) })?;
    fs::rename(&new, file)
}

/// The directory of the records, where it is missing.
pub(super) fn make(dir: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// One more of the same kind takes the place of those before it, and counts them: of a vassal that fails over and over what was before
/// is worth more than sixteen times the same.
fn joined(last: Option<&Death>, death: &Death) -> Death {
    let same = |last: &&Death| {
        !last.unfinished
            && !death.unfinished
            && last.owner == death.owner
            && last.unsaved.is_empty()
            && last.detail.is_failure()
            && last.detail.is_like(&death.detail)
    };
    match last.filter(same) {
        Some(last) => Death { count: last.count.saturating_add(1), first: last.first.or(Some(last.at)), ..death.clone() },
        None => death.clone(),
    }
}

/// What cannot be read (the first one, or half of one after a crash) is no reason not to write.
pub(super) fn read(file: &Path) -> Vec<Death> {
    fs::read(file).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

/// The newest failure of each record in a directory.
pub(super) fn failures(dir: &Path) -> HashMap<PathBuf, Death> {
    let files = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let files = files.filter(|file| file.extension().is_some_and(|extension| extension == "json"));
    let newest = |file: &PathBuf| read(file).into_iter().rfind(Death::is_failure);
    files.filter_map(|file| newest(&file).map(|death| (file, death))).collect()
}

/// `shop.ini.json`
pub(super) fn file_of(dir: &Path, vassal: &str) -> PathBuf {
    dir.join(format!("{}.json", file_name(vassal)))
}
