//! The emergency exits of the FUSE connections that belong to a life.
//!
//! A process that hangs on a FUSE mount can be beyond SIGKILL; with it hangs its namespace, and with that the vassal's end. Ending
//! the connection frees it. Which connections are whose is the danger: a vassal's mount table shows its host's mounts too, and
//! the number of a connection is used again at once. So:
//! * a connection is the vassal's own when it was not born with it, and its table has it and the host's has not, read in this order:
//!   what the host mounts reaches the vassal after it reached the host. One it was born with is known by more than its number, which a mount
//!   of the vassal's may get when it has ended;
//! * one that the host's table has, because the vassal has no table of its own, is its own where a process of the vassal serves it, and runs as
//!   the user that has mounted: a descriptor tells the number of a connection that has ended, too, which may be a stranger's by then;
//! * the exit is opened, and then the same mount must still stand in the table: so what was opened is the connection that was meant;
//! * nothing is read by a number that may be a stranger's by then (`instance.rs`);
//! * it is kept open until the life is over. By then its number may be anybody's, and writing to it harms nobody.
//!
//! Deliberately not here: mounts of a neighbour (never in this table), and any look at a path.

use std::{
    cell::LazyCell,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use liege_sys::{
    descendants::threads_of,
    fuse_daemon::served_below,
    fusectl::{Abort, Connections},
    mountinfo::{self, Mount},
};

use tokio::sync::mpsc::UnboundedSender;

use super::{
    examine::examine,
    instance::PidNamespace,
    protocol::{FromProber, Instance, ToProber},
    server::EXITS,
};

/// Exits held of one life: a tenant who mounts and detaches without end shall not use up the fds of all.
const MOST_HELD: usize = 256;

/// What is held of a life.
#[derive(Debug, Default)]
struct Held {
    /// None: it has none of its own, or could not be asked any more.
    namespace: Option<PidNamespace>,
    /// By mount id and minor.
    exits: BTreeMap<(u32, u32), Abort>,
    /// Its connections were ended once, and that was not enough.
    was_aborted: bool,
}

/// One life. Its own lock: a tenant may make his mount table so long that reading it takes seconds, and nobody else waits for that.
#[derive(Debug, Default)]
struct Life {
    held: Mutex<Held>,
    /// A look at its table is about to be made, which answers all questions up to this one: one more would see nothing else. 0: none is.
    due: AtomicU64,
}

/// All lives, by birth.
#[derive(Debug)]
pub(super) struct Exits {
    lives: HashMap<u64, Arc<Life>>,
    connections: Arc<Connections>,
    answers: UnboundedSender<FromProber>,
}

impl Exits {
    pub(super) fn new(connections: Arc<Connections>, answers: UnboundedSender<FromProber>) -> Self {
        Self { lives: HashMap::new(), connections, answers }
    }

    /// Begins what is asked, each on a thread of its own.
    pub(super) fn hear(&mut self, request: ToProber) {
        let connections = Arc::clone(&self.connections);
        match request {
            ToProber::Secure { id, of } => {
                let (life, answers) = (self.life(&of), self.answers.clone());
                if life.due.swap(id, Ordering::AcqRel) == 0 {
                    begin(move || {
                        let mut held = life.lock();
                        let id = life.due.swap(0, Ordering::AcqRel); // what changes from now on is another look's
                        held.secure(&of, &connections);
                        drop(answers.send(FromProber::Secured { birth: of.birth, id }));
                    });
                }
            }
            ToProber::Abort(of) => {
                let life = self.life(&of);
                begin(move || life.lock().abort(&of, &connections));
            }
            ToProber::Examine { id, of } => {
                let (life, answers) = (self.life(&of), self.answers.clone());
                begin(move || {
                    let mut held = life.lock();
                    held.secure(&of, &connections);
                    let found = examine(&of, held.namespace.as_ref(), &connections);
                    drop(answers.send(FromProber::Examined { id, found }));
                });
            }
            ToProber::Forget(of) => drop(self.lives.remove(&of.birth)),
            ToProber::Look { .. } | ToProber::Cancel { .. } | ToProber::Ping => {}
        }
    }

    fn life(&mut self, of: &Instance) -> Arc<Life> {
        Arc::clone(self.lives.entry(of.birth).or_default())
    }
}

/// What ends a vassal is done, however long there is no thread for it.
fn begin(call: impl FnOnce() + Send + 'static) {
    tokio::spawn(EXITS.finish(call));
}

impl Life {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Opens the exits of this life that are not held yet. One that is held stays, also when its mount is detached: the connection
    /// may live on, and somebody hang in it.
    fn secure(&mut self, of: &Instance, connections: &Connections) {
        if self.namespace.is_none() {
            self.namespace = PidNamespace::of(of);
        }
        self.exits.retain(|&(_, minor), exit| connections.is_of(minor, exit));
        self.open(of, connections, || of.read(|pid| mountinfo::of(pid).ok()));
    }

    /// Ends all connections of this life: those that are held at once, then those its table still shows. When it is not over after the
    /// first time, whoever is left of it is asked for mounts too: its init may be beyond asking, and others may have mount
    /// namespaces of their own.
    fn abort(&mut self, of: &Instance, connections: &Connections) {
        self.end_held();
        self.secure(of, connections);
        // Nothing is held of a life that said it had something: it was over before anybody looked.
        let looks_further = std::mem::replace(&mut self.was_aborted, true) || self.exits.is_empty();
        if let Some(namespace) = self.namespace.take_if(|_| looks_further) {
            // A process whose first thread has ended is asked through the others: one of them is what holds it.
            for thread in namespace.members().into_iter().flat_map(threads_of) {
                self.open(of, connections, || namespace.read(thread, |thread| mountinfo::of(thread).ok()));
            }
            self.namespace = Some(namespace);
        }
        self.end_held();
    }

    fn end_held(&self) {
        for exit in self.exits.values() {
            exit.now().ok(); // one that has ended is what was wanted
        }
    }

    /// Opens what a mount table shows and is not held yet. Both tables are read again afterwards: what was opened must still be the
    /// same mount, and still nobody else's.
    fn open(&mut self, of: &Instance, connections: &Connections, table: impl Fn() -> Option<Vec<Mount>>) {
        let is_inherited = |minor| of.was_born_with(minor, connections.identity(minor));
        let own_now = || Some(own(table()?, &mountinfo::own().ok()?, is_inherited, served_by(of)));
        let Some(before) = own_now() else { return };
        let room = MOST_HELD.saturating_sub(self.exits.len());
        let opened: Vec<((u32, u32), Abort)> = before
            .iter()
            .map(name)
            .filter(|name| !self.exits.contains_key(name))
            .filter_map(|name| Some((name, connections.abort(name.1).ok()?)))
            .take(room)
            .collect();
        if opened.is_empty() {
            return;
        }
        let Some(after) = own_now() else { return };
        let stands = |wanted: &(u32, u32)| after.iter().any(|mount| name(mount) == *wanted);
        let is_own = |exit: &Abort, minor| !of.was_born_with(minor, exit.identity());
        self.exits.extend(opened.into_iter().filter(|(name, exit)| stands(name) && is_own(exit, name.1)));
    }
}

/// Whether a process of the life serves a mount. They are looked at once, and only where that is asked.
pub(super) fn served_by(of: &Instance) -> impl Fn(&Mount) -> bool {
    let served = LazyCell::new(|| of.read(|pid| Some(served_below(pid))).unwrap_or_default());
    move |mount| mount.fuse_owner().is_some_and(|(user, _)| served.contains(&(mount.device.1, user)))
}

/// What a mount is called as long as it stands.
fn name(mount: &Mount) -> (u32, u32) {
    (mount.id, mount.device.1)
}

/// The FUSE mounts of a table that were not there before the life, and that it serves where they are the host's; one for each connection.
pub(super) fn own(
    table: Vec<Mount>,
    hosts: &[Mount],
    is_inherited: impl Fn(u32) -> bool,
    is_served: impl Fn(&Mount) -> bool,
) -> Vec<Mount> {
    let hosts: BTreeSet<_> = hosts.iter().map(|mount| mount.device).collect();
    let mut seen = BTreeSet::new();
    let is_own =
        |mount: &Mount| mount.is_fuse() && !is_inherited(mount.device.1) && (!hosts.contains(&mount.device) || is_served(mount));
    table.into_iter().filter(|mount| seen.insert(mount.device) && is_own(mount)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_host_has_is_never_the_vassals_own() {
        let line = |id: u32, minor: u32| format!("{id} 1 0:{minor} / /m{id} rw - fuse.x x rw,user_id=0,group_id=0\n");
        let hosts = mountinfo::parse(line(1, 50).as_bytes());
        let table = mountinfo::parse([line(7, 50), line(8, 51), line(9, 51)].concat().as_bytes());
        assert_eq!(own(table, &hosts, |_| false, |_| false).iter().map(|mount| mount.id).collect::<Vec<_>>(), [8]);
    }

    #[test]
    fn what_it_was_born_with_is_not_its_own_though_the_host_has_let_go_of_it() {
        let line = |id: u32, minor: u32| format!("{id} 1 0:{minor} / /m{id} rw - fuse.x x rw,user_id=0,group_id=0\n");
        let table = mountinfo::parse([line(7, 50), line(8, 51), line(9, 50)].concat().as_bytes());
        assert_eq!(own(table, &[], |minor| minor == 50, |_| false).iter().map(|mount| mount.id).collect::<Vec<_>>(), [8]);
    }
}
