//! The FUSE daemons of the vassal, known from when their mounts came.
//!
//! A daemon whose mount was unmounted closes its device, and may write for a while after that. Nothing tells then that it is one. So its pidfd
//! is held from before. Where the mounts are the host's, the mounts that a process of the vassal serves are remembered as well: one that is
//! dead at the end has no process any more that would tell whose it was. The host is told of these, and takes away what init has left.
//!
//! Which mount of the host's a process serves has to be proven, because it will be unmounted. The number of its connection alone is no proof:
//! a descriptor tells it also when the connection has ended, and the next mount of anybody gets that number. So the mount must have been
//! made by the process's real user, who could have unmounted it as well. (The other ids of a process say nothing: a setuid program inherits
//! descriptors.) A kernel before 6.16 tells no number: there a command of the vassal's file has to name the mount point.
//!
//! Calls in their order: [`Known::look_soon`] after a change of own FUSE mounts, [`Init::learn_daemons`] in each turn, [`Init::learn_all_daemons`]
//! after the hooks. [`Known::due`] says when the next look may be made.
//!
//! Races: a daemon mounts before it goes into the background, so the process that was found may end at once: its end asks for another look. A walk
//! over the processes may find neither the one nor the other, nor a descriptor that one sends to the other. So a mount without a daemon has a few
//! more looks, and one without a rest when the program of the last hook has ended: its daemon is in the background then.
//! One whose mount comes and goes between two looks is not known.
//!
//! Bounded: a tenant may start thousands, and mount all the time. No look is made where no own mount can be written to, except where the mounts
//! outlive the vassal.

use std::{
    collections::BTreeSet,
    os::fd::AsFd,
    time::{Duration, Instant},
};

use liege_plan::{Act, App, FromInit, HostMount, Program, Step};
use liege_sys::{caps, mountinfo::Mount, poll::Interest, process::own_pid, processes::Processes};

use super::{FuseDaemon, fuse_daemon, ours};
use crate::{clock, init::Init, mounts::Table, reap::has_ended, rights::PARKED};

/// So many daemons are held, and so many mounts remembered.
const MOST: usize = 64;
/// Looks at a mount whose daemon was not found: it may be none of the vassal's.
const TRIES: u32 = 5;
/// After a look there is none for so many times as long as it took.
const REST: u32 = 10;

/// What is known.
#[derive(Debug, Default)]
pub(crate) struct Known {
    daemons: Vec<FuseDaemon>,
    mounts: Vec<Mount>,
    /// Where the mounts are the host's: the commands of the vassal's file.
    commands: String,
    /// How many looks are wanted.
    wanted: u32,
    rests_until: Option<Instant>,
}

impl Known {
    /// What may name its mount points, on a kernel that does not say whose a connection is.
    pub(crate) fn hear_commands(&mut self, steps: &[Step], app: &App) {
        let step = |step: &Step| if let Act::Exec(command) = &step.act { Some(command.clone()) } else { None };
        let program = match &app.program {
            Program::Uwsgi(uwsgi) => uwsgi.config.clone(),
            Program::Command(words) => words.join(" "),
            Program::Shell(command) => command.clone(),
        };
        let daemons = app.daemons.iter().map(|daemon| daemon.command.clone());
        self.commands = steps.iter().filter_map(step).chain(daemons).chain([program]).collect::<Vec<_>>().join("\n");
    }

    /// Own FUSE mounts may have come.
    pub(crate) fn look_soon(&mut self) {
        self.wanted = TRIES;
    }

    /// When to look; None: there is nothing to look for.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        (self.wanted > 0).then(|| self.rests_until.map_or(now, |until| until.max(now)))
    }

    /// What tells of their ends.
    pub(crate) fn interests<'a>(&'a self, all: &mut Vec<Interest<'a>>) {
        all.extend(self.daemons.iter().map(|daemon| Interest::readable(daemon.pidfd.as_fd())));
    }

    /// One has ended. The process it has gone into the background as may not be known yet.
    pub(crate) fn forget_the_ended(&mut self) {
        self.daemons.retain(|daemon| !has_ended(&daemon.pidfd));
        self.wanted = TRIES;
    }

    /// Whether no daemon is held.
    pub(super) fn is_empty(&self) -> bool {
        self.daemons.is_empty()
    }

    /// Those that live, and are not known any more.
    pub(super) fn take(&mut self) -> Vec<FuseDaemon> {
        std::mem::take(&mut self.daemons).into_iter().filter(|daemon| !has_ended(&daemon.pidfd)).collect()
    }

    /// Whether a process of the vassal has served this mount.
    pub(super) fn is_ours(&self, mount: &Mount) -> bool {
        self.mounts.iter().any(|known| is_same(known, mount))
    }

    /// Whether a daemon serves this mount of the host's.
    pub(super) fn is_served(&self, daemon: &FuseDaemon, mount: &Mount) -> bool {
        let serves = |minor: &Option<u32>| match minor {
            Some(minor) => *minor == mount.device.1,
            None => names(&self.commands, &mount.mount_point.to_string_lossy()),
        };
        mount.is_mounted_by(daemon.user) && daemon.minors.iter().any(serves)
    }

    /// Those of the host's table that it serves, as the host takes them away.
    fn left_on_host(&self) -> Vec<HostMount> {
        let told = |mount: &Mount| {
            Some(HostMount { id: mount.id, minor: mount.device.1, point: mount.mount_point.to_str()?.to_owned() })
        };
        self.mounts.iter().filter_map(told).collect()
    }

    fn look(&mut self, processes: &Processes, table: &Table, remembers_mounts: bool) {
        let (mut served, mut come) = (BTreeSet::new(), BTreeSet::new());
        for pid in ours(processes) {
            if pid == own_pid() {
                continue;
            }
            let Some(daemon) = fuse_daemon(processes, pid, table, &BTreeSet::new()) else { continue };
            served.extend(daemon.minors.iter().flatten().copied());
            if remembers_mounts {
                come.extend(table.own().filter(|mount| self.is_served(&daemon, mount)).map(|mount| mount.id));
            }
            if let Some(before) = self.daemons.iter_mut().find(|before| before.pid == pid && !has_ended(&before.pidfd)) {
                before.saves = daemon.saves; // a step may have remounted it read-only
                if before.minors != daemon.minors {
                    *before = daemon;
                }
            } else if daemon.saves && self.daemons.len() < MOST {
                self.daemons.push(daemon);
            }
        }
        if remembers_mounts {
            self.mounts.retain(|known| table.own().any(|mount| is_same(known, mount)));
            let come: Vec<Mount> =
                table.own().filter(|mount| come.contains(&mount.id) && !self.is_ours(mount)).cloned().collect();
            self.mounts.extend(come);
            self.mounts.truncate(MOST);
        }
        let has_daemon = |minor: u32| served.contains(&minor) || self.daemons.iter().any(|daemon| daemon.serves(minor));
        let is_done = |mount: &Mount| match remembers_mounts {
            true => self.is_ours(mount),
            false => table.is_writable(mount.device.1) == Some(false) || has_daemon(mount.device.1),
        };
        if table.own().all(is_done) {
            self.wanted = 0;
        }
    }
}

impl Init {
    /// Looks at once, because the hooks are over: what they have mounted is not the app's to kill before it is known.
    pub(crate) fn learn_all_daemons(&mut self) {
        if self.mounts.has_own() {
            self.known.look_soon();
            self.known.rests_until = None;
            self.learn_daemons();
        }
    }

    /// Looks for the daemons of own mounts, where it is time to.
    pub(crate) fn learn_daemons(&mut self) {
        let start = clock::now();
        if self.known.due(start).is_none_or(|due| due > start) {
            return;
        }
        self.known.wanted -= 1;
        if self.later.own_mounts && !self.mounts.can_be_written() {
            self.known.wanted = 0;
            return;
        }
        // Only for this look: while the app runs these rights have no effect.
        let before = caps::get();
        let _ = caps::raise(PARKED);
        match (self.mounts.with_own_fuse(), Processes::open()) {
            (Some(table), Ok(processes)) => self.known.look(&processes, &table, !self.later.own_mounts),
            (Some(_), Err(_)) => {}
            (None, _) => self.known.mounts.clear(),
        }
        if let Ok(before) = before {
            let _ = caps::set(&before);
        }
        if !self.later.own_mounts {
            self.tell_proven();
        }
        self.known.rests_until = Some(start + start.elapsed().max(Duration::from_millis(1)) * (REST + 1));
    }

    fn tell_proven(&mut self) {
        let ids = self.known.mounts.iter().map(|mount| mount.id).collect();
        let Some(news) = self.mounts.prove(ids) else { return };
        self.say(&FromInit::OnHost { mounts: self.known.left_on_host() });
        if let Some(change) = news {
            self.say(&change);
        }
        self.tell_writable();
    }
}

/// Whether a text has this path, and not only as a part of another.
fn names(text: &str, path: &str) -> bool {
    let is_of_path = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | '~');
    text.match_indices(path).any(|(at, _)| {
        let (before, after) = (text[..at].chars().next_back(), text[at + path.len()..].trim_start_matches('/').chars().next());
        !before.is_some_and(is_of_path) && !after.is_some_and(is_of_path)
    })
}

/// The options are left out: a remount changes them.
fn is_same(one: &Mount, other: &Mount) -> bool {
    let told = |mount: &Mount| (mount.id, mount.device, mount.fuse_owner());
    told(one) == told(other) && one.mount_point == other.mount_point && one.fstype == other.fstype && one.source == other.source
}

#[cfg(test)]
mod tests {
    use liege_sys::mountinfo::parse;

    use super::*;

    #[test]
    fn no_look_is_made_before_the_rest_is_over() {
        let (mut known, now) = (Known::default(), Instant::now());
        assert_eq!(known.due(now), None);
        known.look_soon();
        assert_eq!(known.due(now), Some(now));
        let rest = Duration::from_millis(70);
        known.rests_until = Some(now + rest);
        assert_eq!([known.due(now), known.due(now + 2 * rest)], [Some(now + rest), Some(now + 2 * rest)]);
    }

    #[test]
    fn a_mount_of_the_hosts_is_served_by_a_process_of_its_user_alone() {
        let mount = parse(b"3 1 0:41 / /srv/app rw - fuse.zip z rw,user_id=1000,group_id=2").remove(0);
        let known = Known { commands: "exec fuse-zip a.zip '/srv/app/'\nsleep 9".into(), ..Known::default() };
        let is_served = |user, minor| {
            let pidfd = liege_sys::pidfd::open(own_pid()).unwrap();
            let daemon = FuseDaemon {
                pid: 7,
                pidfd,
                started: 1,
                name: String::new(),
                minors: vec![minor],
                saves: true,
                had_handler: true,
                asked: false,
                user,
            };
            known.is_served(&daemon, &mount)
        };
        assert!(is_served(1000, Some(41)) && is_served(1000, None));
        assert!(!is_served(1000, Some(42)), "another connection");
        assert!(!is_served(0, Some(41)) && !is_served(0, None), "another user");
    }

    #[test]
    fn a_command_names_a_whole_path() {
        for text in ["fuse-zip a /app", "fuse-zip a /app/", "M='/app' x", "mount=/app;x", "/app"] {
            assert!(names(text, "/app"), "{text}");
        }
        for text in ["fuse-zip a /apps", "fuse-zip a /srv/app", "x /app/sub", "x /app.old", ""] {
            assert!(!names(text, "/app"), "{text}");
        }
    }

    #[test]
    fn a_mount_is_the_one_it_was_also_after_a_remount_and_no_other() {
        let mount = |line: &str| parse(line.as_bytes()).remove(0);
        let known = mount("3 1 0:41 / /app rw - fuse.zip z rw,user_id=1,group_id=2");
        let known = Known { mounts: vec![known], ..Known::default() };
        assert!(known.is_ours(&mount("3 1 0:41 / /app ro - fuse.zip z ro,user_id=1,group_id=2")));
        for other in [
            "4 1 0:41 / /app rw - fuse.zip z rw,user_id=1,group_id=2",
            "3 1 0:42 / /app rw - fuse.zip z rw,user_id=1,group_id=2",
            "3 1 0:41 / /app rw - fuse.zip z rw,user_id=3,group_id=2",
            "3 1 0:41 / /hosts rw - fuse.zip z rw,user_id=1,group_id=2",
        ] {
            assert!(!known.is_ours(&mount(other)), "{other}");
        }
    }
}
