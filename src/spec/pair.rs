//! A flat pair: what is left of a file when all logic ran and everything is expanded.

use std::sync::Arc;

use crate::place::Place;
use crate::{Code, Diagnostic, Origin, Severity};

/// One option, in the order in which uWSGI would apply it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The option's name.
    pub key: String,
    /// Its value, expanded; `""` where the line had none.
    pub value: String,
    /// The line it came from.
    pub origin: Origin,
    pub(crate) place: Arc<Place>,
    /// Made by `set-placeholder`: never an option, only a name for `%(...)`.
    pub(crate) placeholder: bool,
    /// Some `%(...)` or `if-opt` of the file asked for it: a name of the user's own, not a mistyped option.
    pub(crate) asked_for: bool,
    /// Something was put in that would be expanded if it were looked through.
    pub(crate) put_in: bool,
}

impl Pair {
    pub(crate) fn error(&self, code: Code, message: impl Into<String>) -> Diagnostic {
        self.place.at_value(Severity::Error, code, message)
    }

    pub(crate) fn error_at_key(&self, code: Code, message: impl Into<String>) -> Diagnostic {
        self.place.at_key(Severity::Error, code, message)
    }

    pub(crate) fn error_at(&self, word: &str, code: Code, message: impl Into<String>) -> Diagnostic {
        self.place.at_word(Severity::Error, word, code, message)
    }

    pub(crate) fn warning(&self, code: Code, message: impl Into<String>) -> Diagnostic {
        self.place.at_key(Severity::Warning, code, message)
    }

    pub(crate) fn warning_at(&self, word: &str, code: Code, message: impl Into<String>) -> Diagnostic {
        self.place.at_word(Severity::Warning, word, code, message)
    }
}

impl Pair {
    /// A line without an equals sign whose "name" has a blank in it: no option's name has. (A bare name is a boolean.)
    pub(crate) fn lacks_equal(&self) -> bool {
        self.value.is_empty() && self.key.contains([' ', '\t']) && !self.place.text.contains('=') && self.place.line > 0
    }
}

/// What `--show-config` prints: uWSGI's form, so that the two can be compared line by line. `section`: the one it may be pasted back as
/// ([`crate::Source::section`]).
#[must_use]
pub fn show_config(section: &str, pairs: &[Pair]) -> String {
    let mut shown = format!("[{section}]\n");
    for pair in pairs {
        shown.push_str(&format!("{} = {}\n", pair.key, pair.value));
    }
    shown
}
