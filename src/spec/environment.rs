//! The environment a vassal's programs start with: `env-file`, `inherit-env`, and what its user's account says.
//!
//! A `[vassal]` begins with a clean one: PATH, and HOME, USER, LOGNAME and SHELL of its user. What belongs to the daemon (its own
//! HOME, `LISTEN_FDS`, `NOTIFY_SOCKET`, `INVOCATION_ID`, `CREDENTIALS_DIRECTORY` ...) is not a customer's. A uwsgi has uWSGI's rule:
//! it inherits what the daemon has.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::options::Options;
use crate::report::Report;
use crate::{Code, Lookup};

/// Where the environment begins, before `env` and what hooks put.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// `inherit-env`, and always for a uwsgi: the daemon's own environment.
    pub inherit: bool,
    /// The vassal's user, as the host's accounts have it. None where the vassal has a root of its own, whose files tell.
    pub account: Option<AccountRecord>,
    /// The pairs of all `env-file` lines.
    pub secrets: Secrets,
}

/// What the accounts say of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRecord {
    /// USER and LOGNAME.
    pub name: String,
    /// HOME.
    pub home: String,
    /// SHELL.
    pub shell: String,
}

/// Pairs whose values are shown nowhere: neither by `Debug` nor in a trace.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(pub Vec<(String, String)>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Serialize for Secrets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|(name, _)| (name, "(hidden)")))
    }
}

impl<'de> Deserialize<'de> for Secrets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self)
    }
}

/// An environment is handed to `execve(2)` as a whole.
const LONGEST: usize = 64 << 10;

/// Of a `[vassal]`; `uid` where the host's accounts know it.
pub(crate) fn raise(options: &Options<'_>, uid: Option<u32>, lookup: &dyn Lookup, report: &mut Report) -> Environment {
    let inherit = options.boolean("inherit-env", false) && options.last("inherit-env").is_some();
    let account = uid.filter(|_| !inherit).and_then(|uid| lookup.account(uid).ok()?);
    let mut secrets = Vec::new();
    for line in options.all(&["env-file"]) {
        if !line.value.starts_with('/') {
            report.push(line.error(Code::RelativePath, "is named by its whole path, on the host"));
            continue;
        }
        match lookup.read_secret(&line.value, LONGEST).map_err(|why| why.to_string()).and_then(|text| pairs(&text)) {
            Ok(pairs) => secrets.extend(pairs),
            Err(why) => report.push(line.error(Code::Unreadable, format!("cannot read {}: {why}", line.value))),
        }
    }
    Environment { inherit, account, secrets: Secrets(secrets) }
}

/// `NAME=VALUE`, one a line; `#` and `;` begin a remark, quotes around a value are taken off. A mistake is told by its line alone:
/// what stands there is a secret.
fn pairs(text: &[u8]) -> Result<Vec<(String, String)>, String> {
    let text = std::str::from_utf8(text).map_err(|_| "it is not UTF-8".to_owned())?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut pairs = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let (name, value) = line.split_once('=').ok_or_else(|| format!("its line {number} is not NAME=VALUE"))?;
        let name = name.trim_end();
        if name.is_empty() || name.contains(char::is_whitespace) || line.contains('\0') {
            return Err(format!("its line {number} is not NAME=VALUE"));
        }
        let value = value.trim_start();
        let unquoted = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
        pairs.push((name.to_owned(), unquoted.unwrap_or(value).to_owned()));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_pairs() {
        let text = b"# key\n\nA=1\n B = x y \nC='q u'\nD=\n; no\r\nE=\"a=b\"\r\n";
        let meant = [("A", "1"), ("B", "x y"), ("C", "q u"), ("D", ""), ("E", "a=b")];
        assert_eq!(pairs(text), Ok(meant.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()));
        let marked = [b"\xef\xbb\xbf".as_slice(), b"A=1\n"].concat();
        assert_eq!(pairs(&marked), Ok(vec![("A".to_owned(), "1".to_owned())]), "a byte order mark is no part of a name");
        for wrong in ["A=1\ns3cret", "=s3cret", "export A=s3cret"] {
            assert!(pairs(wrong.as_bytes()).is_err_and(|why| !why.contains("s3cret")), "{wrong}");
        }
    }

    #[test]
    fn values_are_shown_nowhere() {
        let environment = Environment { secrets: Secrets(vec![("A".into(), "s3cret".into())]), ..Environment::default() };
        assert!(!format!("{environment:?}").contains("s3cret"));
    }
}
