//! The mounts go in their order, each daemon is waited for or asked, and what is left is asked last.
//!
//! [`Init::save`] is the whole of it. Where init has too few descriptors to hold all daemons at once it does so in rounds: those that have saved
//! give theirs back. What could not be looked at in any round is a loss.
//!
//! Races: what has just let go of a mount may keep it busy for a moment (a loop device closes its image when its own mount has gone). A
//! connection that is found alive may end before its daemon is asked: it is asked only while it has its handler for TERM.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use liege_plan::{Fate, Loss};
use liege_sys::{Errno, fusectl::Connections, mountinfo::Mount, process, processes::Processes};

use super::{
    FuseDaemon, LOOK_AGAIN, printable, soft,
    targets::{Stuck, Target},
};
use crate::{
    clock,
    init::{End, Init},
    mounts::Table,
};

/// How long one of several unknown daemons is given to be the one whose mount went, and what was unmounted to let go of what it used.
const PERHAPS: Duration = Duration::from_millis(500);
/// How long what uses a FUSE mount may take to go beside a mount that hangs: perhaps it uses that one.
const BESIDE_HUNG: Duration = Duration::from_secs(1);

impl Init {
    /// The mounts, then whoever is left.
    ///
    /// # Errors
    /// The host's end.
    pub(super) fn save(&mut self, until: Instant) -> Result<(), End> {
        loop {
            self.find_fuse_daemons();
            let (found, unseen) = (self.saving.savers().count(), self.saving.unseen);
            if let Some(why) = unseen.filter(|_| found == 0 || clock::now() >= until) {
                self.tell_unseen(why);
                // Where they outlive the vassal they go all the same.
                return if self.later.own_mounts { Ok(()) } else { self.save_those_found(until) };
            }
            self.save_those_found(until)?;
            if unseen.is_none() {
                return Ok(());
            }
        }
    }

    /// Init could not look for the daemons of mounts that were written to, nor for one whose mount went before the end.
    fn tell_unseen(&mut self, why: Errno) {
        let table = self.mounts.with_own_fuse();
        let mounts = table.iter().flat_map(|table| table.own().filter(|mount| table.is_writable(mount.device.1) != Some(false)));
        let is_unseen = |minor: u32| !self.saving.hung.contains(&minor) && !self.saving.is_saved(minor);
        // On the host there may be mounts of others.
        let (ours, others): (Vec<_>, Vec<_>) = mounts
            .filter(|mount| is_unseen(mount.device.1))
            .partition(|mount| self.later.own_mounts || self.known.is_ours(mount));
        let what = |mount: &&Mount| format!("the daemon of {}", printable(&mount.mount_point.to_string_lossy()));
        let mut lost: Vec<String> = ours.iter().map(what).collect();
        if lost.is_empty() && !(others.is_empty() && self.known.is_empty()) {
            lost.push("a FUSE daemon, if there is one".into());
        }
        self.saving.lost.extend(lost.into_iter().map(|what| Loss { what, how: Fate::Unseen(why as i32) }));
    }

    fn save_those_found(&mut self, until: Instant) -> Result<(), End> {
        let outlive_us = |init: &mut Self| init.mounts.with_own_fuse().is_some_and(|table| !init.targets(&table).is_empty());
        if self.saving.savers().next().is_none() && (self.later.own_mounts || !outlive_us(self)) {
            return Ok(());
        }
        let leave = || if std::env::set_current_dir("/").is_ok() { 0 } else { 1 };
        let child = process::fork_in_place(&self.one_thread, leave); // ours: a directory in a mount keeps it busy
        self.await_child(child, until)?;
        self.await_exits(until)?;
        let table = self.mounts.with_own_fuse();
        let root = table.iter().flat_map(Table::own).find(|mount| mount.mount_point == "/").map(|mount| mount.device.1);
        if let Some(table) = &table {
            self.find_images(table, until)?;
        }
        let targets = table.map(|table| self.targets(&table)).unwrap_or_default();
        let (mut has_cleared, mut freed) = (false, self.unmounted_before(&targets));
        let mut lets_go_until = clock::now();
        // Those that no unmount has come to, and what they stand on: busy, or the reason.
        let (mut stuck, mut below_stuck) = (Vec::new(), BTreeSet::new());
        for (n, target) in targets.iter().enumerate() {
            let is_below = below_stuck.contains(&target.id);
            if is_below {
                below_stuck.insert(target.parent);
            }
            let saves = target.minor.is_none_or(|minor| self.saving.is_saved(minor));
            let Some(minor) = target.minor else {
                has_cleared |= self.unmount_user(target, has_cleared, is_below, until)?;
                lets_go_until = clock::now() + PERHAPS;
                continue;
            };
            // One behind a mount that hangs can be reached where the kernel remembers the way. The first that cannot tells of all.
            if is_below || !target.is_reachable && !stuck.is_empty() {
                stuck.push(target);
                below_stuck.insert(target.parent);
                continue;
            }
            // Nobody else needs the time, and nothing else has it save.
            let has_all_time = self.saving.savers().all(|daemon| daemon.may_serve(minor) && !daemon.had_handler);
            let patience = match target.is_reachable {
                true if has_all_time => until,
                true => soft(until),
                false => soft(until).min(clock::now() + BESIDE_HUNG),
            };
            let mut answer = match self.unmount_unless_stuck(target, patience, until)? {
                Ok(errno) => Some(errno),
                Err(Stuck::OnTheWay) => {
                    stuck.push(target);
                    below_stuck.insert(target.parent);
                    continue; // its daemon is asked in the end
                }
                Err(Stuck::WritingBack) => {
                    freed.insert(minor);
                    continue; // and this one is not: it is waited for
                }
            };
            while answer == Some(Errno::EBUSY as i32) && clock::now() < lets_go_until.min(until) {
                self.wait_while(lets_go_until.min(clock::now() + LOOK_AGAIN), |_| true)?;
                answer = self.unmount(target, false, until)?;
            }
            if answer != Some(0) && saves && !std::mem::replace(&mut has_cleared, true) {
                self.end_leftovers(until)?;
                answer = self.unmount(target, false, until)?;
            }
            if !saves {
                if answer != Some(0) {
                    self.unmount(target, true, until)?; // nothing is written back, and nothing waits for it
                }
                continue;
            }
            let is_last = !targets[n + 1..].iter().any(|other| other.minor == Some(minor));
            if answer == Some(0) && !is_last {
                continue;
            }
            if answer == Some(0) && !is_alive(minor) {
                freed.insert(minor);
                self.wait_while(soft(until), |saving| saving.savers().any(|daemon| daemon.serves(minor)))?;
                self.perhaps_it_was_that(minor, until)?;
            } else if self.ask(until, |daemon| daemon.serves(minor))? > 0 {
                if is_last {
                    self.wait_while(soft(until), |saving| saving.savers().any(|daemon| daemon.serves(minor)))?;
                }
            } else if answer != Some(0) {
                self.unmount(target, true, until)?;
            }
        }
        self.ask_the_rest(&freed, root, has_cleared, until)?;
        // Without a handler for TERM nothing but an unmount has it save.
        for target in stuck {
            let is_unasked = |daemon: &FuseDaemon| !daemon.asked && target.minor.is_some_and(|minor| daemon.may_serve(minor));
            if self.saving.savers().any(is_unasked) {
                self.unmount(target, false, soft(until))?;
            }
        }
        self.wait_while(until, |saving| saving.savers().next().is_some())?;
        let left: Vec<Loss> = self.saving.savers().map(|daemon| Loss::out_of_time(&daemon.name)).collect();
        self.saving.lost.extend(left);
        Ok(())
    }

    /// Those that still have a mount: the root, one that was detached before, one of a kernel that does not say whose it is.
    fn ask_the_rest(&mut self, freed: &BTreeSet<u32>, root: Option<u32>, has_cleared: bool, until: Instant) -> Result<(), End> {
        let stands = |daemon: &FuseDaemon| daemon.minors.iter().any(|minor| minor.is_none_or(|minor| !freed.contains(&minor)));
        self.wait_while(soft(until), |saving| saving.savers().any(|daemon| !stands(daemon)))?;
        // Nothing the app has left behind keeps the root from being asked.
        let is_held = |daemon: &FuseDaemon| stands(daemon) && !root.is_some_and(|root| daemon.serves(root));
        if !has_cleared && self.saving.savers().any(is_held) {
            self.wait_while(clock::now() + PERHAPS, |saving| saving.savers().any(is_held))?;
            self.end_leftovers(until)?;
        }
        // The youngest first: an older one may serve what it writes back to.
        let mut rest: Vec<_> =
            self.saving.savers().filter(|daemon| stands(daemon)).map(|daemon| (daemon.started, daemon.pid)).collect();
        rest.sort_unstable_by(|one, other| other.cmp(one));
        for (_, pid) in rest {
            if self.ask(until, |daemon| daemon.pid == pid)? > 0 {
                self.wait_while(soft(until), |saving| saving.savers().any(|daemon| daemon.pid == pid))?;
            }
        }
        Ok(())
    }

    /// What uses a FUSE mount, or stands on one. Where it is busy it is flushed; one that does not come back is given up, and the others have
    /// their time. Whether what the app has left behind was ended for it. `is_below`: no unmount comes to what stands on it.
    fn unmount_user(&mut self, target: &Target, has_cleared: bool, is_below: bool, until: Instant) -> Result<bool, End> {
        let may_use_hung = is_below || !self.saving.hung.is_empty();
        let most = if may_use_hung { until.min(clock::now() + BESIDE_HUNG) } else { soft(until) };
        let mut answer = self.unmount(target, false, most)?;
        let clears = !has_cleared && answer.is_some_and(|errno| errno != 0);
        if clears {
            self.end_leftovers(until)?;
            answer = self.unmount(target, false, most)?;
        }
        let is_flushed = match answer {
            Some(0) => true,
            Some(_) => self.flush(target, most)? == Some(0),
            None => false,
        };
        if !is_flushed {
            self.saving.lost.push(Loss::out_of_time(format!("what was written to {}", target.name())));
        }
        Ok(clears)
    }

    /// Where the kernel does not say which daemon a mount had: one that leaves now is waited for, because it may write back to a mount
    /// that goes next.
    fn perhaps_it_was_that(&mut self, minor: u32, until: Instant) -> Result<(), End> {
        if self.saving.is_ours(minor).is_some() {
            return Ok(());
        }
        let before = self.saving.savers().count();
        let (perhaps, most) = (clock::now() + PERHAPS, soft(until));
        loop {
            self.wait_while(most.min(clock::now() + LOOK_AGAIN), |saving| saving.savers().count() == before)?;
            let now = clock::now();
            if self.saving.savers().count() < before || now >= most || now >= perhaps && !self.is_one_leaving() {
                return Ok(());
            }
        }
    }

    /// The connections of daemons that have no mount any more, here or elsewhere: a TERM would come in the middle of their saving.
    fn unmounted_before(&self, targets: &[Target]) -> BTreeSet<u32> {
        let Ok(connections) = Connections::open() else { return BTreeSet::new() };
        let minors = self.saving.savers().flat_map(|daemon| daemon.minors.iter().flatten().copied());
        let stands =
            |minor: &u32| connections.identity(*minor).is_some() || targets.iter().any(|target| target.minor == Some(*minor));
        minors.filter(|minor| !stands(minor)).collect()
    }

    /// Whether a daemon has let go of its device, or of its handlers.
    fn is_one_leaving(&self) -> bool {
        let Ok(processes) = Processes::open() else { return false };
        let has_handler = |pid| processes.look(pid).is_some_and(|seen| seen.catches_term);
        self.saving.savers().any(|daemon| {
            !daemon.minors.is_empty() && processes.fuse(daemon.pid).is_empty()
                || daemon.had_handler && !daemon.asked && !has_handler(daemon.pid)
        })
    }
}

/// Whether a connection lives though its mount went: another namespace has a copy of it, or a mount that stays lies on it. Where the kernel
/// shows none it does not.
fn is_alive(minor: u32) -> bool {
    Connections::open().is_ok_and(|connections| connections.identity(minor).is_some())
}
