//! A mistake as data: where, what, and what to do about it. How people see it is `render.rs`.

use serde::{Deserialize, Serialize};

use crate::Code;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Works, but probably not as meant.
    Warning,
    /// The file cannot be used.
    Error,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// How bad.
    pub severity: Severity,
    /// What kind.
    pub code: Code,
    /// The file.
    pub file: String,
    /// Line, from 1; 0 when the file as a whole is meant.
    pub line: u32,
    /// Column, from 1, in characters.
    pub column: u32,
    /// How many characters the caret line marks (at least 1).
    pub width: u32,
    /// The line as it stands in the file.
    pub text: String,
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// What would mend it.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// A mistake of a file as a whole.
    #[must_use]
    pub fn of_file(severity: Severity, code: Code, file: impl Into<String>, message: impl Into<String>) -> Self {
        let (file, message) = (file.into(), message.into());
        Self { severity, code, file, line: 0, column: 0, width: 1, text: String::new(), message, hint: None }
    }

    /// Whether it keeps the file from being used.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The same mistake with a line that says what would mend it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
