//! Where a pair stands in its file, exactly enough to draw a caret under its key, its value, or one word of its value.

use std::sync::Arc;

use crate::{Code, Diagnostic, Origin, Severity};

/// The place of one pair. Columns count characters from 1, in the line as it stands in the file (before any substitution).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// The file as it was named.
    pub(crate) file: Arc<str>,
    /// Line from 1; 0: the command line.
    pub(crate) line: u32,
    /// The line's text.
    pub(crate) text: Arc<str>,
    /// Column and width of the key.
    pub(crate) key: (u32, u32),
    /// Column and width of the value (of the key's end where there is no value).
    pub(crate) value: (u32, u32),
    /// The key as it is to be named in messages.
    pub(crate) name: Arc<str>,
}

impl Place {
    /// The place of `--KEY VALUE`.
    pub(crate) fn command_line(key: &str) -> Self {
        Self { file: "command line".into(), name: key.into(), ..Self::default() }
    }

    /// The place as a spec carries it.
    pub(crate) fn origin(&self) -> Origin {
        Origin { file: self.file.to_string(), line: self.line, column: self.key.0, key: self.name.to_string() }
    }

    /// A mistake of the key.
    pub(crate) fn at_key(&self, severity: Severity, code: Code, message: impl Into<String>) -> Diagnostic {
        self.diagnostic(severity, code, self.key, message.into())
    }

    /// A mistake of the value as a whole.
    pub(crate) fn at_value(&self, severity: Severity, code: Code, message: impl Into<String>) -> Diagnostic {
        self.diagnostic(severity, code, self.value, message.into())
    }

    /// A mistake of one word of the value. A word that came out of a placeholder is not in the line; then the value is marked.
    pub(crate) fn at_word(&self, severity: Severity, word: &str, code: Code, message: impl Into<String>) -> Diagnostic {
        let start = self.value.0.saturating_sub(1) as usize;
        let tail: String = self.text.chars().skip(start).collect();
        let span = match find_word(&tail, word) {
            Some(at) => (self.value.0 + chars(&tail[..at]), chars(word)),
            None => self.value,
        };
        self.diagnostic(severity, code, span, message.into())
    }

    /// A doubt about the last character of the value.
    pub(crate) fn at_last(&self, code: Code, message: impl Into<String>) -> Diagnostic {
        let span = (self.value.0 + self.value.1.saturating_sub(1), 1);
        self.diagnostic(Severity::Warning, code, span, message.into())
    }

    /// Whether the whole line is a comment.
    pub(crate) fn is_comment(&self) -> bool {
        self.text.trim_start_matches([' ', '\t', '\r']).starts_with([';', '#'])
    }

    fn diagnostic(&self, severity: Severity, code: Code, span: (u32, u32), message: String) -> Diagnostic {
        Diagnostic {
            severity,
            code,
            file: self.file.to_string(),
            line: self.line,
            column: span.0,
            width: span.1.max(1),
            text: self.text.to_string(),
            message: if self.line == 0 { format!("--{}: {message}", self.name) } else { message },
            hint: None,
        }
    }
}

fn chars(text: &str) -> u32 {
    u32::try_from(text.chars().count()).unwrap_or(u32::MAX)
}

/// The word as a word, if it stands there as one, else anywhere.
fn find_word(text: &str, word: &str) -> Option<usize> {
    if word.is_empty() {
        return None;
    }
    let inner = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let whole = text.match_indices(word).find(|(at, _)| {
        !text[..*at].chars().next_back().is_some_and(inner) && !text[at + word.len()..].chars().next().is_some_and(inner)
    });
    whole.map(|(at, _)| at).or_else(|| text.find(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_word() {
        let place = Place {
            file: "a.ini".into(),
            line: 3,
            text: "hook-as-root = mount:none /x /y bnd,rec".into(),
            key: (1, 12),
            value: (16, 24),
            name: "hook-as-root".into(),
        };
        let shown = place.at_word(Severity::Error, "bnd", Code::UnknownFlag, "unknown").to_string();
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0], "a.ini:3:33: error: unknown [unknown-flag]");
        assert_eq!(lines[2].find('^'), lines[1].find("bnd"));
    }

    #[test]
    fn a_word_that_was_expanded_marks_the_value() {
        let place = Place { value: (5, 4), text: "a = %(x)".into(), line: 1, ..Place::default() };
        assert_eq!(place.at_word(Severity::Error, "zzz", Code::BadValue, "m").column, 5);
    }
}
