//! Users and groups, as the host's NSS names them. It is asked here, on the host, and never inside a vassal's root, whose libraries are not
//! ours.
//!
//! NSS asks one source after the other (`passwd: files systemd`). One that cannot be opened for want of a descriptor is passed over, and the
//! answer is that of the next: no such name. Nothing tells it from a true one. Where a descriptor may have been lacking, such an answer is
//! therefore confirmed by `getent`, which has descriptors of its own.

use std::ffi::CString;

use liege_plan::Exit;
use liege_spec::NoAnswer;
use nix::{
    errno::Errno,
    unistd::{Gid, Group, Uid, User, getgrouplist},
};

use crate::world::{World, asked, failure, is_lack, quoted, unanswered};

/// No look needs so many descriptors. While that many are left to the daemon, no look has lacked one.
const ENOUGH: u64 = 64;

/// What getent(1) exits with where a key is not in the database.
const NOT_FOUND: i32 = 2;

/// What a shell exits with where there is no such program.
const NO_PROGRAM: i32 = 127;

/// The names of the host, asked for a reading.
pub(crate) struct Nss<'a> {
    world: &'a World,
}

impl<'a> Nss<'a> {
    pub(crate) fn of(world: &'a World) -> Self {
        Self { world }
    }

    /// None: there is no such name.
    pub(crate) fn user(&self, name: &str) -> Result<Option<User>, NoAnswer> {
        self.confirmed(asked(User::from_name(name), is_no_answer)?.flatten(), "passwd", name)
    }

    /// None: the number has no name. A directory service that is down makes no number unknown.
    pub(crate) fn user_of(&self, uid: u32) -> Result<Option<User>, NoAnswer> {
        self.confirmed(asked(User::from_uid(Uid::from_raw(uid)), is_lack)?.flatten(), "passwd", &uid.to_string())
    }

    /// None: there is no such name.
    pub(crate) fn group(&self, name: &str) -> Result<Option<u32>, NoAnswer> {
        let group = self.confirmed(asked(Group::from_name(name), is_no_answer)?.flatten(), "group", name)?;
        Ok(group.map(|group| group.gid.as_raw()))
    }

    /// All groups of a user, with `gid`.
    pub(crate) fn groups_of(&self, user: &str, gid: u32) -> Result<Vec<u32>, NoAnswer> {
        let Ok(name) = CString::new(user) else { return Ok(vec![gid]) };
        if are_few_left()
            && let Some(said) = self.getent("initgroups", user)?
        {
            let others = said.split_whitespace().skip(1).filter_map(|number| number.parse().ok()).filter(|other| *other != gid);
            return Ok([gid].into_iter().chain(others).collect());
        }
        // glibc calls it a success where it could not open the list, and gives the one group. Only errno tells.
        Errno::clear();
        let groups = getgrouplist(&name, Gid::from_raw(gid));
        let groups = asked(if is_lack(Errno::last()) { Err(Errno::last()) } else { groups }, is_lack)?;
        Ok(groups.map_or_else(|| vec![gid], |groups| groups.iter().map(|group| group.as_raw()).collect()))
    }

    fn confirmed<T>(&self, found: Option<T>, database: &str, key: &str) -> Result<Option<T>, NoAnswer> {
        if found.is_none() && are_few_left() && self.getent(database, key)?.is_some() {
            return Err(unanswered(Errno::EMFILE));
        }
        Ok(found)
    }

    /// What getent(1) says of a key; None: it is not there, or this host has no getent.
    fn getent(&self, database: &str, key: &str) -> Result<Option<String>, NoAnswer> {
        match self.world.run(&format!("exec getent {database} -- {} 2>/dev/null", quoted(key)))? {
            (Exit::Code(0), said) => Ok(Some(String::from_utf8_lossy(&said).into_owned())),
            (Exit::Code(NOT_FOUND | NO_PROGRAM), _) => Ok(None),
            (exit, _) => Err(NoAnswer::Failed(failure(&format!("getent {database}"), exit))),
        }
    }
}

/// Not one of those by which getpwnam(3) says that there is no such name.
fn is_no_answer(errno: Errno) -> bool {
    !matches!(errno, Errno::ENOENT | Errno::ESRCH | Errno::EBADF | Errno::EPERM)
}

fn are_few_left() -> bool {
    !liege_sys::limits::are_descriptors_left(ENOUGH)
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        sync::atomic::{AtomicBool, Ordering::Relaxed},
        thread,
    };

    use liege_sys::limits::set_nofile;

    use super::*;

    /// Opens until nothing can be opened.
    fn fill() -> Vec<File> {
        std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
    }

    /// Descriptors come and go while NSS goes from one source to the next.
    #[test]
    fn no_name_is_unknown_while_descriptors_come_and_go() {
        let world = World::alone();
        let nss = Nss::of(&world);
        set_nofile(256, 256).unwrap();
        let mut held = fill();
        held.truncate(held.len() - 8);
        let is_over = AtomicBool::new(false);
        let unknown = thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Relaxed) {
                    drop(fill());
                }
            });
            let unknown = (0..3000).filter(|_| {
                let users = [nss.user("daemon"), nss.user_of(1)];
                users.iter().any(|answer| matches!(answer, Ok(None))) || matches!(nss.group("daemon"), Ok(None))
            });
            let unknown = unknown.count();
            is_over.store(true, Relaxed);
            unknown
        });
        assert_eq!(unknown, 0);
    }

    #[test]
    fn with_few_descriptors_the_answers_are_those_with_many() {
        let world = World::alone();
        let nss = Nss::of(&world);
        let all = || {
            let gid = |user: Option<User>| user.map(|user| user.gid.as_raw());
            let mut groups = nss.groups_of("daemon", 77).unwrap();
            groups.sort_unstable();
            let users = ["daemon", "no-such-user", "a'b", "--help"].map(|name| gid(nss.user(name).unwrap()));
            (
                users,
                gid(nss.user_of(3_999_999).unwrap()),
                nss.group("daemon").unwrap(),
                nss.group("no-such-group").unwrap(),
                groups,
            )
        };
        let with_many = all();
        set_nofile(60, 60).unwrap();
        assert_eq!(all(), with_many);
    }

    #[test]
    fn few_are_left_below_the_limit() {
        set_nofile(256, 256).unwrap();
        assert!(!are_few_left());
        let mut held = fill();
        assert!(are_few_left());
        held.truncate(100);
        assert!(!are_few_left());
    }
}
