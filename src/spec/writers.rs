//! Who else may have chosen what is read.

use std::collections::BTreeSet;

/// One who may write what is found at a path, or lead the path elsewhere. Neither root nor the user who reads is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Writer {
    /// A user, by number.
    User(u32),
    /// The members of a group, by number.
    Group(u32),
    /// Every user.
    All,
}

impl std::fmt::Display for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(uid) => write!(f, "uid {uid}"),
            Self::Group(gid) => write!(f, "gid {gid}"),
            Self::All => f.write_str("every user"),
        }
    }
}

/// All of them. None: root alone decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Writers(pub(crate) BTreeSet<Writer>);

impl Writers {
    /// Where it could not be found out.
    pub(crate) fn unknown() -> Self {
        Self([Writer::All].into())
    }

    pub(crate) fn is_root_alone(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether these could have written themselves what the others wrote.
    pub(crate) fn cover(&self, others: &Self) -> bool {
        self.0.contains(&Writer::All) || others.0.is_subset(&self.0)
    }

    pub(crate) fn add(&mut self, others: &Self) {
        self.0.extend(&others.0);
    }
}

impl std::fmt::Display for Writers {
    /// `uid 1001, gid 33`; the first few of many.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const SHOWN: usize = 3;
        if self.0.contains(&Writer::All) {
            return f.write_str("every user");
        }
        let shown: Vec<String> = self.0.iter().take(SHOWN).map(ToString::to_string).collect();
        f.write_str(&shown.join(", "))?;
        if self.0.len() > SHOWN { write!(f, " and {} more", self.0.len() - SHOWN) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_writer_could_have_written_itself_is_covered() {
        let of = |writers: &[Writer]| Writers(writers.iter().copied().collect());
        let (none, user, both) = (of(&[]), of(&[Writer::User(7)]), of(&[Writer::User(7), Writer::Group(9)]));
        assert!(none.cover(&none) && user.cover(&none) && both.cover(&user) && Writers::unknown().cover(&both));
        assert!(!none.cover(&user) && !user.cover(&both) && !both.cover(&Writers::unknown()));
        assert_eq!((both.to_string(), Writers::unknown().to_string()), ("uid 7, gid 9".into(), "every user".into()));
    }
}
