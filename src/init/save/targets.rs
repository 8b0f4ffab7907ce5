//! The mounts that shall go, in their order, and one unmount.

use std::{collections::BTreeSet, path::PathBuf, time::Instant};

use liege_sys::{Errno, mount, mountinfo::Mount, process};

use crate::{
    init::{End, Init},
    mounts::Table,
};

/// A mount that shall go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    id: u32,
    point: PathBuf,
    /// Its connection; None: it is no FUSE mount, and stands on one.
    pub(super) minor: Option<u32>,
}

impl Init {
    /// The mounts that shall go, the newest first.
    pub(super) fn targets(&self, table: &Table) -> Vec<Target> {
        let own: BTreeSet<u32> = table.own().map(|mount| mount.device.1).collect();
        let is_served = |mount: &Mount| match self.later.own_mounts {
            true => self.saving.is_ours(mount.device.1).unwrap_or(true),
            false => self.saving.fuse.iter().any(|daemon| self.known.is_served(daemon, mount)),
        };
        let is_ours = |mount: &Mount| own.contains(&mount.device.1) && (is_served(mount) || self.known.is_ours(mount));
        let mut targets = targets(&table.mounts, is_ours, self.later.own_mounts);
        // An unmount writes back, and of one that hangs it would not come back.
        targets.retain(|target| target.minor.is_none_or(|minor| !self.saving.hung.contains(&minor)));
        targets
    }

    /// One unmount, by a child. The errno; None: it does not come back.
    pub(super) fn unmount(&mut self, target: &Target, detach: bool, until: Instant) -> Result<Option<i32>, End> {
        let work = || match mount::umount_exactly(&target.point, target.id, detach) {
            // Somebody else has unmounted it.
            Ok(()) | Err(Errno::ENOENT | Errno::ESTALE) => 0,
            Err(errno) => errno as i32,
        };
        let child = process::fork_apart(&self.one_thread, &[], work);
        self.await_child(child, until)
    }
}

/// The mounts of these connections, and what stands on them where `whole` says so; the newest first. Never the root, which cannot go,
/// nor what stands on it alone.
fn targets(table: &[Mount], is_ours: impl Fn(&Mount) -> bool, whole: bool) -> Vec<Target> {
    let mut marked = BTreeSet::new();
    let mut found = Vec::new();
    for mount in table.iter().filter(|mount| mount.mount_point != "/") {
        let minor = Some(mount.device.1).filter(|_| mount.is_fuse() && is_ours(mount));
        if minor.is_some() || whole && marked.contains(&mount.parent) {
            marked.insert(mount.id);
            found.push(Target { id: mount.id, point: mount.mount_point.clone().into(), minor });
        }
    }
    found.reverse();
    found
}

#[cfg(test)]
mod tests {
    use liege_sys::mountinfo::parse;

    use super::*;

    const TABLE: &str = "\
        1 0 0:40 / / rw - fuse.unionfs u rw,user_id=0,group_id=0\n\
        2 1 0:20 / /proc rw - proc proc rw\n\
        3 1 0:41 / /app rw - fuse.zip z rw,user_id=0,group_id=0\n\
        4 3 0:42 / /app/tmp rw - tmpfs t rw\n\
        5 4 0:43 / /app/tmp/in rw - fuse.zip z ro,user_id=0,group_id=0\n\
        6 1 0:44 / /hosts rw - fuse.x x rw,user_id=0,group_id=0\n\
        7 1 0:41 /sub /bound rw - fuse.zip z rw,user_id=0,group_id=0\n";

    fn points(whole: bool) -> Vec<(String, Option<u32>)> {
        let found = targets(&parse(TABLE.as_bytes()), |mount| mount.device.1 != 44, whole);
        found.into_iter().map(|target| (target.point.to_string_lossy().into_owned(), target.minor)).collect()
    }

    #[test]
    fn own_mounts_go_top_down_with_what_stands_on_them_and_the_root_stays() {
        let all = [("/bound", Some(41)), ("/app/tmp/in", Some(43)), ("/app/tmp", None), ("/app", Some(41))];
        assert_eq!(points(true), all.map(|(point, minor)| (point.to_owned(), minor)));
    }

    #[test]
    fn where_the_mounts_are_the_hosts_only_fuse_mounts_of_the_vassal_go() {
        let all = [("/bound", Some(41)), ("/app/tmp/in", Some(43)), ("/app", Some(41))];
        assert_eq!(points(false), all.map(|(point, minor)| (point.to_owned(), minor)));
    }
}
