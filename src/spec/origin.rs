//! Where in which file something was asked for.

use serde::{Deserialize, Serialize};

/// A place in a configuration, and the option that stands there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The file as it was named to us.
    pub file: String,
    /// Line, from 1; 0 for something from the command line.
    pub line: u32,
    /// Column of the key, from 1, in characters.
    pub column: u32,
    /// The option's name as it was written.
    pub key: String,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.line == 0 { write!(f, "--{}", self.key) } else { write!(f, "{}:{}: {}", self.file, self.line, self.key) }
    }
}

/// A value and the place that asked for it. Two are equal when their *values* are: moving a line changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Asked<T> {
    /// What was asked for.
    pub value: T,
    /// Where.
    pub at: Origin,
}

impl<T> Asked<T> {
    /// A value asked for at a place.
    pub fn new(value: T, at: Origin) -> Self {
        Self { value, at }
    }
}

impl<T: PartialEq> PartialEq for Asked<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Asked<T> {}
