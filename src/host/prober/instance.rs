//! The processes of one life, never confused with a stranger's.
//!
//! All the numbers that name them are used again at once: pids, and the inodes of namespaces too. So init is known by its pid and
//! the moment it started, checked after whatever was read by that pid; and its pid namespace is held open while its number is looked
//! for. (Held, it keeps no mount alive; a mount namespace would.)

use std::{fs, fs::File, path::PathBuf};

use liege_sys::descendants::{everybody, started};

use super::protocol::{Inherited, Instance};

impl Instance {
    /// What `read` gives for init's pid, if that is still init's afterwards.
    pub(super) fn read<T>(&self, read: impl FnOnce(i32) -> Option<T>) -> Option<T> {
        let answer = read(self.pid)?;
        (started(self.pid) == Some(self.born)).then_some(answer)
    }

    /// Whether it was born with the connection that has this number, where that one is called `identity`.
    pub(super) fn was_born_with(&self, minor: u32, identity: Option<u64>) -> bool {
        let is_it = |born: &Inherited| {
            born.minor == minor && (born.identity.is_none() || identity.is_none() || born.identity == identity)
        };
        self.inherited.iter().any(is_it)
    }
}

/// A pid namespace of a life's own.
#[derive(Debug)]
pub(super) struct PidNamespace {
    link: PathBuf,
    _held: File,
}

impl PidNamespace {
    /// None: the life is over, or shares the daemon's.
    pub(super) fn of(instance: &Instance) -> Option<Self> {
        let path = |pid: &str| format!("/proc/{pid}/ns/pid");
        let ours = fs::read_link(path("self")).ok()?;
        let (held, link) = instance.read(|pid| {
            let path = path(&pid.to_string());
            Some((File::open(&path).ok()?, fs::read_link(&path).ok()?))
        })?;
        (link != ours).then_some(Self { link, _held: held })
    }

    /// Everybody in it. A walk over all processes, so only for a life whose end is held up.
    pub(super) fn members(&self) -> Vec<i32> {
        everybody().filter(|&pid| self.has(pid)).collect()
    }

    /// What `read` gives for a member's pid, if that is still a member's afterwards.
    pub(super) fn read<T>(&self, pid: i32, read: impl FnOnce(i32) -> Option<T>) -> Option<T> {
        let answer = read(pid)?;
        self.has(pid).then_some(answer)
    }

    fn has(&self, pid: i32) -> bool {
        fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|link| link == self.link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(pid: i32, born: u64) -> Instance {
        Instance { birth: 1, pid, born, inherited: Vec::new() }
    }

    #[test]
    fn whoever_has_the_pid_but_was_born_at_another_time_is_a_stranger() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let born = started(pid).unwrap();
        assert_eq!(instance(pid, born).read(Some), Some(pid));
        assert_eq!(instance(pid, born + 1).read(Some), None);
    }

    #[test]
    fn a_number_that_is_used_again_is_another_connection() {
        let born_with = |identity| Instance { inherited: vec![Inherited { minor: 41, identity }], ..instance(1, 1) };
        assert!(born_with(Some(7)).was_born_with(41, Some(7)));
        assert!(!born_with(Some(7)).was_born_with(41, Some(8)) && !born_with(Some(7)).was_born_with(42, Some(7)));
        assert!(born_with(None).was_born_with(41, Some(8)) && born_with(Some(7)).was_born_with(41, None), "nobody can say");
    }

    #[test]
    fn the_daemons_own_namespace_is_no_vassals() {
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(PidNamespace::of(&instance(pid, started(pid).unwrap())).is_none());
    }
}
