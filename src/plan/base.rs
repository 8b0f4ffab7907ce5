//! Where the environment of a vassal's programs begins.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The environment of steps and app, before what the file's `env` lines and the hooks put into it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// Nothing of the daemon's own environment: a default PATH, and HOME, USER, LOGNAME and SHELL of the user that runs the program.
    pub clean: bool,
    /// The vassal's user, as the host knows it. None: unknown there, or the root of the vassal has its own users.
    pub account: Option<AccountRecord>,
    /// The pairs of `env-file`.
    pub secrets: Secrets,
}

/// What a passwd file says of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRecord {
    /// USER and LOGNAME.
    pub name: String,
    /// HOME.
    pub home: String,
    /// SHELL.
    pub shell: String,
}

/// Pairs that nothing shows: neither `Debug` nor a trace nor `check --plan` has their values. Only the treaty itself carries them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(pub Vec<(String, String)>);

/// In the place of each value.
const HIDDEN: &str = "(hidden)";

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Serialize for Secrets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_seq(self.0.iter().map(|(name, _)| (name, HIDDEN)))
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Secrets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FrameReader, encode};

    #[test]
    fn secrets_cross_the_border_and_are_shown_nowhere() {
        let secrets = Secrets(vec![("TOKEN".into(), "s3cret".into())]);
        assert_eq!(format!("{secrets:?}"), r#"["TOKEN"]"#);
        assert_eq!(serde_json::to_string(&secrets).unwrap(), r#"[["TOKEN","(hidden)"]]"#);
        let mut frames = FrameReader::default();
        frames.push(&encode(&secrets).unwrap());
        assert_eq!(frames.next::<Secrets>().unwrap(), Some(secrets));
    }
}
