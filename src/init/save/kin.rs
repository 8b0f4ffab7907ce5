//! Which processes belong together: who has started what, and which ones stand around the daemon of a mount.
//!
//! Calls in their order: [`Kin::of`] at the moment of a decision, then any question. It is history at once: a parent that ends meanwhile leaves
//! its child to init, as the next look shows.
//!
//! A process belongs to what it descends from, to the leader of its session and to that of its group. Only one that has left all of them (its
//! parent has ended, and it has made a session of its own) stands for itself.

use std::collections::{BTreeMap, BTreeSet};

use liege_sys::{
    caps, pidfd,
    process::own_pid,
    processes::{Process, Processes},
    signals::SIGSTOP,
};

use super::leftovers::living;
use crate::{init::Init, rights::PARKED};

/// All processes below init at one moment.
#[derive(Debug)]
pub(super) struct Kin {
    seen: BTreeMap<i32, Process>,
    /// When the oldest one of each and those above it was started.
    oldest: BTreeMap<i32, u64>,
}

impl Kin {
    pub(super) fn of(processes: &Processes) -> Self {
        let below = processes.below(own_pid()).into_iter();
        Self::new(below.filter_map(|pid| Some((pid, processes.look(pid)?))).collect())
    }

    /// One walk for all: a tenant may have thousands, each the child of the one before.
    fn new(seen: BTreeMap<i32, Process>) -> Self {
        let mut oldest: BTreeMap<i32, u64> = BTreeMap::new();
        for (&pid, process) in &seen {
            let (mut way, mut next) = (Vec::new(), Some((pid, process)));
            while let Some((pid, process)) = next.filter(|(pid, _)| !oldest.contains_key(pid)) {
                oldest.insert(pid, process.started); // at once: numbers are used again, so the way up may lead in a circle
                way.push(pid);
                next = seen.get_key_value(&process.parent).map(|(&pid, process)| (pid, process));
            }
            let mut above = next.and_then(|(pid, _)| oldest.get(&pid).copied()).unwrap_or(u64::MAX);
            for pid in way.into_iter().rev() {
                let of_it = oldest.entry(pid).or_insert(above);
                above = above.min(*of_it);
                *of_it = above;
            }
        }
        Self { seen, oldest }
    }

    fn parent(&self, pid: i32) -> Option<i32> {
        self.seen.get(&pid).map(|seen| seen.parent).filter(|parent| self.seen.contains_key(parent))
    }

    /// When the oldest one that a process belongs to was started.
    pub(super) fn since(&self, pid: i32, seen: &Process) -> u64 {
        let oldest = [pid, seen.parent, seen.session, seen.group].map(|pid| self.oldest.get(&pid).copied());
        oldest.into_iter().flatten().fold(seen.started, u64::min)
    }

    /// Those above these, without them.
    pub(super) fn above(&self, pids: &BTreeSet<i32>) -> BTreeSet<i32> {
        let mut above = BTreeSet::new();
        for &pid in pids {
            let mut next = self.parent(pid);
            while let Some(pid) = next.filter(|&pid| above.insert(pid)) {
                next = self.parent(pid);
            }
        }
        &above - pids
    }

    /// These, and those below them.
    fn with_those_below(&self, pids: &BTreeSet<i32>) -> BTreeSet<i32> {
        let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        self.seen.iter().for_each(|(&pid, seen)| children.entry(seen.parent).or_default().push(pid));
        let (mut found, mut next) = (BTreeSet::new(), pids.iter().copied().collect::<Vec<_>>());
        while let Some(pid) = next.pop() {
            if found.insert(pid) {
                next.extend(children.get(&pid).into_iter().flatten());
            }
        }
        found
    }

    /// These daemons of mounts, what stands above them or in their sessions, and what they have started.
    pub(super) fn around(&self, daemons: &BTreeSet<i32>) -> BTreeSet<i32> {
        let sessions: BTreeSet<i32> = daemons.iter().filter_map(|pid| Some(self.seen.get(pid)?.session)).collect();
        let beside = self.seen.iter().filter(|(_, seen)| sessions.contains(&seen.session)).map(|(&pid, _)| pid);
        let mut around = self.with_those_below(daemons);
        around.extend(beside);
        around.extend(self.above(daemons));
        around
    }

    /// Those among these that live, and when the youngest was started.
    pub(super) fn youngest(&self, pids: &BTreeSet<i32>) -> Option<u64> {
        pids.iter().filter_map(|pid| Some(self.seen.get(pid)?.started)).max()
    }
}

impl Init {
    /// The daemons of mounts and what stands around them. A signal to one of these may end a daemon before it has saved.
    pub(crate) fn around_mounts(&self) -> BTreeSet<i32> {
        if self.saving.fuse.is_empty() {
            return BTreeSet::new();
        }
        let _ = caps::raise(PARKED);
        let daemons = self.saving.daemons();
        Processes::open().map_or_else(|_| daemons.clone(), |processes| Kin::of(&processes).around(&daemons))
    }

    /// A loop around the daemon of a mount would start it anew when it ends, and that one would mount again. So what stands above a daemon is
    /// stopped while the mounts go. It is asked to end before it goes on, so nothing is started between. Not stopped is what the daemon
    /// might wait for: one that reads what others write, and one that traces it.
    pub(super) fn stop_starters(&self) {
        if self.saving.fuse.is_empty() {
            return;
        }
        let Ok(processes) = Processes::open() else { return };
        let daemons = self.saving.daemons();
        let tracers: BTreeSet<i32> = daemons.iter().filter_map(|&pid| Some(processes.look(pid)?.tracer)).collect();
        let above = Kin::of(&processes).above(&daemons);
        for one in living(&processes, above.into_iter().collect()) {
            if !tracers.contains(&one.pid) && processes.fuse(one.pid).is_empty() && !processes.reads_from_others(one.pid) {
                let _ = pidfd::signal(&one.pidfd, SIGSTOP);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(pid, parent, session, started)`; each leads a group of its own.
    fn kin(processes: &[(i32, i32, i32, u64)]) -> Kin {
        let seen = |&(pid, parent, session, started): &(i32, i32, i32, u64)| {
            let (name, is_stopped, worked, catches_term, tracer, user) = (String::new(), false, 0, false, 0, 0);
            (pid, Process { parent, group: pid, session, started, name, is_stopped, worked, catches_term, tracer, user })
        };
        Kin::new(processes.iter().map(seen).collect())
    }

    fn since(kin: &Kin, pid: i32) -> u64 {
        kin.since(pid, &kin.seen[&pid])
    }

    #[test]
    fn what_an_older_one_has_started_is_as_old_and_one_that_has_left_it_is_not() {
        // A keeper, its server, the child of a connection, one whose parent has ended, one in a session of its own.
        let kin = kin(&[(10, 1, 10, 5), (20, 10, 10, 50), (21, 20, 21, 60), (22, 1, 10, 61), (23, 1, 23, 62)]);
        assert_eq!([10, 20, 21, 22, 23].map(|pid| since(&kin, pid)), [5, 5, 5, 5, 62]);
    }

    #[test]
    fn one_that_came_after_the_look_is_as_old_as_its_parent() {
        let kin = kin(&[(10, 1, 10, 5)]);
        let seen = Process { parent: 10, session: 30, started: 70, ..kin.seen[&10].clone() };
        assert_eq!(kin.since(30, &seen), 5);
    }

    #[test]
    fn around_a_daemon_is_what_is_above_it_below_it_and_in_its_session() {
        // A supervisor, its shell, the daemon, a tee beside it, what the daemon has started; and a neighbour with its child.
        let kin = kin(&[
            (10, 1, 10, 1),
            (11, 10, 11, 2),
            (12, 11, 11, 3),
            (13, 1, 11, 3),
            (14, 12, 14, 4),
            (20, 1, 20, 1),
            (21, 20, 20, 2),
        ]);
        let daemons = BTreeSet::from([12]);
        assert_eq!(kin.above(&daemons), BTreeSet::from([10, 11]));
        assert_eq!(kin.around(&daemons), BTreeSet::from([10, 11, 12, 13, 14]));
    }

    #[test]
    fn a_circle_has_an_end() {
        let kin = kin(&[(10, 11, 10, 5), (11, 10, 10, 4)]);
        assert_eq!(since(&kin, 10), 4);
    }
}
