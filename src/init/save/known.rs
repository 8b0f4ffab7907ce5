//! The FUSE daemons of the vassal, known from when their mounts came.
//!
//! A daemon whose mount was unmounted closes its device, and may write for a while after that. Nothing tells then that it is one. So its pidfd
//! is held from before. Where the mounts are the host's, the mounts that a process of the vassal serves are remembered as well: one that is
//! dead at the end has no process any more that would tell whose it was.
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

use liege_sys::{caps, mountinfo::Mount, poll::Interest, process::own_pid, processes::Processes};

use super::{FuseDaemon, fuse_daemon, ours};
use crate::{init::Init, mounts::Table, reap::has_ended, rights::PARKED};

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
    /// How many looks are wanted.
    wanted: u32,
    rests_until: Option<Instant>,
}

impl Known {
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

    fn look(&mut self, processes: &Processes, table: &Table, remembers_mounts: bool) {
        let mut served = BTreeSet::new();
        for pid in ours(processes) {
            if pid == own_pid() {
                continue;
            }
            let Some(daemon) = fuse_daemon(processes, pid, table, &BTreeSet::new()) else { continue };
            served.extend(daemon.minors.iter().flatten().copied());
            if let Some(before) = self.daemons.iter_mut().find(|before| before.pid == pid && !has_ended(&before.pidfd)) {
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
                table.own().filter(|mount| served.contains(&mount.device.1) && !self.is_ours(mount)).cloned().collect();
            self.mounts.extend(come);
            self.mounts.truncate(MOST);
        }
        let has_daemon = |minor: u32| served.contains(&minor) || self.daemons.iter().any(|daemon| daemon.serves(minor));
        let needs_one = |mount: &&Mount| remembers_mounts || table.is_writable(mount.device.1) != Some(false);
        if table.own().filter(needs_one).all(|mount| has_daemon(mount.device.1)) {
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
        let start = Instant::now();
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
        if let Some(table) = self.mounts.with_own_fuse()
            && let Ok(processes) = Processes::open()
        {
            self.known.look(&processes, &table, !self.later.own_mounts);
        }
        if let Ok(before) = before {
            let _ = caps::set(&before);
        }
        self.known.rests_until = Some(start + start.elapsed().max(Duration::from_millis(1)) * (REST + 1));
    }
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
