//! The emergency exits of the FUSE connections that belong to a life.
//!
//! A process that hangs on a FUSE mount can be beyond SIGKILL; with it hangs its namespace, and with that the vassal's end. Ending
//! the connection frees it. Which connections are whose is the danger: a vassal's mount table shows its host's mounts too, and
//! the number of a connection is used again at once. So:
//! * a connection is the vassal's own when its table has it and the host's has not, in this order: what the host mounts reaches the
//!   vassal after it reached the host;
//! * the exit is opened, and then the same mount must still stand in the table: so what was opened is the connection that was meant;
//! * nothing is read by a number that may be a stranger's by then (`instance.rs`);
//! * it is kept open until the life is over. By then its number may be anybody's, and writing to it harms nobody.
//!
//! Deliberately not here: mounts of a neighbour (never in this table), and any look at a path.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::mpsc::Receiver,
};

use liege_sys::{
    fusectl::{Abort, Connections},
    mountinfo::{self, Mount},
};

use tokio::sync::mpsc::UnboundedSender;

use super::{
    examine::examine,
    instance::PidNamespace,
    protocol::{FromProber, Instance, ToProber},
};

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

/// All lives, by birth.
#[derive(Debug, Default)]
struct Exits(HashMap<u64, Held>);

/// One after the other, in the order they come; on a thread of its own, because mount tables may be long.
pub(super) fn serve(requests: &Receiver<ToProber>, connections: &Connections, answers: &UnboundedSender<FromProber>) {
    let mut exits = Exits::default();
    while let Ok(request) = requests.recv() {
        match request {
            ToProber::Secure(of) => drop(exits.secure(of, connections)),
            ToProber::Abort(of) => exits.abort(of, connections),
            ToProber::Forget(of) => drop(exits.0.remove(&of.birth)),
            ToProber::Examine { id, of } => {
                let held = exits.secure(of, connections);
                drop(answers.send(FromProber::Examined { id, found: examine(of, held.namespace.as_ref(), connections) }));
            }
            ToProber::Look { .. } | ToProber::Ping => {}
        }
    }
}

impl Exits {
    /// Opens the exits of this life that are not held yet. One that is held stays, also when its mount is detached: the connection
    /// may live on, and somebody hang in it.
    fn secure(&mut self, of: Instance, connections: &Connections) -> &mut Held {
        let held = self.0.entry(of.birth).or_default();
        if held.namespace.is_none() {
            held.namespace = PidNamespace::of(of);
        }
        held.exits.retain(|_, exit| exit.is_live());
        held.open(connections, || of.read(|pid| mountinfo::of(pid).ok()));
        held
    }

    /// Ends all connections of this life. When it is not over after the first time, whoever is left of it is asked for mounts too: its
    /// init may be beyond asking, and others may have mount namespaces of their own.
    fn abort(&mut self, of: Instance, connections: &Connections) {
        let held = self.secure(of, connections);
        if std::mem::replace(&mut held.was_aborted, true)
            && let Some(namespace) = held.namespace.take()
        {
            for pid in namespace.members() {
                held.open(connections, || namespace.read(pid, |pid| mountinfo::of(pid).ok()));
            }
            held.namespace = Some(namespace);
        }
        for exit in held.exits.values() {
            exit.now().ok(); // one that has ended is what was wanted
        }
    }
}

impl Held {
    /// Opens what a mount table shows and is not held yet. The table is read again afterwards.
    fn open(&mut self, connections: &Connections, table: impl Fn() -> Option<Vec<Mount>>) {
        let (Some(before), Ok(hosts)) = (table(), mountinfo::own()) else { return };
        let opened: Vec<(&Mount, Abort)> = own(&before, &hosts)
            .into_iter()
            .filter(|mount| !self.exits.contains_key(&name(mount)))
            .filter_map(|mount| Some((mount, connections.abort(mount.device.1).ok()?)))
            .collect();
        if opened.is_empty() {
            return;
        }
        let Some(after) = table() else { return };
        let stands = |mount: &Mount| after.iter().any(|other| name(other) == name(mount));
        self.exits.extend(opened.into_iter().filter(|(mount, _)| stands(mount)).map(|(mount, exit)| (name(mount), exit)));
    }
}

/// What a mount is called as long as it stands.
fn name(mount: &Mount) -> (u32, u32) {
    (mount.id, mount.device.1)
}

/// The FUSE mounts of a table that are not the host's, one for each connection.
pub(super) fn own<'a>(table: &'a [Mount], hosts: &[Mount]) -> Vec<&'a Mount> {
    let hosts: BTreeSet<_> = hosts.iter().map(|mount| mount.device).collect();
    let mut seen = BTreeSet::new();
    table.iter().filter(|mount| mount.is_fuse() && !hosts.contains(&mount.device) && seen.insert(mount.device)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_host_has_is_never_the_vassals_own() {
        let line = |id: u32, minor: u32| format!("{id} 1 0:{minor} / /m{id} rw - fuse.x x rw,user_id=0,group_id=0\n");
        let hosts = mountinfo::parse(line(1, 50).as_bytes());
        let table = mountinfo::parse([line(7, 50), line(8, 51), line(9, 51)].concat().as_bytes());
        assert_eq!(own(&table, &hosts).iter().map(|mount| mount.id).collect::<Vec<_>>(), [8]);
    }
}
