//! The environment that steps and app get. Kept as a list of its own: init's real one is never changed.

use std::{ffi::NulError, os::unix::ffi::OsStringExt};

use liege_sys::Strings;

/// `NAME=VALUE` pairs, each name once. Three layers: what init was started with, what the file tells, what hooks have put.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Env {
    pairs: Vec<Vec<u8>>,
    inherited: Vec<Vec<u8>>,
    /// By hooks; a name alone was taken out.
    put: Vec<String>,
    /// The mask that goes with it; None: init's own.
    pub(crate) umask: Option<u32>,
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
        let inherited: Vec<Vec<u8>> = std::env::vars_os().map(pair).collect();
        Self { pairs: inherited.clone(), inherited, put: Vec::new(), umask: None }
    }

    /// What the file tells, in the place of what it told before.
    pub(crate) fn tell(&mut self, told: &[String]) {
        self.pairs.clone_from(&self.inherited);
        told.iter().for_each(|pair| self.set(pair));
        let put = self.put.clone();
        put.iter().for_each(|pair| self.set(pair));
    }

    /// Puts a pair in; takes the place of an older one of this name. Without `=` the name is taken out, as `putenv(3)` does.
    pub(crate) fn put(&mut self, pair: &str) {
        let name = |pair: &str| pair.split_once('=').map_or(pair, |(name, _)| name).to_owned();
        self.put.retain(|other| name(other) != name(pair));
        self.put.push(pair.to_owned());
        self.set(pair);
    }

    fn set(&mut self, pair: &str) {
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

    #[test]
    fn what_the_file_tells_no_more_is_as_it_was_inherited_and_what_hooks_put_stays() {
        let told = |pairs: &[&str]| pairs.iter().map(|pair| (*pair).to_owned()).collect::<Vec<_>>();
        let inherited = vec![b"PATH=/bin".to_vec(), b"LANG=C".to_vec()];
        let mut env = Env { pairs: inherited.clone(), inherited, ..Env::default() };
        env.tell(&told(&["PATH=/x", "TOKEN=1", "A=file"]));
        ["A=hook", "LANG"].iter().for_each(|pair| env.put(pair));
        assert_eq!(env.pairs, [&b"PATH=/x"[..], b"TOKEN=1", b"A=hook"]);
        env.tell(&[]);
        assert_eq!(env.pairs, [&b"PATH=/bin"[..], b"A=hook"]);
    }
}
