//! The environment that steps and app get. Kept as a list of its own: init's real one is never changed.

use std::{ffi::NulError, os::unix::ffi::OsStringExt};

use liege_plan::{AccountRecord, Base, Identity};
use liege_sys::Strings;

/// The PATH of a vassal that does not have the daemon's.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The layers of the environment: where it begins (what init was started with, or a clean one), the secrets of the file, what the
/// file tells, what hooks have put.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Env {
    inherited: Vec<Vec<u8>>,
    base: Base,
    /// The vassal's user as the files of its own root have it.
    found: Option<AccountRecord>,
    told: Vec<String>,
    /// By hooks; a name alone was taken out.
    put: Vec<String>,
    /// The mask that goes with it; None: init's own.
    pub(crate) umask: Option<u32>,
    /// `RLIMIT_NOFILE` of what is started with it, soft and hard: init has more.
    pub(crate) nofile: (u64, u64),
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
        Self { inherited: std::env::vars_os().map(pair).collect(), ..Self::default() }
    }

    /// Where it begins from now on.
    pub(crate) fn begin(&mut self, base: Base) {
        self.base = base;
    }

    /// The user was found in the vassal's own root.
    pub(crate) fn found(&mut self, account: Option<AccountRecord>) {
        self.found = account;
    }

    /// What the file tells, in the place of what it told before.
    pub(crate) fn tell(&mut self, told: &[String]) {
        self.told = told.to_vec();
    }

    /// Puts a pair in; takes the place of an older one of this name. Without `=` the name is taken out, as `putenv(3)` does.
    pub(crate) fn put(&mut self, pair: &str) {
        let name = |pair: &str| pair.split_once('=').map_or(pair, |(name, _)| name).to_owned();
        self.put.retain(|other| name(other) != name(pair));
        self.put.push(pair.to_owned());
    }

    /// As a program of this identity gets it; None: of init's own.
    pub(crate) fn of(&self, identity: Option<&Identity>) -> Pairs {
        let mut pairs = Pairs(Vec::new());
        if self.base.clean {
            pairs.set(PATH);
            self.account(identity).iter().for_each(|pair| pairs.set(pair));
        } else {
            pairs.0.clone_from(&self.inherited);
        }
        self.base.secrets.0.iter().for_each(|(name, value)| pairs.set(&format!("{name}={value}")));
        self.told.iter().chain(&self.put).for_each(|pair| pairs.set(pair));
        pairs
    }

    /// HOME and its sisters. A user without a record (a number alone) has a name that is its number.
    fn account(&self, identity: Option<&Identity>) -> [String; 4] {
        let record = self.found.as_ref().or(self.base.account.as_ref());
        let (name, home, shell) = match (identity, record) {
            (None | Some(Identity { uid: 0, .. }), _) => ("root".to_owned(), "/root".to_owned(), "/bin/sh".to_owned()),
            (Some(_), Some(AccountRecord { name, home, shell })) => (name.clone(), home.clone(), shell.clone()),
            (Some(Identity { uid, .. }), None) => (uid.to_string(), "/".to_owned(), "/bin/sh".to_owned()),
        };
        [format!("HOME={home}"), format!("USER={name}"), format!("LOGNAME={name}"), format!("SHELL={shell}")]
    }
}

/// `NAME=VALUE` pairs, each name once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pairs(Vec<Vec<u8>>);

impl Pairs {
    /// Puts a pair in the place of an older one. Without `=` the name is taken out.
    pub(crate) fn set(&mut self, pair: &str) {
        match pair.split_once('=') {
            None => self.remove(pair),
            Some((name, _)) => {
                self.remove(name);
                self.0.push(pair.into());
            }
        }
    }

    /// Takes a name out.
    pub(crate) fn remove(&mut self, name: &str) {
        self.0.retain(|pair| value(pair, name).is_none());
    }

    /// The value of a name.
    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find_map(|pair| value(pair, name))
    }

    /// In the shape exec wants.
    pub(crate) fn strings(&self) -> Result<Strings, NulError> {
        Strings::new(self.0.iter().map(Vec::as_slice))
    }
}

fn value<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(env: &Env, identity: Option<&Identity>) -> Vec<String> {
        env.of(identity).0.iter().map(|pair| String::from_utf8_lossy(pair).into_owned()).collect()
    }

    #[test]
    fn each_name_stands_once_and_the_last_put_wins() {
        let mut env = Env::default();
        for pair in ["A=1", "AB=2", "A=3=4", "C=5", "C", "D="] {
            env.put(pair);
        }
        assert_eq!(shown(&env, None), ["AB=2", "A=3=4", "D="]);
        assert_eq!(env.of(None).get("A"), Some(&b"3=4"[..]));
        assert_eq!(env.of(None).get("C"), None);
        assert_eq!(env.of(None).get("D"), Some(&b""[..]));
    }

    #[test]
    fn what_the_file_tells_no_more_is_as_it_was_inherited_and_what_hooks_put_stays() {
        let told = |pairs: &[&str]| pairs.iter().map(|pair| (*pair).to_owned()).collect::<Vec<_>>();
        let inherited = vec![b"PATH=/bin".to_vec(), b"LANG=C".to_vec()];
        let mut env = Env { inherited, ..Env::default() };
        env.tell(&told(&["PATH=/x", "TOKEN=1", "A=file"]));
        ["A=hook", "LANG"].iter().for_each(|pair| env.put(pair));
        assert_eq!(shown(&env, None), ["PATH=/x", "TOKEN=1", "A=hook"]);
        env.tell(&[]);
        assert_eq!(shown(&env, None), ["PATH=/bin", "A=hook"]);
    }

    #[test]
    fn a_clean_one_has_the_users_home_and_nothing_of_the_daemons() {
        let record = |name: &str| AccountRecord { name: name.into(), home: format!("/home/{name}"), shell: "/bin/bash".into() };
        let user = |uid| Identity { uid, gid: 1, groups: Vec::new() };
        let inherited = vec![b"HOME=/root".to_vec(), b"LISTEN_FDS=1".to_vec()];
        let mut env = Env { inherited, ..Env::default() };
        let secrets = liege_plan::Secrets(vec![("TOKEN".into(), "s".into()), ("SHELL".into(), "/x".into())]);
        env.begin(Base { clean: true, account: Some(record("shop")), secrets });
        env.tell(&["PATH=/opt".to_owned()]);
        let rest = ["SHELL=/x", "TOKEN=s", "PATH=/opt"];
        let sorted = |mut pairs: Vec<String>| {
            pairs.sort();
            pairs
        };
        let meant = |first: [&str; 3]| sorted(first.iter().chain(&rest).map(|pair| (*pair).to_owned()).collect());
        assert_eq!(sorted(shown(&env, Some(&user(7)))), meant(["HOME=/home/shop", "USER=shop", "LOGNAME=shop"]));
        assert_eq!(sorted(shown(&env, None)), meant(["HOME=/root", "USER=root", "LOGNAME=root"]));
        env.found(Some(record("inner")));
        assert_eq!(sorted(shown(&env, Some(&user(7)))), meant(["HOME=/home/inner", "USER=inner", "LOGNAME=inner"]));
        env.found(None);
        env.begin(Base { clean: true, account: None, secrets: liege_plan::Secrets(Vec::new()) });
        assert_eq!(env.of(Some(&user(7))).get("HOME"), Some(&b"/"[..]));
        assert_eq!(env.of(Some(&user(7))).get("USER"), Some(&b"7"[..]));
    }
}
