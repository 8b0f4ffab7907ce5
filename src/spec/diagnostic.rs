//! A mistake as data: where, what, and what to do about it. Rendering is one function, so that log, `check` and `--json` agree.

use serde::{Deserialize, Serialize};

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

impl std::fmt::Display for Diagnostic {
    /// `path:line:col: error: message`, the line, a caret, a hint.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        if self.line == 0 {
            write!(f, "{}: {kind}: {}", self.file, self.message)?;
        } else {
            write!(f, "{}:{}:{}: {kind}: {}", self.file, self.line, self.column, self.message)?;
            // Tabs stay tabs in the caret line, so the caret stands under its character whatever the tab width.
            let lead: String = self
                .text
                .chars()
                .take(self.column.saturating_sub(1) as usize)
                .map(|c| if c == '\t' { '\t' } else { ' ' })
                .collect();
            write!(f, "\n  | {}\n  | {lead}{}", self.text, "^".repeat(self.width.max(1) as usize))?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  = hint: {hint}")?;
        }
        Ok(())
    }
}
