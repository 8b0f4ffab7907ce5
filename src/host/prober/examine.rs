//! Who holds up the end of a life: processes that do not die of SIGKILL, and mounts with requests nobody answers.

use std::collections::BTreeSet;

use liege_sys::{
    descendants, fuse_daemon,
    fusectl::Connections,
    mountinfo::{self, Mount},
};

use super::{
    exits::{own, served_by},
    instance::PidNamespace,
    protocol::{Examined, Instance},
};

/// Processes named in one answer.
const MOST_NAMED: usize = 16;

/// Looks, at the price of a walk over all processes: it is asked for when something is wrong.
pub(super) fn examine(of: &Instance, namespace: Option<&PidNamespace>, connections: &Connections) -> Examined {
    let members = namespace.map(PidNamespace::members).unwrap_or_default();
    let below = of.read(|pid| Some(descendants::tree(&[pid]))).unwrap_or_default();
    let pids: BTreeSet<i32> = below.into_iter().chain(members.iter().copied()).collect();
    let processes: Vec<_> = pids.into_iter().filter_map(fuse_daemon::shown).collect();
    // One that runs gives back its memory, most likely.
    let is_stuck = !processes.is_empty() && processes.iter().all(|seen| seen.state != 'R');
    let processes = processes.iter().map(ToString::to_string).take(MOST_NAMED);
    let table = of
        .read(|pid| mountinfo::of(pid).ok())
        .or_else(|| members.iter().find_map(|&pid| namespace?.read(pid, |pid| mountinfo::of(pid).ok())));
    Examined { found: processes.chain(mounts(of, table.unwrap_or_default(), connections)).collect(), is_stuck }
}

fn mounts(of: &Instance, table: Vec<Mount>, connections: &Connections) -> Vec<String> {
    let Ok(hosts) = mountinfo::own() else { return Vec::new() };
    own(table, &hosts, |minor| of.was_born_with(minor, connections.identity(minor)), served_by(of))
        .into_iter()
        .filter_map(|mount| Some((connections.waiting(mount.device.1)?, mount)))
        .map(|(waiting, mount)| {
            format!("{} at {} ({waiting} requests waiting)", mount.fstype, mount.mount_point.to_string_lossy())
        })
        .collect()
}
