//! The environment that steps and app get. Kept as a list of its own: init's real one is never changed.

use std::{ffi::NulError, os::unix::ffi::OsStringExt};

use liege_sys::Strings;

/// `NAME=VALUE` pairs, each name once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Env {
    pairs: Vec<Vec<u8>>,
}

impl Env {
    /// What init was started with.
    pub(crate) fn inherited() -> Self {
        let pair = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            let mut pair = name.into_vec();
            pair.push(b'=');
            pair.extend(value.into_vec());
            pair
        };
        Self { pairs: std::env::vars_os().map(pair).collect() }
    }

    /// Puts a pair in; takes the place of an older one of this name. Without `=` the name is taken out, as `putenv(3)` does.
    pub(crate) fn put(&mut self, pair: &str) {
        match pair.split_once('=') {
            None => self.remove(pair),
            Some((name, _)) => {
                self.remove(name);
                self.pairs.push(pair.into());
            }
        }
    }

    /// Takes a name out.
    pub(crate) fn remove(&mut self, name: &str) {
        self.pairs.retain(|pair| value(pair, name).is_none());
    }

    /// The value of a name.
    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        self.pairs.iter().find_map(|pair| value(pair, name))
    }

    /// In the shape exec wants.
    pub(crate) fn strings(&self) -> Result<Strings, NulError> {
        Strings::new(self.pairs.iter().map(Vec::as_slice))
    }
}

fn value<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_stands_once_and_the_last_put_wins() {
        let mut env = Env::default();
        for pair in ["A=1", "AB=2", "A=3=4", "C=5", "C", "D="] {
            env.put(pair);
        }
        assert_eq!(env.pairs, [&b"AB=2"[..], b"A=3=4", b"D="]);
        assert_eq!(env.get("A"), Some(&b"3=4"[..]));
        assert_eq!(env.get("C"), None);
        assert_eq!(env.get("D"), Some(&b""[..]));
    }
}
