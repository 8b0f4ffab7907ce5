//! Who holds up the end of a life: processes that do not die of SIGKILL, and mounts with requests nobody answers.

use std::collections::BTreeSet;

use liege_sys::{
    descendants,
    fuse_daemon::{self, Shown},
    fusectl::Connections,
    mountinfo,
};

use super::{
    exits::{left_in, own, witnesses},
    protocol::Instance,
};

/// Processes named in one answer.
const MOST_NAMED: usize = 16;

/// Looks, at the price of a walk over all processes: it is asked for when something is wrong.
pub(super) fn examine(of: Instance, connections: &Connections) -> Vec<String> {
    let pids: BTreeSet<i32> = descendants::tree(&[of.pid]).into_iter().chain(left_in(of.namespace)).collect();
    let processes = pids.into_iter().filter_map(fuse_daemon::shown).map(|seen| phrase(&seen)).take(MOST_NAMED);
    processes.chain(mounts(of, connections)).collect()
}

fn phrase(seen: &Shown) -> String {
    let Shown { pid, name, state, wchan } = seen;
    if wchan.is_empty() {
        format!("{name} (pid {pid}, state {state})")
    } else {
        format!("{name} (pid {pid}, state {state}, in {wchan})")
    }
}

fn mounts(of: Instance, connections: &Connections) -> Vec<String> {
    let Some(table) = witnesses(of).find_map(|pid| mountinfo::of(pid).ok()) else { return Vec::new() };
    let Ok(hosts) = mountinfo::own() else { return Vec::new() };
    own(&table, &hosts)
        .into_iter()
        .filter_map(|mount| Some((mount, connections.waiting(mount.device.1)?)))
        .map(|(mount, waiting)| {
            format!("{} at {} ({waiting} requests waiting)", mount.fstype, mount.mount_point.to_string_lossy())
        })
        .collect()
}
