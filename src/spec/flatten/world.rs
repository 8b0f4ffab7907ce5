//! What is fetched from outside of the text: whose it is, and what may be done at its word.
//!
//! A file that only root may write is text. A file of others is text too where it is a vassal's own: who may write that decides what is
//! root's to decide already, but a reading of it executes nothing. Where a file includes one that more users may write than itself,
//! those are taken for no authors: the lines are options, and nothing in their values is expanded.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::{Flattener, Running};
use crate::logic::{Found, Refused};
use crate::paths;
use crate::place::Place;
use crate::text::{Mark, Text};
use crate::writers::Writers;
use crate::{Code, Severity};

/// Directories that are asked about for one pattern.
const DIRECTORIES: usize = 1_000;

/// Whose the text of a file is.
#[derive(Clone, Debug, Default)]
pub(super) struct Author {
    pub(super) mark: Mark,
    pub(super) writers: Writers,
}

impl Flattener<'_> {
    /// Of the file that is read first.
    pub(super) fn author_of_first(&mut self, path: &str) -> Mark {
        let writers = self.writers(path);
        let mark = if writers.is_root_alone() { Mark::ROOTS } else { Mark::OTHERS };
        self.first_author = writers.clone();
        self.authors.insert(path.into(), Author { mark, writers });
        mark
    }

    /// Of data that these chose. Who may write the file itself needs no other way to choose what it says.
    pub(super) fn mark_of_data(&self, writers: &Writers) -> Mark {
        if self.first_author.cover(writers) { Mark::DATA } else { Mark::OTHERS_DATA }
    }

    /// Of a file that the line at a place includes under this name: the mark of its text, and of its names.
    pub(super) fn author_of_included(&mut self, name: &Text, found: &Found, file: &str, place: &Place) -> (Mark, Mark) {
        let parent = self.authors.get(&place.file).cloned().unwrap_or_default();
        let own = match parent.writers.cover(&found.writers) && !name.has_foreign_data(|_| true) {
            false => Mark::OTHERS_LINES,
            true if runs(&name.lossy()) => Mark::COMMANDS,
            true if found.writers.is_root_alone() => Mark::ROOTS,
            true => Mark::OTHERS,
        };
        let mark = if parent.mark.is_foreign() { own | parent.mark } else { own };
        let author = self.authors.entry(file.into()).or_default();
        author.mark = author.mark | mark;
        author.writers.add(&found.writers);
        author.writers.add(&parent.writers);
        (mark, self.mark_of_data(&found.writers))
    }

    /// Reads what a text of the file names. A command is carried out only where all of it is root's own, and no data says that it is one.
    pub(super) fn read_from(&self, source: &Text) -> Result<Found, Refused> {
        let name = source.lossy();
        let path = paths::absolute(&name, &self.lookup.directory());
        let is_run = runs(&path);
        if is_run {
            self.permit(&name, source)?;
        }
        let bytes = self.lookup.read(&path, usize::MAX).map_err(|why| format!("cannot read {name}: {why}"))?;
        if is_run {
            return Ok(Found { text: Text::new(bytes, Mark::DATA), writers: Writers::default() });
        }
        let writers = self.writers(&path);
        let mark = self.mark_of_data(&writers);
        Ok(Found { text: Text::new(bytes, mark), writers })
    }

    /// Whether what a scheme stands for (`exec://`) may be done at the word of this text.
    fn permit(&self, name: &str, source: &Text) -> Result<(), Refused> {
        let scheme = name.find("://").map_or(0, |at| at + 3);
        let shown = &name[..scheme];
        let refuse = |why: &str, hint: &str| Err(Refused { why: format!("{shown} {why}"), hint: Some(hint.to_owned()) });
        if source.has_foreign_data(|_| true) {
            return refuse(
                "with text that others than root choose is not carried out",
                "write the whole command out in a file that only root can write",
            );
        }
        if source.mark().is_foreign() {
            return refuse(
                "is carried out only where it stands in a file that only root can write, and so can no file that includes it",
                "the file, and every directory on the way to it: chown root, chmod go-w",
            );
        }
        if source.is_written(scheme.min(source.len())) {
            return Ok(());
        }
        refuse(
            "is carried out only where it is written out, not where a variable or a file brings it",
            "write it in the line itself",
        )
    }

    /// Who besides root may write there, or lead the path elsewhere. Everybody, where that cannot be told.
    fn writers(&self, path: &str) -> Writers {
        let path = paths::absolute(path, &self.lookup.directory());
        if let Some(known) = self.asked_writers.borrow().get(&path) {
            return known.clone();
        }
        let writers = self.lookup.writers(&path).map_or_else(|_| Writers::unknown(), Writers);
        self.asked_writers.borrow_mut().insert(path, writers.clone());
        writers
    }

    /// Who names things in the directories of these paths.
    pub(super) fn writers_above(&self, paths: &[String]) -> Writers {
        let above = |path: &'_ String| Path::new(path).parent().map(|above| above.to_string_lossy().into_owned());
        let directories: BTreeSet<String> = paths.iter().filter_map(above).collect();
        if directories.len() > DIRECTORIES {
            return Writers::unknown();
        }
        let mut all = Writers::default();
        for directory in &directories {
            all.add(&self.writers(directory));
        }
        all
    }

    /// Whether the file of a place is others' as much as this is.
    pub(super) fn is_no_news(&self, writers: &Writers, place: &Place) -> bool {
        match self.authors.get(&place.file) {
            Some(author) => author.writers.cover(writers),
            None => writers.is_root_alone(),
        }
    }

    /// What a `for` goes through may be chosen by others.
    pub(super) fn doubt_rounds(&mut self, running: &Running, writers: &Writers) {
        if self.is_no_news(writers, &running.started) {
            return;
        }
        let what = if &*running.started.name == "for-glob" { "the names" } else { "the lines" };
        let message = format!("{what} are chosen by others than root ({writers})");
        let doubt = running.started.at_value(Severity::Warning, Code::OthersText, message);
        self.report.push(
            doubt.with_hint("they are taken as they stand; where %(_) is a file's name, its owner may lead it to another file"),
        );
    }

    /// An included file may be others', or no file.
    pub(super) fn doubt_included(&mut self, name: &Text, found: &Found, place: &Arc<Place>) {
        let writers = &found.writers;
        if runs(&name.lossy()) && found.text.has_signs_in_data() {
            let message = "what a command writes is not expanded: $( @( and %( in it stay as they are";
            let doubt = place.at_value(Severity::Warning, Code::UnexpandedPlaceholder, message);
            return self.report.push(doubt.with_hint("let the command write the value itself"));
        }
        if self.is_no_news(writers, place) {
            return;
        }
        let message = format!("others than root may write this file ({writers}): its lines are options of root's");
        let doubt = place.at_value(Severity::Warning, Code::OthersText, message);
        self.report.push(
            doubt.with_hint("chown root, chmod go-w, its directories as well; until then nothing in its values is expanded"),
        );
    }
}

/// Whether a name stands for something that is done, and not for a file.
fn runs(name: &str) -> bool {
    paths::has_scheme(name)
}
