//! What was understood, and every mistake found on the way.

use std::cell::Cell;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use crate::budget::Budget;
use crate::{Code, Diagnostic, Origin, Severity, known};

/// The result of a reading. `value` is None if and only if at least one diagnostic is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading<T> {
    /// What the text means.
    pub value: Option<T>,
    /// All mistakes, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
}

/// So many errors are kept, and so many warnings. A file with more of them is the wrong file.
const KEPT: usize = 100;
/// No sentence is longer, whatever value it quotes.
const LONGEST: usize = 1024;
/// So many bytes of errors are kept, and so many of warnings: a file of long lines is quoted less often.
const KEPT_BYTES: usize = 64 << 10;
/// Comparisons that may be spent on looking for what was probably meant.
const COMPARISONS: usize = 1 << 18;

/// Collects mistakes. A file is understood twice (fresh and reload), so the same one comes more than once and is kept once.
/// It is bounded: of more mistakes than anybody reads only the number is kept.
#[derive(Debug)]
pub(crate) struct Report {
    found: Vec<Diagnostic>,
    /// Hashes of all, also of those that are not kept.
    seen: HashSet<u64>,
    errors: Count,
    warnings: Count,
    comparisons: Cell<usize>,
    /// The budget of the reading has ended: what is found from here on comes of that.
    over: Rc<Cell<bool>>,
}

/// Mistakes of one severity.
#[derive(Debug, Default)]
struct Count {
    kept: usize,
    kept_bytes: usize,
    left_out: usize,
}

impl Count {
    /// Counts one more. True: it is kept, as the first one always is.
    fn keeps(&mut self, diagnostic: &Diagnostic) -> bool {
        let Diagnostic { file, text, message, hint, .. } = diagnostic;
        let bytes = self.kept_bytes + file.len() + text.len() + message.len() + hint.as_ref().map_or(0, String::len);
        let is_kept = self.kept < KEPT && (self.kept == 0 || bytes <= KEPT_BYTES);
        if is_kept {
            (self.kept, self.kept_bytes) = (self.kept + 1, bytes);
        } else {
            self.left_out += 1;
        }
        is_kept
    }
}

impl Default for Report {
    fn default() -> Self {
        Self {
            found: Vec::new(),
            seen: HashSet::new(),
            errors: Count::default(),
            warnings: Count::default(),
            comparisons: Cell::new(COMPARISONS),
            over: Rc::default(),
        }
    }
}

impl Report {
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        if !self.over.get() {
            self.keep(diagnostic);
        }
    }

    fn keep(&mut self, diagnostic: Diagnostic) {
        if !self.seen.insert(hash(&diagnostic)) {
            return;
        }
        let count = if diagnostic.is_error() { &mut self.errors } else { &mut self.warnings };
        let Diagnostic { message, hint, .. } = diagnostic;
        let diagnostic = Diagnostic { message: shortened(message), hint: hint.map(shortened), ..diagnostic };
        if count.keeps(&diagnostic) {
            self.found.push(diagnostic);
        }
    }

    /// Whether this is said of a line already.
    pub(crate) fn has(&self, code: Code, at: &Origin) -> bool {
        self.found.iter().any(|found| found.code == code && found.line == at.line && found.file == at.file)
    }

    /// A mistake of the file as a whole.
    pub(crate) fn whole_file(
        &mut self,
        severity: Severity,
        code: Code,
        file: &str,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.push(Diagnostic { hint, ..Diagnostic::of_file(severity, code, file, message) });
    }

    /// Warnings that were counted by the caller and never made.
    pub(crate) fn and_more(&mut self, warnings: usize) {
        self.warnings.left_out = self.warnings.left_out.saturating_add(warnings);
    }

    /// From here on a reading with this budget reports.
    pub(crate) fn read_within(&mut self, budget: &Budget<'_>) {
        self.over = budget.over();
    }

    /// Tells why the budget has ended, once.
    pub(crate) fn tell_the_end(&mut self, budget: &Budget<'_>, mistake: impl FnOnce(Code, String) -> Diagnostic) {
        if let Some((code, why)) = budget.take_reason() {
            self.keep(mistake(code, why));
        }
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.errors.kept > 0
    }

    /// The known option that was probably meant, as long as there is time to look for it.
    pub(crate) fn nearest_option(&self, name: &str) -> Option<&'static str> {
        if self.compares(known::COUNT) { known::nearest_option(name) } else { None }
    }

    /// The nearest of some words, as long as there is time to look for it.
    pub(crate) fn nearest<'a>(&self, name: &str, words: impl ExactSizeIterator<Item = &'a str>) -> Option<&'a str> {
        if self.compares(words.len()) { known::nearest(name, words) } else { None }
    }

    fn compares(&self, words: usize) -> bool {
        let left = self.comparisons.get().checked_sub(words);
        self.comparisons.set(left.unwrap_or(0));
        left.is_some()
    }

    /// Closes the report over a value: an error anywhere means there is none.
    pub(crate) fn close<T>(self, value: T) -> Reading<T> {
        let value = if self.has_errors() { None } else { Some(value) };
        Reading { value, diagnostics: self.into_sorted() }
    }

    /// In the order in which a reader meets them: one file after the other, each from top to bottom.
    pub(crate) fn into_sorted(mut self) -> Vec<Diagnostic> {
        let mut files: Vec<String> = Vec::new();
        for diagnostic in &self.found {
            if !files.contains(&diagnostic.file) {
                files.push(diagnostic.file.clone());
            }
        }
        // A warning says nothing new where an error stands.
        let errors: Vec<_> =
            self.found.iter().filter(|d| d.is_error()).map(|d| (d.file.clone(), d.line, d.column, d.width)).collect();
        self.found.retain(|d| d.is_error() || d.line == 0 || !errors.contains(&(d.file.clone(), d.line, d.column, d.width)));
        let rank = |file: &str| files.iter().position(|known| known == file);
        self.found.sort_by_key(|d| (rank(&d.file), d.line, d.column));
        let file = files.into_iter().next().unwrap_or_default();
        let (errors, warnings) = (self.errors.left_out, self.warnings.left_out);
        for (severity, more, kind) in [(Severity::Error, errors, "error"), (Severity::Warning, warnings, "warning")] {
            if more > 0 {
                let s = if more == 1 { "" } else { "s" };
                self.found.push(Diagnostic::of_file(severity, Code::TooMuch, &file, format!("and {more} more {kind}{s}")));
            }
        }
        self.found
    }
}

fn hash(diagnostic: &Diagnostic) -> u64 {
    let Diagnostic { severity, code, file, line, column, width, text: _, message, hint } = diagnostic;
    let mut hasher = DefaultHasher::new();
    (severity == &Severity::Error, code, file, line, column, width, message, hint).hash(&mut hasher);
    hasher.finish()
}

/// Cut where it is longer than anybody reads.
fn shortened(mut text: String) -> String {
    if text.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}
