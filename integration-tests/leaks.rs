//! The leak guard: what the machine looked like before a story, what of it is different afterwards, and the broom.
//!
//! Processes are found by descent, not by name: the story's process is a subreaper, so nothing a vassal starts can get out of
//! its tree. Mounts are those of the story's own mount namespace. FUSE connections are the machine's: one that is new is not
//! counted when a process that does not descend from us has it mounted (another story, another user of the machine).

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::DirEntryExt as _;
use std::path::Path;
use std::time::Duration;

use liege_sys::processes::Processes;
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use crate::cgroups::options_in_force;
use crate::procs::{self, Process};
use crate::story::FUSECTL;
use crate::wait::{bar, breathe};

/// The kernel takes a FUSE connection down in its own time; nothing else may take any.
const GRACE: Duration = Duration::from_secs(2);

/// What is compared.
#[derive(Debug)]
pub struct Snapshot {
    mounts: BTreeSet<String>,
    connections: BTreeSet<Connection>,
    cgroups: BTreeSet<String>,
    /// They are the whole machine's.
    cgroup_options: String,
    processes: Vec<Process>,
}

impl Snapshot {
    /// The world as it is now.
    #[must_use]
    pub fn take() -> Self {
        Self {
            // A mount stays the same one when what it shows is unlinked elsewhere.
            mounts: mountinfo().lines().map(|line| line.replacen("//deleted ", " ", 1)).collect(),
            connections: connections(),
            cgroups: cgroups(),
            cgroup_options: options_in_force(),
            processes: procs::descendants(own_pid()),
        }
    }

    /// Waits a little for the last to leave, then fails with everything that is different.
    ///
    /// # Panics
    /// When something is.
    pub fn assert_restored(&self) {
        let start = std::time::Instant::now();
        loop {
            reap_strangers();
            let differences = self.differences();
            if differences.is_empty() {
                return;
            }
            assert!(start.elapsed() < bar(GRACE), "the story left something behind:\n{}", differences.join("\n"));
            breathe(Duration::from_millis(5));
        }
    }

    fn differences(&self) -> Vec<String> {
        let now = Self::take();
        let mut found = Vec::new();
        let new: Vec<Process> = now.processes.into_iter().filter(|p| !self.processes.contains(p) && p.state != 'X').collect();
        if !new.is_empty() {
            found.push(format!("processes:\n{}", procs::describe(&new)));
        }
        let mut compare = |what: &str, before: &BTreeSet<String>, after: &BTreeSet<String>| {
            found.extend(after.difference(before).map(|item| format!("new {what}: {item}")));
            found.extend(before.difference(after).map(|item| format!("lost {what}: {item}")));
        };
        compare("mount on the host", &self.mounts, &now.mounts);
        compare("cgroup", &self.cgroups, &now.cgroups);
        if self.cgroup_options != now.cgroup_options {
            found.push(format!("cgroup2 was mounted with {}, now with {}", self.cgroup_options, now.cgroup_options));
        }
        let suspects: Vec<&Connection> = now.connections.difference(&self.connections).collect();
        if !suspects.is_empty() {
            // Others make and lose theirs all the time: what went while we looked for its owner was not ours.
            let (strangers, still) = (devices_of_strangers(), connections());
            let ours = suspects.into_iter().filter(|c| !strangers.contains(&format!("0:{}", c.minor)) && still.contains(c));
            found.extend(ours.map(|connection| format!("new FUSE connection: {}", connection.minor)));
        }
        found
    }
}

/// The mount table of the calling thread's namespace.
#[must_use]
pub fn mountinfo() -> String {
    fs::read_to_string("/proc/thread-self/mountinfo").expect("our own mount table")
}

/// The minor of the device that a mount table shows at a path: for FUSE the connection's name under fusectl.
#[must_use]
pub fn minor_of(mountinfo: &str, path: &Path) -> Option<u32> {
    let line = mountinfo.lines().rfind(|line| line.split(' ').nth(4).map(Path::new) == Some(path))?;
    line.split(' ').nth(2)?.strip_prefix("0:")?.parse().ok()
}

/// The broom after a failed story: SIGKILL to everything that descends from us, until there is nothing.
pub fn kill_everything() {
    for round in 0..1000 {
        let left = procs::descendants(own_pid());
        if left.is_empty() {
            return;
        }
        for process in &left {
            let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL); // it may be gone by itself
        }
        if round == 200 {
            abort_connections(&left); // a task that waits for its own dead mount does not hear SIGKILL
        }
        reap(&left);
        breathe(Duration::from_millis(5));
    }
    eprintln!("could not be killed:\n{}", procs::describe(&procs::descendants(own_pid())));
}

/// Takes off whatever is still mounted below a directory, the last one first.
pub fn unmount_below(dir: &Path) {
    let table = mountinfo();
    let points = table.lines().filter_map(|line| line.split(' ').nth(4)).map(Path::new).filter(|point| point.starts_with(dir));
    for point in points.collect::<Vec<_>>().into_iter().rev() {
        let _ = umount2(point, MntFlags::MNT_DETACH); // gone with the one above it is as good
    }
}

/// The pid of the story's process.
fn own_pid() -> i32 {
    nix::unistd::getpid().as_raw()
}

/// Buries what was left to us by parents that died first, as pid 1 of a host does. Zombies with a living parent stay: they are
/// that parent's fault and are reported.
fn reap_strangers() {
    reap(&procs::descendants(own_pid()));
}

fn reap(processes: &[Process]) {
    for process in processes.iter().filter(|process| process.parent == own_pid() && process.state == 'Z') {
        let _ = waitpid(Pid::from_raw(process.pid), Some(WaitPidFlag::WNOHANG)); // somebody may have been faster
    }
}

/// What is mounted in the namespaces of processes that do not descend from us, and what they serve, as `major:minor`. A daemon may hold on
/// to its connection for a while after its mount went.
fn devices_of_strangers() -> BTreeSet<String> {
    let ours: Vec<i32> = procs::descendants(own_pid()).iter().map(|process| process.pid).collect();
    let strangers = procs::all().into_iter().filter(|process| process.pid != own_pid() && !ours.contains(&process.pid));
    let processes = Processes::open().ok();
    let served = |pid| processes.as_ref().map(|processes| processes.fuse(pid)).unwrap_or_default().into_iter().flatten();
    // Of every thread: a process that is stuck on its own mount has perhaps lost its first one, whose table is empty then.
    let devices = |process: Process| -> Vec<String> {
        let threads = fs::read_dir(format!("/proc/{}/task", process.pid)).into_iter().flatten().flatten();
        let tables = threads.filter_map(|thread| fs::read_to_string(thread.path().join("mountinfo")).ok());
        let mounted =
            tables.flat_map(|table| table.lines().filter_map(|l| l.split(' ').nth(2).map(str::to_owned)).collect::<Vec<_>>());
        mounted.chain(served(process.pid).map(|minor| format!("0:{minor}"))).collect()
    };
    strangers.flat_map(devices).collect()
}

/// A FUSE connection. The kernel reuses the minor at once, the inode of its directory under fusectl never.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Connection {
    minor: String,
    inode: u64,
}

fn connections() -> BTreeSet<Connection> {
    let connection =
        |entry: fs::DirEntry| Connection { minor: entry.file_name().to_string_lossy().into_owned(), inode: entry.ino() };
    fs::read_dir(FUSECTL).into_iter().flatten().flatten().map(connection).collect()
}

/// Ends every FUSE connection that some of these processes have mounted and the host has not.
fn abort_connections(processes: &[Process]) {
    let host = mountinfo();
    for process in processes {
        for line in process.mountinfo().lines().filter(|line| line.contains(" - fuse") && !host.contains(*line)) {
            let minor = line.split(' ').nth(2).and_then(|device| device.strip_prefix("0:"));
            if let Some(minor) = minor {
                let _ = fs::write(Path::new(FUSECTL).join(minor).join("abort"), "1"); // gone is as good
            }
        }
    }
}

fn names(dir: &str) -> BTreeSet<String> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Control groups with our name in them, wherever cgroup v2 is mounted.
fn cgroups() -> BTreeSet<String> {
    let roots: Vec<String> = mountinfo()
        .lines()
        .filter(|line| line.contains(" - cgroup2 "))
        .filter_map(|l| l.split(' ').nth(4).map(str::to_owned))
        .collect();
    let mut found = BTreeSet::new();
    for root in roots {
        for name in names(&root).into_iter().filter(|name| name.contains("liege")) {
            let below = format!("{root}/{name}");
            found.extend(
                names(&below).into_iter().filter(|name| Path::new(&below).join(name).is_dir()).map(|n| format!("{below}/{n}")),
            );
            found.insert(below);
        }
    }
    found
}
