//! The FUSE connections a clone is born with: none of them is ever its own, so none is ever ended with it.
//!
//! A clone that has done nothing yet has its host's mounts. Its own list says which; reading it costs 43 µs where the host has ten mounts and
//! 1.2 ms where it has a thousand. So it is read once, and again when the host's table has changed: a list that was read while the table
//! stood still is the list of every clone made while it still stands. To ask whether it does costs 0.4 µs.
//!
//! The race, and why it is none: whoever is born asks before the clone where the table stands, and again after it. Only when nothing moved in
//! between, and nothing since the known list was read, is that list taken; else the clone's own is read.
//!
//! The number of a connection is used again when it has ended, by a mount of the vassal's perhaps. So each is given what else it is called, for
//! which the control file system is kept open. Nothing can go wrong between the two: a clone that has done nothing has no connection of
//! its own yet, so whatever has the number is not.

use std::{
    fs::File,
    os::fd::AsFd,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use liege_sys::{
    fusectl::Connections,
    poll::{Interest, poll},
};

use crate::prober::Inherited as Connection;

/// The host's mount table, and what of it is known.
#[derive(Debug)]
pub(crate) struct Inherited {
    /// None: there is no `/proc`, so every list is read.
    table: Option<File>,
    connections: Connections,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    changes: u64,
    /// The list, and the changes before it was read.
    list: Option<(u64, Vec<Connection>)>,
}

/// Where the table stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment(u64);

impl Inherited {
    /// From now on.
    pub(crate) fn watched() -> Self {
        let connections = Connections::open().unwrap_or_else(|_| Connections::none()); // the prober says so
        Self { table: File::open("/proc/thread-self/mountinfo").ok(), connections, known: Mutex::default() }
    }

    /// To be asked before the clone.
    pub(crate) fn moment(&self) -> Moment {
        Moment(self.now().changes)
    }

    /// The connections of a clone made after `before` that has done nothing yet; `read` reads their minors from its own list. One whose list cannot be
    /// read is gone, and says nothing about others.
    pub(crate) fn of(&self, before: Moment, read: impl FnOnce() -> Option<Vec<u32>>) -> Vec<Connection> {
        let known = self.now();
        match &known.list {
            Some((when, list)) if known.changes == before.0 && *when == before.0 => return list.clone(),
            Some(_) | None => drop(known),
        }
        let Some(minors) = read() else { return Vec::new() };
        let identified = |minor| Connection { minor, identity: self.connections.identity(minor) };
        let list: Vec<_> = minors.into_iter().map(identified).collect();
        let mut known = self.now();
        if self.table.is_some() && known.changes == before.0 {
            known.list = Some((before.0, list.clone()));
        }
        list
    }

    /// What is known, with the changes up to now counted. The kernel tells each once, so whoever hears of one counts it for all.
    fn now(&self) -> MutexGuard<'_, Known> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let stood_still = self.table.as_ref().is_some_and(|table| {
            let still = poll(&[Interest::changed(table.as_fd())], Some(Duration::ZERO));
            still.is_ok_and(|changed| changed == [false])
        });
        if !stood_still {
            known.changes += 1;
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use nix::{
        mount::{MsFlags, mount},
        sched::{CloneFlags, unshare},
    };

    use super::*;

    fn in_a_namespace(test: impl FnOnce() + Send) {
        std::thread::scope(|scope| {
            let told = scope.spawn(|| {
                let none: Option<&str> = None;
                unshare(CloneFlags::CLONE_NEWNS).unwrap();
                mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
                test();
            });
            told.join().unwrap();
        });
    }

    /// No connection ever has such a number.
    fn list(minor: u32) -> Vec<Connection> {
        vec![Connection { minor, identity: None }]
    }

    fn changes() {
        mount(Some("none"), "/tmp", Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
    }

    #[test]
    fn a_list_is_read_once_as_long_as_the_table_stands() {
        in_a_namespace(|| {
            let (inherited, reads) = (Inherited::watched(), Cell::new(0));
            let born = |minor: u32| {
                let read = || {
                    reads.set(reads.get() + 1);
                    Some(vec![minor])
                };
                inherited.of(inherited.moment(), read)
            };
            assert_eq!((born(1), born(2), reads.get()), (list(1), list(1), 1));
            changes();
            assert!(inherited.of(inherited.moment(), || None).is_empty(), "it died at once");
            assert_eq!((born(3), born(4), reads.get()), (list(3), list(3), 2));
        });
    }

    #[test]
    fn who_is_born_while_the_table_changes_is_asked_himself_and_speaks_for_nobody_else() {
        in_a_namespace(|| {
            let inherited = Inherited::watched();
            assert_eq!(inherited.of(inherited.moment(), || Some(vec![1])), list(1));
            let before = inherited.moment();
            changes();
            assert_eq!(inherited.of(before, || Some(vec![2])), list(2), "the table changed between its clone and this");
            assert_eq!(inherited.of(inherited.moment(), || Some(vec![3])), list(3), "what the last one had is perhaps no more");
            // Another birth that heard of the change does not hide it from one that began before.
            let before = inherited.moment();
            changes();
            assert_eq!(inherited.of(inherited.moment(), || Some(vec![4])), list(4));
            assert_eq!(inherited.of(before, || Some(vec![5])), list(5));
            assert_eq!(inherited.of(inherited.moment(), || Some(vec![6])), list(4), "known");
        });
    }

    #[test]
    fn where_there_is_no_table_every_list_is_read() {
        let inherited = Inherited { table: None, connections: Connections::none(), known: Mutex::default() };
        assert_eq!(inherited.of(inherited.moment(), || Some(vec![1])), list(1));
        assert_eq!(inherited.of(inherited.moment(), || Some(vec![2])), list(2));
    }
}
