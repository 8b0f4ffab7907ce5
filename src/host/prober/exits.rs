//! The emergency exits of the FUSE connections that belong to a life.
//!
//! A process that hangs on a FUSE mount can be beyond SIGKILL; with it hangs its namespace, and with that the vassal's end. Ending
//! the connection frees it. Which connections are whose is the danger: a vassal's mount table shows its host's mounts too, and
//! the number of a connection is used again at once. So:
//! * a connection is the vassal's own when its table has it and the host's has not, in this order: what the host mounts reaches the
//!   vassal after it reached the host;
//! * the exit is opened, and then the same mount must still stand in the table: so what was opened is the connection that was meant;
//! * it is kept open until the life is over. By then its number may be anybody's, and writing to it harms nobody.
//!
//! Deliberately not here: mounts of a neighbour (never in this table), and any look at a path.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    sync::mpsc::Receiver,
};

use liege_sys::{
    fusectl::{Abort, Connections},
    mountinfo::{self, Mount},
};

use super::protocol::{Instance, ToProber};

/// All exits that are held, by birth, and by mount id and minor.
#[derive(Debug, Default)]
struct Exits(HashMap<u64, BTreeMap<(u32, u32), Abort>>);

/// One after the other, in the order they come; on a thread of its own, because mount tables may be long.
pub(super) fn serve(requests: &Receiver<ToProber>, connections: &Connections) {
    let mut exits = Exits::default();
    while let Ok(request) = requests.recv() {
        match request {
            ToProber::Secure(of) => exits.secure(of, connections),
            ToProber::Abort(of) => exits.abort(of, connections),
            ToProber::Forget(of) => drop(exits.0.remove(&of.birth)),
            ToProber::Look { .. } | ToProber::Examine { .. } | ToProber::Ping => {}
        }
    }
}

impl Exits {
    /// Opens the exits of this life that are not held yet. One that is held stays, also when its mount is detached: the connection
    /// may live on, and somebody hang in it.
    fn secure(&mut self, of: Instance, connections: &Connections) {
        let held = self.0.entry(of.birth).or_default();
        held.retain(|_, exit| exit.is_live());
        for pid in witnesses(of) {
            let Ok(table) = mountinfo::of(pid) else { continue };
            let Ok(hosts) = mountinfo::own() else { return };
            let opened: Vec<(&Mount, Abort)> = own(&table, &hosts)
                .into_iter()
                .filter(|mount| !held.contains_key(&name(mount)))
                .filter_map(|mount| Some((mount, connections.abort(mount.device.1).ok()?)))
                .collect();
            if opened.is_empty() {
                return;
            }
            let Ok(after) = mountinfo::of(pid) else { return };
            let stands = |mount: &Mount| after.iter().any(|other| name(other) == name(mount));
            held.extend(opened.into_iter().filter(|(mount, _)| stands(mount)).map(|(mount, exit)| (name(mount), exit)));
            return;
        }
    }

    /// Ends all connections of this life.
    fn abort(&mut self, of: Instance, connections: &Connections) {
        self.secure(of, connections);
        for exit in self.0.get(&of.birth).into_iter().flat_map(BTreeMap::values) {
            exit.now().ok(); // one that has ended is what was wanted
        }
    }
}

/// What a mount is called as long as it stands.
fn name(mount: &Mount) -> (u32, u32) {
    (mount.id, mount.device.1)
}

/// Processes whose mount table is the life's: its init, and when that is beyond asking whoever is left in its namespace.
pub(super) fn witnesses(of: Instance) -> impl Iterator<Item = i32> {
    std::iter::once(of.pid).chain(std::iter::once(()).flat_map(move |()| left_in(of.namespace)))
}

/// Everybody in this mount namespace. A walk over all processes, so only for a life whose end is held up.
pub(super) fn left_in(namespace: u64) -> Vec<i32> {
    if namespace == 0 {
        return Vec::new();
    }
    let wanted = format!("mnt:[{namespace}]");
    let Ok(all) = fs::read_dir("/proc") else { return Vec::new() };
    all.flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| fs::read_link(format!("/proc/{pid}/ns/mnt")).is_ok_and(|link| link.to_str() == Some(&wanted)))
        .collect()
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
