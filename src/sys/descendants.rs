//! The descendants of a process, found and ended: what a pid namespace does by itself, for those who have none.
//!
//! Races: a tree can grow while it is walked, and an orphan moves up to the nearest subreaper. So the walk is repeated
//! until it finds nobody, and it works only if the root of the walk is (or has) that subreaper. A process is killed by
//! the number just read from its living parent; to be someone else's by then, the whole number space must have turned
//! around within microseconds.

use std::{collections::HashSet, fs};

use nix::errno::Errno;

use crate::stat::Stat;

/// A way up that ended at somebody who is gone is tried again.
const AGAIN: usize = 3;

/// The children of one process, of all its threads. Empty for a process that is gone.
#[must_use]
pub fn children_of(pid: i32) -> Vec<i32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let mut children = Vec::new();
    for task in tasks.flatten() {
        match fs::read_to_string(task.path().join("children")) {
            Ok(line) => children.extend(line.split_ascii_whitespace().filter_map(|n| n.parse::<i32>().ok())),
            // The file needs CONFIG_PROC_CHILDREN; without it everybody is asked for its parent.
            Err(_) if !has_children_file() => return children_by_parent(pid),
            Err(_) => {} // the thread is gone
        }
    }
    children
}

/// All descendants, parents before their children.
#[must_use]
pub fn tree(roots: &[i32]) -> Vec<i32> {
    let (mut found, mut seen) = (Vec::new(), HashSet::new());
    let mut next = roots.iter().flat_map(|&root| children_of(root)).collect::<Vec<_>>();
    while let Some(pid) = next.pop() {
        // A pid can be seen twice when its parent dies during the walk.
        if seen.insert(pid) {
            found.push(pid);
            next.extend(children_of(pid));
        }
    }
    found
}

/// SIGKILL to every descendant of these roots, not to the roots. Gives how many were still there; the caller reaps and
/// asks again until the answer is 0. A zombie counts until its parent has reaped it.
pub fn kill_below(roots: &[i32]) -> usize {
    let found = tree(roots);
    for &pid in &found {
        kill(pid, libc::SIGKILL).ok();
    }
    found.len()
}

/// `kill(2)`; a negative pid is a process group.
///
/// # Errors
/// ESRCH, EPERM.
pub fn kill(pid: i32, signal: i32) -> nix::Result<()> {
    // SAFETY: numbers only.
    Errno::result(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// When a process started, in clock ticks since the machine did. Together with its pid that names it for ever: no number comes
/// around within one tick.
#[must_use]
pub fn started(pid: i32) -> Option<u64> {
    Stat::of(pid)?.field(22)
}

fn has_children_file() -> bool {
    fs::exists("/proc/thread-self/children").unwrap_or(false)
}

fn children_by_parent(pid: i32) -> Vec<i32> {
    everybody().filter(|&candidate| parent_of(candidate) == Some(pid)).collect()
}

/// The pids of all processes this `/proc` shows.
pub fn everybody() -> impl Iterator<Item = i32> {
    numbers_in("/proc")
}

/// The threads of a process. One whose first thread has ended may live on in the others.
pub fn threads_of(pid: i32) -> impl Iterator<Item = i32> {
    numbers_in(&format!("/proc/{pid}/task"))
}

fn numbers_in(directory: &str) -> impl Iterator<Item = i32> + use<> {
    fs::read_dir(directory).into_iter().flatten().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Whether `/proc` is that of our own pid namespace: else the numbers in it are other processes'.
#[must_use]
pub fn proc_is_ours() -> bool {
    fs::read_link("/proc/self").is_ok_and(|link| link.to_str() == Some(&std::process::id().to_string()))
}

/// Whether a process is a descendant of this one, which is the subreaper of its own. Somebody on the way up may end meanwhile; who was
/// below him is then found further up.
#[must_use]
pub fn is_below(pid: i32, root: i32) -> bool {
    child_above(pid, root).is_some()
}

/// The child of `root` that a process is, or descends from. None as in [`is_below`].
#[must_use]
pub fn child_above(pid: i32, root: i32) -> Option<i32> {
    (0..AGAIN).find_map(|_| {
        let mut child = pid;
        loop {
            match parent_of(child)? {
                parent if parent == root => return Some(child),
                parent if parent > 1 => child = parent,
                _ => return None,
            }
        }
    })
}

/// Who its parent is now; None for a process that is gone.
#[must_use]
pub fn parent_of(pid: i32) -> Option<i32> {
    Stat::of(pid)?.field(4)
}
