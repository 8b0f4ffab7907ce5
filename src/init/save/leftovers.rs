//! Processes of the vassal that serve no mount, asked to end and waited for: what a uwsgi has left behind, what keeps a mount busy, the step
//! under way, what hooks and the app have left running.
//!
//! Never a FUSE daemon: that one ends when its mount is unmounted.

use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use liege_plan::Loss;
use liege_sys::{
    caps,
    descendants::kill,
    pidfd,
    process::own_pid,
    processes::{Process, Processes},
    signals::{SIGCONT, SIGKILL, SIGTERM},
};

use super::{LOOK_AGAIN, Other, kin::Kin, ours, soft};
use crate::{
    clock,
    init::{End, Init},
    reap::{has_ended, is_of_this_vassal},
    rights::PARKED,
    walk::end_group,
};

/// How long what the app left behind may take after a TERM, and after a KILL.
const LEFTOVERS: Duration = Duration::from_secs(1);
/// A mount that a step waits for hangs when it has not answered for so long and its daemon does nothing.
const UNANSWERED: Duration = Duration::from_secs(4);

/// A process that is held, and lived when it had been looked at.
#[derive(Debug)]
pub(super) struct Living {
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
    seen: Process,
}

/// Those of these processes that live and are still the vassal's: a number may have become another process's before it was held.
pub(super) fn living(processes: &Processes, pids: Vec<i32>) -> impl Iterator<Item = Living> {
    let held = pids.into_iter().filter_map(|pid| Some(Living { pid, pidfd: pidfd::open(pid).ok()?, seen: processes.look(pid)? }));
    held.filter(|one| is_of_this_vassal(one.pid) && !has_ended(&one.pidfd))
}

/// What `-o auto_unmount` keeps beside a FUSE daemon: a fusermount, in a session of its own, that blocks all signals and ends when the daemon
/// does. It has nothing to save.
fn is_helper(seen: &Process) -> bool {
    matches!(seen.name.as_str(), "fusermount" | "fusermount3")
}

impl Living {
    /// To be waited for, and told.
    fn named(self) -> Other {
        Other { pid: self.pid, name: Some(format!("{} (pid {})", self.seen.name, self.pid)), pidfd: self.pidfd }
    }
}

impl Init {
    /// Those a uwsgi has left behind.
    pub(super) fn end_smart_daemons(&mut self, until: Instant) -> Result<(), End> {
        let smart = self.app.as_ref().map(|app| app.smart_daemons().to_vec()).unwrap_or_default();
        if smart.is_empty() {
            return Ok(());
        }
        let _ = caps::raise(PARKED);
        let around = self.around_mounts();
        for daemon in smart {
            let Some((pid, pidfd)) = self.smart_daemon(&daemon.pidfile, until)? else { continue };
            let Some(seen) = Processes::open().ok().and_then(|processes| processes.look(pid)) else { continue };
            if around.contains(&pid) || seen.session == own_pid() {
                continue; // it ends after its mount; or the file is old, and the number another process's by now
            }
            // Its group first: a shell that leads it and waits for it would end of the signal and tell it nothing.
            if seen.group == pid {
                self.find_groups(&[pid]);
                let _ = kill(-pid, daemon.stop_signal);
            } else {
                let _ = pidfd::signal(&pidfd, daemon.stop_signal);
                self.saving.wait_for(Living { pid, pidfd, seen }.named());
            }
        }
        self.await_others(until)
    }

    /// Those of a group that was asked to end: its leader may be a shell that ends before them.
    pub(super) fn find_groups(&mut self, leaders: &[i32]) {
        let Ok(processes) = Processes::open() else { return };
        let serves = |pid| self.saving.fuse.iter().any(|daemon| daemon.pid == pid);
        let found = living(&processes, ours(&processes)).filter(|one| leaders.contains(&one.seen.group) && !serves(one.pid));
        let found: Vec<Other> = found.map(Living::named).collect();
        found.into_iter().for_each(|other| self.saving.wait_for(other));
    }

    /// Waits for the others; kills those that take too long, which is a loss.
    pub(super) fn await_others(&mut self, until: Instant) -> Result<(), End> {
        self.wait_while(until, |saving| !saving.others.is_empty())?;
        for other in std::mem::take(&mut self.saving.others) {
            let _ = pidfd::signal(&other.pidfd, SIGKILL);
            self.saving.awaited.remove(&other.pid);
            self.saving.lost.extend(other.name.map(Loss::out_of_time));
        }
        Ok(())
    }

    /// What hooks and the app have left running is asked to end, and has its time: it may be a database. What serves a FUSE mount is not
    /// meant. Before the mounts go, neither is what stands around their daemons, nor what was started before the last of them, because a daemon
    /// may write back through it; what such a process has started since belongs to it. Whether any are left for later.
    pub(super) fn end_what_is_left(&mut self, mounts_stand: bool, until: Instant) -> Result<bool, End> {
        let _ = caps::raise(PARKED);
        let Ok(processes) = Processes::open() else { return Ok(false) };
        // Not a visitor, which no process in here has started: its shell heeds no TERM, and must not be waited for.
        // Nor what was killed with its group and is not reaped yet: an app, a step, a daemon.
        let app = self.app.as_ref().filter(|app| app.ended.is_none()).map(|app| app.pid);
        let killed = [app, self.job.filter(|job| job.ended.is_none()).map(|job| job.pid)];
        let is_over = |one: &Living| {
            let is_killed = killed.iter().flatten().any(|pid| [one.pid, one.seen.group].contains(pid));
            is_killed || self.saving.was_killed(one.pid, &one.seen)
        };
        let all = living(&processes, processes.below(own_pid())).filter(|one| one.seen.group != own_pid() && !is_over(one));
        let all: Vec<Living> = all.filter(|one| !is_helper(&one.seen)).collect();
        let kin = Kin::of(&processes);
        let mut daemons = self.saving.daemons();
        daemons.extend(all.iter().map(|one| one.pid).filter(|&pid| !processes.fuse(pid).is_empty()));
        let around = if mounts_stand { kin.around(&daemons) } else { daemons.clone() };
        let youngest = kin.youngest(&daemons).filter(|_| mounts_stand);
        let since = youngest.map_or(0, |youngest| self.app.as_ref().map_or(youngest, |app| app.born.min(youngest)));
        let is_meant = |one: &Living| !around.contains(&one.pid) && kin.since(one.pid, &one.seen) >= since;
        let (meant, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(is_meant);
        for one in &meant {
            let signal = self.daemons.stop_signal_in(one.seen.session).unwrap_or(SIGTERM);
            let _ = pidfd::signal(&one.pidfd, signal);
            let _ = pidfd::signal(&one.pidfd, SIGCONT); // one that is stopped hears it then
        }
        meant.into_iter().for_each(|one| self.saving.wait_for(one.named()));
        // One that does not heed it leaves the mounts their time. Beside a mount that hangs they may be beyond any signal.
        let until = if self.saving.hung.is_empty() { soft(until) } else { clock::now() + LEFTOVERS };
        self.await_others(until)?;
        Ok(!rest.is_empty())
    }

    /// Ends what the app has left behind, because it keeps a mount busy.
    pub(super) fn end_leftovers(&mut self, until: Instant) -> Result<(), End> {
        let Some(born) = self.app.as_ref().map(|app| app.born) else { return Ok(()) };
        let attached = self.daemons.sessions();
        let above = Processes::open().map(|processes| Kin::of(&processes).above(&self.saving.daemons())).unwrap_or_default();
        let is_left = |kin: &Kin, pid: i32, seen: &Process| {
            let is_of_app = !attached.contains(&seen.session) && seen.session != own_pid() && kin.since(pid, seen) >= born;
            is_of_app && !above.contains(&pid)
        };
        self.end_others(until, is_left).map(drop)
    }

    /// The end, or another way to go on, was asked for while a step is under way: the step ends, and with it its group. A FUSE daemon
    /// in the group ends when its mount is unmounted.
    ///
    /// # Errors
    /// The host's end.
    pub(crate) fn end_step(&mut self, leader: i32) -> Result<(), End> {
        let _ = caps::raise(PARKED);
        self.find_fuse_daemons();
        // It may not have made its group yet.
        let is_of_step = |_: &Kin, pid: i32, seen: &Process| pid == leader || seen.group == leader;
        let begun = clock::now();
        if Processes::open().is_err() {
            end_group(leader);
            return Ok(());
        }
        let mut idle = self.idle(None);
        self.saving.is_stuck = !self.end_others(begun + 2 * LEFTOVERS, is_of_step)?;
        loop {
            idle = self.idle(Some(&idle));
            let is_over = clock::now() >= begun + UNANSWERED;
            self.give_up_on(idle.iter().filter(|daemon| daemon.is_stopped || is_over));
            if is_over || !idle.iter().any(|daemon| !daemon.is_stopped) {
                return Ok(());
            }
            self.wait_while(clock::now() + LOOK_AGAIN, |_| true)?;
        }
    }

    /// TERM to those that are meant and serve no FUSE mount, then KILL. Whether all of them have ended.
    fn end_others(&mut self, until: Instant, is_meant: impl Fn(&Kin, i32, &Process) -> bool) -> Result<bool, End> {
        for signal in [SIGTERM, SIGKILL] {
            // Anew for the KILL: they may have forked meanwhile.
            let Ok(processes) = Processes::open() else { return Ok(true) };
            let kin = Kin::of(&processes);
            let is_needed = |pid| pid == own_pid() || self.saving.fuse.iter().any(|daemon| daemon.pid == pid);
            let meant =
                living(&processes, ours(&processes)).filter(|one| !is_needed(one.pid) && is_meant(&kin, one.pid, &one.seen));
            let meant: Vec<Other> = meant.map(|one| Other { pid: one.pid, name: None, pidfd: one.pidfd }).collect();
            meant.iter().for_each(|other| _ = pidfd::signal(&other.pidfd, signal));
            self.saving.others = meant;
            self.wait_while(until.min(clock::now() + LEFTOVERS), |saving| !saving.others.is_empty())?;
        }
        Ok(std::mem::take(&mut self.saving.others).is_empty())
    }
}
