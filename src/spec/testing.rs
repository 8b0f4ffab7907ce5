//! A world made of tables, for tests of this room and of the others.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Kind, Lookup, NoAnswer, Writer};

/// A [`Lookup`] that answers from tables: no file system, no environment, no clock.
#[derive(Clone, Debug, Default)]
pub struct TableLookup {
    /// Files by absolute path.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Directories by absolute path.
    pub directories: Vec<String>,
    /// Where others than root write: paths, with all that is below them, and a user's number.
    pub others: BTreeMap<String, u32>,
    /// Environment variables.
    pub environment: BTreeMap<String, String>,
    /// Users: name to uid and primary gid. A group of the same name and that gid exists too.
    pub users: BTreeMap<String, (u32, u32)>,
    /// Supplementary groups by user name.
    pub supplementary: BTreeMap<String, Vec<u32>>,
    /// Why no question about accounts and paths gets an answer, where that is so.
    pub fails: Option<String>,
}

impl TableLookup {
    /// With a file.
    #[must_use]
    pub fn with_file(mut self, path: &str, content: &str) -> Self {
        self.files.insert(path.into(), content.into());
        self
    }

    /// With a user and the group of the same name.
    #[must_use]
    pub fn with_user(mut self, name: &str, uid: u32, gid: u32) -> Self {
        self.users.insert(name.into(), (uid, gid));
        self
    }

    /// With a directory, or a file, that is a user's.
    #[must_use]
    pub fn with_others(mut self, path: &str, uid: u32) -> Self {
        self.others.insert(path.into(), uid);
        self
    }

    /// With an environment variable.
    #[must_use]
    pub fn with_env(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    fn asked(&self) -> Result<(), NoAnswer> {
        self.fails.clone().map_or(Ok(()), |why| Err(NoAnswer::Failed(why)))
    }
}

impl Lookup for TableLookup {
    fn read(&self, source: &str, most: usize) -> Result<Vec<u8>, NoAnswer> {
        match self.files.get(source) {
            Some(text) if text.len() > most => Err(NoAnswer::TooMuch),
            Some(text) => Ok(text.clone()),
            None => Err(NoAnswer::Failed("No such file or directory".into())),
        }
    }

    fn writers(&self, path: &str) -> Result<BTreeSet<Writer>, NoAnswer> {
        let leads_through = |others: &str| path.strip_prefix(others).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let all = self.others.iter().filter(|(others, _)| leads_through(others));
        Ok(all.map(|(_, uid)| Writer::User(*uid)).collect())
    }

    fn kind(&self, path: &str) -> Result<Option<Kind>, NoAnswer> {
        self.asked()?;
        if self.files.contains_key(path) {
            return Ok(Some(Kind::File));
        }
        let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
        Ok(self.directories.iter().any(|directory| directory == path).then_some(Kind::Directory))
    }

    /// Understands one `*` only.
    fn glob(&self, pattern: &str, most: usize) -> Result<Vec<String>, NoAnswer> {
        self.asked()?;
        let Some((before, after)) = pattern.split_once('*') else {
            return Ok(if self.kind(pattern)?.is_some() { vec![pattern.into()] } else { Vec::new() });
        };
        let inside = |path: &&String| {
            let middle = path.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
            middle.is_some_and(|middle| !middle.contains('/'))
        };
        let mut found: Vec<String> = self.files.keys().chain(&self.directories).filter(inside).take(most + 1).cloned().collect();
        found.sort();
        if found.len() > most { Err(NoAnswer::TooMuch) } else { Ok(found) }
    }

    fn env(&self, name: &str) -> Option<String> {
        self.environment.get(name).cloned()
    }

    fn env_names(&self) -> Vec<String> {
        self.environment.keys().cloned().collect()
    }

    fn hostname(&self) -> String {
        "testhost".into()
    }

    fn now(&self) -> u64 {
        1_700_000_000
    }

    fn directory(&self) -> String {
        "/etc/vassals".into()
    }

    fn own_identity(&self) -> (u32, String, u32, String) {
        (0, "root".into(), 0, "root".into())
    }

    fn processors(&self) -> usize {
        2
    }

    fn user(&self, name_or_number: &str) -> Result<Option<(u32, u32, String)>, NoAnswer> {
        self.asked()?;
        let by_name = self.users.get_key_value(name_or_number);
        let number = name_or_number.parse::<u32>().ok();
        let by_number = || self.users.iter().find(|(_, (uid, _))| Some(*uid) == number);
        Ok(match by_name.or_else(by_number) {
            Some((name, (uid, gid))) => Some((*uid, *gid, name.clone())),
            None => number.map(|number| (number, number, name_or_number.to_owned())),
        })
    }

    fn group(&self, name_or_number: &str) -> Result<Option<u32>, NoAnswer> {
        self.asked()?;
        Ok(self.users.get(name_or_number).map(|(_, gid)| *gid).or_else(|| name_or_number.parse().ok()))
    }

    fn groups_of(&self, user: &str, gid: u32) -> Result<Vec<u32>, NoAnswer> {
        self.asked()?;
        let mut groups = self.supplementary.get(user).cloned().unwrap_or_default();
        groups.push(gid);
        Ok(groups)
    }
}
