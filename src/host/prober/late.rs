//! A mount does not answer: which one it is, and whether its daemon works or hangs.
//!
//! Nothing here asks a file system. What is read: the vassal's mount table, the number of requests that wait in a connection, and
//! what `/proc` tells of the daemon's CPU time and disk traffic, twice: a busy daemon moves between the two, a hung one does not.
//!
//! A mount of the kernel's own has no daemon. Its device is as good a sign: a disk that completes requests is slow, not hung. Where there is no
//! device either (NFS, an overlay) there is nothing that could be busy, and no answer in time is a hang, which the tolerance bounds: an app on
//! it is stuck as on a hung FUSE mount. (A device is known by the number of the file system; btrfs has numbers of its own and
//! counts as having none.)
//!
//! A hang is charged to the mount that hangs. An overlay that asks a FUSE mount is that mount's victim. While the path is still being followed that is one on the way, the outermost in
//! whose connection a request waits; the watched mount below it may be in the best of health.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use liege_core::{Health, Late};
use liege_sys::{
    Errno, block,
    fuse_daemon::{self, Outside, Shown, Work},
    fusectl::Connections,
    mountinfo::{self, Mount},
};

use super::protocol::Look;

/// This share of the time spent on the CPU is work. A daemon that only looks at its clock needs less.
const BUSY: f64 = 0.05;

/// Or this many bytes a second from or to a disk.
const BUSY_DISK: f64 = 65_536.0;

/// The process that asks is stopped: the mount's owner can do that, and nothing is known of the mount.
pub(super) const STOPPED: Health = Health::Unknown { errno: Errno::EOWNERDEAD as i32 };

/// The user that has mounted where the table does not say.
const ROOT: u32 = 0;

/// Names in one sentence.
const MOST_NAMED: usize = 8;

/// Where the signs are read.
#[derive(Debug)]
pub(super) struct Signs {
    pub(super) connections: Arc<Connections>,
    /// Daemons of mounts that are the host's.
    pub(super) outside: Outside,
}

/// The first half of a verdict.
#[derive(Debug)]
pub(super) struct Suspicion {
    pid: i32,
    /// The mount that seems to hang.
    at: String,
    /// Its connection, where it is FUSE.
    minor: Option<u32>,
    /// The kernel says that the look waits for this mount, or no other FUSE mount owed an answer.
    is_certain: bool,
    /// Its device, and what that has completed, where it has one.
    device: Option<((u32, u32), u64)>,
    /// Who looks.
    tid: i32,
    daemons: Vec<i32>,
    work: Work,
    when: Instant,
}

impl Suspicion {
    /// Finds the mount that seems to hang, and how much its daemon has worked so far.
    pub(super) fn raised(look: &Look, asks: Option<(u32, u32)>, tid: i32, signs: &Signs) -> Self {
        let mounts = mountinfo::of(look.pid).unwrap_or_default();
        let owes = |minor: u32| signs.connections.waiting(minor).unwrap_or(0) > 0;
        let charged = charge(&mounts, &look.path, asks, owes);
        let is_certain = charged.is_some_and(|mount| is_certain(mount, &mounts, asks, owes));
        let (at, minor) = charged.map_or_else(
            || (look.path.clone(), None),
            |mount| (mount.mount_point.to_string_lossy().into_owned(), mount.is_fuse().then_some(mount.device.1)),
        );
        let device = charged.and_then(|mount| Some((mount.device, block::completed(mount.device)?)));
        let owner = charged.and_then(Mount::fuse_owner).map_or(ROOT, |(user, _)| user);
        let daemons = minor.map(|minor| {
            let own = fuse_daemon::serving(look.pid, minor);
            if own.is_empty() { signs.outside.serving(minor, owner) } else { own }
        });
        let daemons = daemons.unwrap_or_default();
        Self {
            pid: look.pid,
            at,
            minor,
            is_certain,
            device,
            tid,
            work: fuse_daemon::work(&daemons),
            daemons,
            when: Instant::now(),
        }
    }

    /// The second half, some time later.
    pub(super) fn confirmed(self, connections: &Connections) -> (Health, Late) {
        let holders: Vec<Shown> = self.daemons.iter().filter_map(|&pid| fuse_daemon::shown(pid)).collect();
        let daemon = spoken_of(&holders);
        let is_busy = is_busy(self.work, fuse_daemon::work(&self.daemons), self.when.elapsed());
        let device_works = self.device.is_some_and(|(device, before)| block::completed(device).is_some_and(|now| now > before));
        let looker = fuse_daemon::shown(self.tid);
        // It does not sleep: nobody keeps it waiting but the processor.
        let runs = looker.as_ref().is_some_and(|seen| seen.state == 'R');
        let is_stopped = looker.as_ref().is_some_and(|seen| matches!(seen.state, 'T' | 't'));
        let health = if is_stopped {
            STOPPED
        } else if is_busy || daemon.is_some_and(waits_below) || device_works || runs {
            Health::Slow
        } else {
            Health::Hung
        };
        let late = Late {
            at: self.at,
            connection: self.minor.filter(|_| self.is_certain),
            waiting: self.minor.and_then(|minor| connections.waiting(minor)),
            daemon: daemon.map(|seen| format!("{} (pid {}) {}", seen.name, seen.pid, doing(seen.state, health))),
            sleeps: looker.map(|seen| seen.wchan).filter(|place| self.minor.is_none() && !place.is_empty()),
            stuck: fuse_daemon::stuck(self.pid).iter().take(MOST_NAMED).map(stuck).collect(),
        };
        (health, late)
    }
}

/// Nobody's daemon is to blame for a disk that does not answer, nor for a processor it did not get.
fn waits_below(seen: &Shown) -> bool {
    seen.state == 'R' || seen.state == 'D' && !waits_for_fuse(&seen.wchan)
}

/// Whoever was forked with the fd holds it too: the one who works, if any of them does.
fn spoken_of(holders: &[Shown]) -> Option<&Shown> {
    holders.iter().find(|seen| waits_below(seen)).or(holders.first())
}

/// Whoever waits for another FUSE daemon, or for himself.
fn waits_for_fuse(wchan: &str) -> bool {
    wchan == "request_wait_answer" || wchan.starts_with("fuse_")
}

fn is_busy(before: Work, now: Work, span: Duration) -> bool {
    let seconds = span.as_secs_f64();
    let cpu = now.cpu.saturating_sub(before.cpu).as_secs_f64();
    #[allow(clippy::cast_precision_loss, reason = "a rate")]
    let disk = now.disk.saturating_sub(before.disk) as f64;
    cpu > BUSY * seconds || disk > BUSY_DISK * seconds
}

fn doing(state: char, health: Health) -> &'static str {
    match state {
        'T' | 't' => "is stopped",
        'Z' | 'X' => "is dead",
        'D' => "is stuck in the kernel",
        _ if health == Health::Slow => "works",
        _ => "idles",
    }
}

fn stuck(seen: &Shown) -> String {
    let Shown { pid, name, wchan, .. } = seen;
    if wchan.is_empty() { format!("{name} (pid {pid})") } else { format!("{name} (pid {pid}, in {wchan})") }
}

/// The mount a late look at `path` is charged to. `asks`: the file system the probe is asking already.
fn charge<'a>(mounts: &'a [Mount], path: &str, asks: Option<(u32, u32)>, has_waiting: impl Fn(u32) -> bool) -> Option<&'a Mount> {
    let waits = |mount: &&Mount| mount.is_fuse() && has_waiting(mount.device.1);
    if let Some(device) = asks {
        // The one mounted last under this name is the one that is seen.
        let asked = mounts
            .iter()
            .rev()
            .find(|mount| mount.device == device && Path::new(path).starts_with(&mount.mount_point))
            .or_else(|| mounts.iter().rev().find(|mount| mount.device == device));
        let is_stacked = asked.is_some_and(|mount| mount.fstype == "overlay");
        return mounts.iter().filter(|_| is_stacked).find(waits).or(asked);
    }
    let on_the_way = |mount: &&Mount| Path::new(path).starts_with(&mount.mount_point);
    let outermost = mounts.iter().filter(on_the_way).filter(waits).min_by_key(|mount| mount.mount_point.len());
    // Nobody waits on the way as it is written: behind a symbolic link, or on no FUSE mount at all.
    outermost
        .or_else(|| mounts.iter().find(waits))
        .or_else(|| mounts.iter().rev().filter(on_the_way).max_by_key(|mount| mount.mount_point.len()))
}

/// Whether the mount that is charged is certainly what hangs. While the path is followed its name alone does not say: there may be a link in it.
fn is_certain(charged: &Mount, mounts: &[Mount], asks: Option<(u32, u32)>, owes: impl Fn(u32) -> bool) -> bool {
    let owe = || mounts.iter().filter(|mount| mount.is_fuse() && owes(mount.device.1));
    asks == Some(charged.device) || owe().next().is_some() && owe().all(|mount| mount.device == charged.device)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounts() -> Vec<Mount> {
        mountinfo::parse(
            b"1 0 8:1 / / rw - ext4 /dev/sda rw\n\
              2 1 0:50 / /outer rw - fuse.x x rw,user_id=0,group_id=0\n\
              3 2 0:51 / /outer/inner rw - fuse.y y rw,user_id=0,group_id=0\n\
              4 1 0:52 / /other rw - fuse.z z rw,user_id=0,group_id=0\n\
              5 1 0:53 / /stacked rw - overlay o rw,lowerdir=/outer:/x\n",
        )
    }

    fn charged(path: &str, asks: Option<(u32, u32)>, waiting: &[u32]) -> String {
        let mounts = mounts();
        let mount = charge(&mounts, path, asks, |minor| waiting.contains(&minor)).unwrap();
        mount.mount_point.to_string_lossy().into_owned()
    }

    #[test]
    fn the_mount_that_is_asked_is_charged() {
        assert_eq!(charged("/outer/inner", Some((0, 51)), &[50, 51]), "/outer/inner");
    }

    #[test]
    fn an_overlay_is_charged_only_where_no_layer_is_known_to_hang() {
        assert_eq!(charged("/stacked", Some((0, 53)), &[50]), "/outer");
        assert_eq!(charged("/stacked", Some((0, 53)), &[]), "/stacked");
    }

    #[test]
    fn on_the_way_the_outermost_with_a_waiting_request_is_charged() {
        assert_eq!(charged("/outer/inner", None, &[50, 51]), "/outer");
        assert_eq!(charged("/outer/inner", None, &[51]), "/outer/inner");
    }

    #[test]
    fn behind_a_symbolic_link_it_is_whoever_has_a_waiting_request() {
        assert_eq!(charged("/link", None, &[52]), "/other");
    }

    #[test]
    fn what_hangs_is_certain_where_it_is_asked_or_nobody_else_owes_an_answer() {
        let certain = |path: &str, asks: Option<(u32, u32)>, waiting: &[u32]| {
            let (mounts, owes) = (mounts(), |minor| waiting.contains(&minor));
            is_certain(charge(&mounts, path, asks, owes).unwrap(), &mounts, asks, owes)
        };
        assert!(certain("/outer/inner", Some((0, 51)), &[50, 51, 52]) && certain("/outer/../other", None, &[52]));
        assert!(!certain("/outer/../other", None, &[50, 52]) && !certain("/outer/inner", None, &[]));
        assert!(!certain("/stacked", Some((0, 53)), &[50, 52]) && certain("/stacked", Some((0, 53)), &[50]));
    }

    #[test]
    fn without_any_waiting_request_it_is_the_file_system_of_the_path() {
        assert_eq!(charged("/srv/nfs", None, &[]), "/");
    }

    #[test]
    fn of_several_who_hold_the_fd_the_one_who_works_is_spoken_of() {
        let holder = |pid, state, wchan: &str| Shown { pid, name: "d".into(), state, wchan: wchan.into() };
        let (idle, disk) = (holder(1, 'S', "poll"), holder(2, 'D', "io_schedule"));
        let stuck = holder(3, 'D', "request_wait_answer");
        assert_eq!(spoken_of(&[idle.clone(), stuck.clone(), disk.clone()]), Some(&disk));
        assert_eq!(spoken_of(&[idle.clone(), stuck]), Some(&idle));
        assert_eq!(spoken_of(&[]), None);
    }

    #[test]
    fn work_is_cpu_or_disk() {
        let second = Duration::from_secs(1);
        let none = Work::default();
        assert!(!is_busy(none, none, second));
        assert!(!is_busy(none, Work { cpu: Duration::from_millis(20), disk: 0 }, second));
        assert!(is_busy(none, Work { cpu: Duration::from_millis(500), disk: 0 }, second));
        assert!(is_busy(none, Work { cpu: Duration::ZERO, disk: 1 << 20 }, second));
    }
}
