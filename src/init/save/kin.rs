//! Which processes belong together: what has started what.
//!
//! Calls in their order: [`Kin::of`] at the moment of a decision, then any question. It is history at once: a parent that ends meanwhile leaves
//! its child to init, as the next look shows.
//!
//! A process belongs to what it descends from, to the leader of its session and to that of its group. Only one that has left all of them (its
//! parent has ended, and it has made a session of its own) stands for itself.

use std::collections::{BTreeMap, BTreeSet};

use liege_sys::{
    process::own_pid,
    processes::{Process, Processes},
};

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

    /// When the oldest one that a process belongs to was started.
    pub(super) fn since(&self, pid: i32, seen: &Process) -> u64 {
        let oldest = [pid, seen.parent, seen.session, seen.group].map(|pid| self.oldest.get(&pid).copied());
        oldest.into_iter().flatten().fold(seen.started, u64::min)
    }

    /// Those among these that live, and when the youngest was started.
    pub(super) fn youngest(&self, pids: &BTreeSet<i32>) -> Option<u64> {
        pids.iter().filter_map(|pid| Some(self.seen.get(pid)?.started)).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(pid, parent, session, started)`; each leads a group of its own.
    fn kin(processes: &[(i32, i32, i32, u64)]) -> Kin {
        let seen = |&(pid, parent, session, started): &(i32, i32, i32, u64)| {
            let (name, is_stopped, worked, catches_term, user) = (String::new(), false, 0, false, 0);
            (pid, Process { parent, group: pid, session, started, name, is_stopped, worked, catches_term, user })
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
    fn a_circle_has_an_end() {
        let kin = kin(&[(10, 11, 10, 5), (11, 10, 10, 4)]);
        assert_eq!(since(&kin, 10), 4);
    }
}
