//! What was understood, and every mistake found on the way.

use crate::{Code, Diagnostic, Severity};

/// The result of a reading. `value` is None if and only if at least one diagnostic is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading<T> {
    /// What the text means.
    pub value: Option<T>,
    /// All mistakes, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
}

/// Collects mistakes. A file is understood twice (fresh and reload), so the same one comes more than once and is kept once.
#[derive(Debug, Default)]
pub(crate) struct Report {
    found: Vec<Diagnostic>,
}

impl Report {
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        if !self.found.contains(&diagnostic) {
            self.found.push(diagnostic);
        }
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

    pub(crate) fn has_errors(&self) -> bool {
        self.found.iter().any(Diagnostic::is_error)
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
        self.found
    }
}
