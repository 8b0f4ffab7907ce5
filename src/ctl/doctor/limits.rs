//! Limits of numbers: how many vassals they are good for.
//!
//! What a vassal takes is a careful guess at an ordinary one: its init, a FUSE daemon and uwsgi with a worker, their threads.

use liege_sys::limits;

use super::{
    Room,
    finding::{Finding, Subject},
    number,
};

const LIMITS: Subject = Subject("limits");
/// Tasks of one vassal, and the thread of its probe.
const TASKS: u64 = 8;
/// What the daemon holds open for one: its channel, its process, its log, a connection's exit.
const DESCRIPTORS: u64 = 4;
/// And for itself.
const OWN: u64 = 100;
/// Fewer vassals than this are worth a word.
const FEW: u64 = 1000;

/// The findings, and the narrowest of them.
pub(super) fn look() -> (Vec<Finding>, Option<Room>) {
    let files = limits::nofile().map(|(_, hard)| hard).ok();
    let rows = [
        Row {
            name: "open files",
            limit: files,
            vassals: of_descriptors,
            remedy: "LimitNOFILE=524288 in the unit, or ulimit -Hn 524288",
        },
        sysctl("processes", "kernel.pid_max", of_tasks, "sysctl kernel.pid_max=4194304"),
        sysctl("threads", "kernel.threads-max", of_tasks, "sysctl kernel.threads-max=500000"),
        sysctl("mount namespaces", "user.max_mnt_namespaces", one_each, "sysctl user.max_mnt_namespaces=100000"),
        sysctl("pid namespaces", "user.max_pid_namespaces", one_each, "sysctl user.max_pid_namespaces=100000"),
    ];
    let room = rows.iter().filter_map(Row::room).min_by_key(|room| room.vassals);
    let mut found: Vec<Finding> = rows.iter().map(Row::finding).collect();
    found.extend([processes_of_a_user(), inotify_instances(), inotify_watches()]);
    (found, room)
}

fn of_descriptors(limit: u64) -> u64 {
    limit.saturating_sub(OWN) / DESCRIPTORS
}

fn of_tasks(limit: u64) -> u64 {
    limit / TASKS
}

fn one_each(limit: u64) -> u64 {
    limit
}

/// A limit that each vassal takes a part of.
struct Row {
    name: &'static str,
    limit: Option<u64>,
    vassals: fn(u64) -> u64,
    remedy: &'static str,
}

fn sysctl(name: &'static str, key: &str, vassals: fn(u64) -> u64, remedy: &'static str) -> Row {
    Row { name, limit: number(&format!("/proc/sys/{}", key.replace('.', "/"))), vassals, remedy }
}

impl Row {
    fn room(&self) -> Option<Room> {
        let vassals = (self.vassals)(self.limit?);
        Some(Room { vassals, because: self.name.to_owned() })
    }

    fn finding(&self) -> Finding {
        let Some((limit, room)) = self.limit.zip(self.room()) else {
            return LIMITS.unknown(self.name, "the kernel does not tell");
        };
        let found = format!("{limit}: good for about {} vassals", room.vassals);
        if room.vassals >= FEW {
            return LIMITS.ok(self.name, found);
        }
        LIMITS.degraded(self.name, found).costs("vassals beyond that do not start").mended_by(self.remedy)
    }
}

/// Counted for each user over all vassals: whoever runs many as one user needs many.
fn processes_of_a_user() -> Finding {
    const NAME: &str = "processes of a user";
    match limits::processes() {
        Err(errno) => LIMITS.unknown(NAME, errno),
        Ok(u64::MAX) => LIMITS.ok(NAME, "not limited"),
        Ok(limit) if of_tasks(limit) >= FEW => LIMITS.ok(NAME, format!("{limit} for each user")),
        Ok(limit) => LIMITS
            .degraded(NAME, format!("{limit} for each user: good for about {} vassals of one", of_tasks(limit)))
            .costs("more vassals of the same user cannot fork")
            .mended_by("LimitNPROC=infinity in the unit"),
    }
}

fn inotify_instances() -> Finding {
    const NAME: &str = "inotify instances";
    match number("/proc/sys/fs/inotify/max_user_instances") {
        None => LIMITS.unknown(NAME, "the kernel does not tell"),
        Some(limit) if limit >= 32 => LIMITS.ok(NAME, format!("{limit}: one for each emperor = line")),
        Some(limit) => LIMITS
            .degraded(NAME, format!("{limit}, shared with all other programs of root"))
            .costs("a daemon that gets none does not start")
            .mended_by("sysctl fs.inotify.max_user_instances=1024"),
    }
}

fn inotify_watches() -> Finding {
    const NAME: &str = "inotify watches";
    match number("/proc/sys/fs/inotify/max_user_watches") {
        None => LIMITS.unknown(NAME, "the kernel does not tell"),
        Some(limit) if limit >= 4096 => LIMITS.ok(NAME, format!("{limit}: a few for each emperor = line")),
        Some(limit) => LIMITS
            .degraded(NAME, format!("{limit}, shared with all other programs of root"))
            .costs("directories without a watch are looked at every emperor-freq only")
            .mended_by("sysctl fs.inotify.max_user_watches=524288"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    fn row(limit: Option<u64>) -> Row {
        Row { name: "open files", limit, vassals: of_descriptors, remedy: "more" }
    }

    #[test]
    fn a_limit_is_worth_so_many_vassals() {
        let few = row(Some(1024)).finding();
        assert_eq!((few.status, few.found.as_str()), (Status::Degraded, "1024: good for about 231 vassals"));
        assert_eq!(row(Some(524_288)).finding().status, Status::Ok);
        assert_eq!(row(Some(10)).room().unwrap().vassals, 0);
        assert_eq!((row(None).finding().status, row(None).room()), (Status::Unknown, None));
    }
}
