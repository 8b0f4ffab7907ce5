//! Asking flat pairs for options: a scalar's last line, a list's lines in order, each value checked where it stands.

use std::time::Duration;

use crate::pair::Pair;
use crate::report::Report;
use crate::{Code, values};

/// The pairs of a file, without its placeholders.
pub(crate) struct Options<'a> {
    pairs: &'a [Pair],
}

impl<'a> Options<'a> {
    pub(crate) fn new(pairs: &'a [Pair]) -> Self {
        Self { pairs }
    }

    /// All lines of some names, in the order of the file.
    pub(crate) fn all(&self, names: &[&str]) -> impl Iterator<Item = &'a Pair> + use<'a> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        self.pairs.iter().filter(move |pair| !pair.placeholder && names.contains(&pair.key))
    }

    /// All lines whose names are so.
    pub(crate) fn of(&self, named: &dyn Fn(&str) -> bool) -> Vec<&'a Pair> {
        self.pairs.iter().filter(|pair| !pair.placeholder && named(&pair.key)).collect()
    }

    /// The line that counts for a scalar: the last one.
    pub(crate) fn last(&self, name: &str) -> Option<&'a Pair> {
        self.all(&[name]).last()
    }

    /// A scalar through a check; what is wrong with it is reported at its value.
    pub(crate) fn checked<T>(&self, name: &str, report: &mut Report, check: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let pair = self.last(name)?;
        match check(&pair.value) {
            Ok(value) => Some(value),
            Err(why) => {
                report.push(pair.error(Code::BadValue, why));
                None
            }
        }
    }

    pub(crate) fn boolean(&self, name: &str, default: bool) -> bool {
        self.last(name).map_or(default, |pair| values::boolean(&pair.value))
    }

    /// Seconds above zero.
    pub(crate) fn duration(&self, name: &str, default: Duration, report: &mut Report) -> Duration {
        self.checked(name, report, values::positive_seconds).unwrap_or(default)
    }

    /// The last value as it is.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.last(name).map(|pair| pair.value.clone())
    }
}
