//! The mounts that shall go, in their order, and one unmount.
//!
//! Beside the FUSE mounts and what stands on them: what *uses* one, and has what was written to it in the kernel until it goes. A loop device
//! whose image lies there, and an overlay with a layer there, stand elsewhere, and nothing in the table tells what they use.
//! * Where the table is the vassal's own, each of its own mounts that came later than a FUSE mount may be one. Not those that lie on nothing
//!   ([`LIES_ON_NOTHING`]: a daemon may need its `/tmp` to save), nor those of file systems that are the host's.
//! * Where it is the host's, only what is certainly one: a loop device of which the kernel says that its image lies on a mount of the vassal.
//!
//! Deliberately not here: an overlay on the host, of which the kernel does not say what it uses; a loop device without a mount, or one that
//! stays when its mount goes (`losetup` by hand).

use std::{
    collections::BTreeSet,
    path::PathBuf,
    time::{Duration, Instant},
};

use liege_sys::{Errno, loop_device, mount, mountinfo::Mount, process};

use super::{Idle, printable};
use crate::{
    clock,
    init::{End, Init},
    mounts::Table,
};

/// File systems of the kernel's memory, and of other machines.
const LIES_ON_NOTHING: [&str; 30] = [
    "9p",
    "afs",
    "autofs",
    "binfmt_misc",
    "bpf",
    "ceph",
    "cgroup",
    "cgroup2",
    "cifs",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nfs",
    "nfs4",
    "nsfs",
    "proc",
    "pstore",
    "ramfs",
    "rootfs",
    "securityfs",
    "smb3",
    "sysfs",
    "tmpfs",
    "tracefs",
    "virtiofs",
];
/// So many loop devices of the host are asked what they lie on, for so long each: they came later than the vassal's mounts, so they are few.
const MOST_ASKED: usize = 64;
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// A daemon that is written back to, and does nothing for so long beside a request that waits, hangs.
const IDLE: Duration = Duration::from_secs(2);

/// Why an unmount has not come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stuck {
    /// The mount stands: another one on the way to it hangs.
    OnTheWay,
    /// It is gone from the table, and what was written to it is on its way to its daemon.
    WritingBack,
}

/// A mount that shall go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) id: u32,
    /// The mount it stands on.
    pub(super) parent: u32,
    point: PathBuf,
    /// No mount on the way to it is known to hang.
    pub(super) is_reachable: bool,
    /// Its connection; None: it is no FUSE mount, and uses one or stands on one.
    pub(super) minor: Option<u32>,
}

impl Target {
    /// For people.
    pub(super) fn name(&self) -> String {
        printable(&self.point.to_string_lossy())
    }
}

impl Init {
    /// The mounts that shall go, the newest first.
    pub(super) fn targets(&self, table: &Table) -> Vec<Target> {
        let uses = |mount: &Mount| match self.later.own_mounts {
            true => may_use_another(mount, &self.saving.before),
            false => self.saving.images.contains(&mount.device),
        };
        let mut targets = targets(&table.mounts, self.is_ours(table), uses, self.later.own_mounts);
        // An unmount writes back, and of one that hangs it would not come back.
        targets.retain(|target| target.minor.is_none_or(|minor| !self.saving.hung.contains(&minor)));
        let behind = behind(&table.mounts, &self.saving.hung);
        targets.iter_mut().for_each(|target| target.is_reachable = !behind.contains(&target.parent));
        targets
    }

    fn is_ours(&self, table: &Table) -> impl Fn(&Mount) -> bool {
        let own: BTreeSet<u32> = table.own().map(|mount| mount.device.1).collect();
        let is_served = |mount: &Mount| match self.later.own_mounts {
            true => self.saving.is_ours(mount.device.1).unwrap_or(true),
            false => self.saving.fuse.iter().any(|daemon| self.known.is_served(daemon, mount)),
        };
        move |mount| own.contains(&mount.device.1) && (is_served(mount) || self.known.is_ours(mount))
    }

    /// The loop devices of the host whose image lies on a mount of the vassal, or in such an image. The kernel asks the file system, so a
    /// child asks the kernel.
    ///
    /// # Errors
    /// The host's end.
    pub(super) fn find_images(&mut self, table: &Table, until: Instant) -> Result<(), End> {
        if self.later.own_mounts {
            return Ok(());
        }
        let is_ours = self.is_ours(table);
        let later = table.mounts.iter().skip_while(|mount| !(mount.is_fuse() && is_ours(mount)));
        let mut used: BTreeSet<(u32, u32)> =
            later.clone().filter(|mount| mount.is_fuse() && is_ours(mount)).map(|mount| mount.device).collect();
        let asked: Vec<u32> =
            later.map(|mount| mount.device).filter(|device| device.0 == loop_device::MAJOR).map(|device| device.1).collect();
        drop(is_ours);
        for minor in asked.into_iter().take(MOST_ASKED) {
            let ask = || i32::from(!loop_device::lies_on(minor).is_ok_and(|device| used.contains(&device)));
            let child = process::fork_apart(&self.one_thread, &[], ask);
            if self.await_child(child, until.min(clock::now() + ANSWERS_WITHIN))? == Some(0) {
                used.insert((loop_device::MAJOR, minor));
            }
        }
        self.saving.images = used.into_iter().filter(|device| device.0 == loop_device::MAJOR).collect();
        Ok(())
    }

    /// One unmount, by a child. The errno; None: it does not come back.
    pub(super) fn unmount(&mut self, target: &Target, detach: bool, until: Instant) -> Result<Option<i32>, End> {
        self.by_child(until, || mount::umount_exactly(&target.point, target.id, detach))
    }

    /// One unmount that may not come back: `Err` tells why, and it goes on in the kernel. One that hangs on its way has until `patience`, one
    /// that has taken the mount away and writes back has until `until` as long as its daemon works.
    pub(super) fn unmount_unless_stuck(
        &mut self,
        target: &Target,
        patience: Instant,
        until: Instant,
    ) -> Result<Result<i32, Stuck>, End> {
        let work = || errno_of(mount::umount_exactly(&target.point, target.id, false));
        let child = process::fork_apart(&self.one_thread, &[], work);
        let mut idle = None;
        let answer = self.await_child_longer(child, patience, |init| init.has_longer(target, &mut idle, until))?;
        Ok(answer.ok_or_else(|| if self.stands(target) { Stuck::OnTheWay } else { Stuck::WritingBack }))
    }

    fn has_longer(&mut self, target: &Target, before: &mut Option<Vec<Idle>>, until: Instant) -> Option<Instant> {
        let now = clock::now();
        if now >= until || self.stands(target) {
            return None;
        }
        let idle = self.idle(before.as_deref());
        let serves = |idle: &Idle| {
            self.saving.savers().any(|daemon| daemon.pid == idle.pid && target.minor.is_some_and(|minor| daemon.may_serve(minor)))
        };
        let is_idle = before.is_some() && idle.iter().any(serves);
        *before = Some(idle);
        (!is_idle).then(|| until.min(now + IDLE))
    }

    /// The kernel takes a mount out of the table before it writes back.
    fn stands(&mut self, target: &Target) -> bool {
        self.mounts.with_own_fuse().is_some_and(|table| table.mounts.iter().any(|mount| mount.id == target.id))
    }

    /// Has a mount that stays written to what it lies on, by a child. As [`Self::unmount`].
    pub(super) fn flush(&mut self, target: &Target, until: Instant) -> Result<Option<i32>, End> {
        self.by_child(until, || mount::sync_exactly(&target.point, target.id))
    }

    fn by_child(&mut self, until: Instant, call: impl FnOnce() -> Result<(), Errno>) -> Result<Option<i32>, End> {
        let child = process::fork_apart(&self.one_thread, &[], || errno_of(call()));
        self.await_child(child, until)
    }
}

fn errno_of(called: Result<(), Errno>) -> i32 {
    match called {
        // Somebody else has unmounted it.
        Ok(()) | Err(Errno::ENOENT | Errno::ESTALE) => 0,
        Err(errno) => errno as i32,
    }
}

/// Whether a mount of the vassal's own table may write to another one when it goes. `before`: the file systems of the host.
fn may_use_another(mount: &Mount, before: &BTreeSet<(u32, u32)>) -> bool {
    // The number of a loop device is used again at once, so it may have been one of the host's.
    let is_hosts = mount.follows || before.contains(&mount.device) && mount.device.0 != loop_device::MAJOR;
    !mount.is_fuse() && !is_hosts && !LIES_ON_NOTHING.contains(&mount.fstype.as_str())
}

/// The mounts of these FUSE connections, and all that stand on them.
fn behind(table: &[Mount], hung: &BTreeSet<u32>) -> BTreeSet<u32> {
    let mut behind = BTreeSet::new();
    for mount in table {
        if mount.is_fuse() && hung.contains(&mount.device.1) || behind.contains(&mount.parent) {
            behind.insert(mount.id);
        }
    }
    behind
}

/// The mounts of these connections, what stands on them where `whole` says so, and what came later and `uses` one; the newest first. Never
/// the root, which cannot go, nor what stands on it alone.
fn targets(table: &[Mount], is_ours: impl Fn(&Mount) -> bool, uses: impl Fn(&Mount) -> bool, whole: bool) -> Vec<Target> {
    let (mut marked, mut is_later) = (BTreeSet::new(), false);
    let mut found = Vec::new();
    for mount in table {
        let minor = Some(mount.device.1).filter(|_| mount.is_fuse() && is_ours(mount));
        let shall_go = minor.is_some() || whole && marked.contains(&mount.parent) || is_later && uses(mount);
        is_later |= minor.is_some();
        if shall_go && mount.mount_point != "/" {
            marked.insert(mount.id);
            let point = mount.mount_point.clone().into();
            found.push(Target { id: mount.id, parent: mount.parent, point, is_reachable: true, minor });
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
        points_of(TABLE, |_| false, whole)
    }

    fn points_of(table: &str, uses: impl Fn(&Mount) -> bool, whole: bool) -> Vec<(String, Option<u32>)> {
        let found = targets(&parse(table.as_bytes()), |mount| mount.device.1 != 44, uses, whole);
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

    #[test]
    fn what_stands_on_a_mount_that_hangs_is_behind_it() {
        let found = |hung: u32| behind(&parse(TABLE.as_bytes()), &BTreeSet::from([hung])).into_iter().collect::<Vec<_>>();
        assert_eq!(found(41), [3, 4, 5, 7]);
        assert_eq!(found(43), [5]);
        assert_eq!(found(20), [], "that is /proc");
    }

    const USED: &str = "\
        1 0 7:0 / / rw - ext4 /dev/loop0 rw\n\
        2 1 7:1 / /before rw - ext4 /dev/loop1 rw\n\
        3 1 0:41 / /app rw - fuse.zip z rw,user_id=0,group_id=0\n\
        4 1 7:2 / /image rw - ext4 /dev/loop2 rw\n\
        5 4 0:45 / /image/run rw - tmpfs t rw\n\
        6 1 0:46 / /tmp rw - tmpfs t rw\n\
        7 1 0:47 / /overlay rw - overlay o rw,lowerdir=/app\n\
        8 1 8:1 /data /data rw - ext4 /dev/sda1 rw\n\
        9 1 0:48 / /usb rw master:7 - btrfs /dev/sdb rw\n";

    #[test]
    fn what_came_later_and_may_use_one_goes_before_it_and_what_the_host_or_a_daemon_has_stays() {
        let before = BTreeSet::from([(8, 1), (7, 2)]);
        let found = points_of(USED, |mount| may_use_another(mount, &before), true);
        let all = [("/overlay", None), ("/image/run", None), ("/image", None), ("/app", Some(41))];
        assert_eq!(found, all.map(|(point, minor)| (point.to_owned(), minor)));
    }

    #[test]
    fn what_uses_a_root_that_cannot_go_goes() {
        let table = "1 0 0:41 / / rw - fuse.unionfs u rw,user_id=0,group_id=0\n2 1 7:2 / /image rw - ext4 /dev/loop2 rw\n";
        let found = points_of(table, |mount| may_use_another(mount, &BTreeSet::new()), true);
        assert_eq!(found, [("/image".to_owned(), None)]);
    }
}
