//! Who serves a FUSE connection, and whether he works or only sits there.
//!
//! A busy daemon burns CPU or moves data of a disk; a hung one does neither. `/proc` tells both without asking anybody. Looked
//! for among the descendants of the vassal's init first, so that a machine of ten thousand vassals costs no more than one. Only where nobody
//! of them serves the connection, because the mount is the host's, is everybody looked at, once for all mounts (`Outside`). Kernels that do
//! not tell which connection an fd belongs to (before 6.16) show nobody there, and then nothing is known about its work.
//!
//! An fd goes on telling the number of its connection when that has ended, and the next mount of anybody gets this number. So a process of the
//! host counts only where it runs as the user that has mounted, or as root, which mounts for others: no other user can then be taken for the
//! daemon of a mount.
//!
//! Races: what was read is history. A daemon that was found is found again at each look.

use std::{
    collections::{BTreeSet, HashMap},
    fmt, fs, io,
    os::unix::ffi::OsStrExt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{descendants, processes::is_fuse, stat::Stat, status};

const ROOT: u32 = 0;

/// What is known of everybody holds so long at least.
const SHORTEST_HOLD: Duration = Duration::from_secs(1);

/// What its processes have done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// CPU time, user and system, of all threads.
    pub cpu: Duration,
    /// Bytes that reached or came from a disk.
    pub disk: u64,
}

/// One process as `/proc` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its pid, as the reader sees it.
    pub pid: i32,
    /// Its name (`comm`).
    pub name: String,
    /// `R`, `S`, `D`, `T`, `Z` ...
    pub state: char,
    /// The kernel function it sleeps in; empty where it does not, or where nobody may know.
    pub wchan: String,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, name, state, wchan } = self;
        write!(f, "{name} (pid {pid}, state {state}")?;
        if !wchan.is_empty() {
            write!(f, ", in {wchan}")?;
        }
        f.write_str(")")
    }
}

/// The processes below `root` that hold an open fd of this connection. Kernels that do not tell which connection an fd
/// belongs to count every `/dev/fuse`.
#[must_use]
pub fn serving(root: i32, minor: u32) -> Vec<i32> {
    descendants::tree(&[root]).into_iter().filter(|&pid| served(pid).any(|of| of.is_none_or(|of| of == minor))).collect()
}

/// The connections of which a process below `root` holds an open fd, each with the process's real user.
#[must_use]
pub fn served_below(root: i32) -> BTreeSet<(u32, u32)> {
    let of = |pid| served(pid).flatten().filter_map(move |minor| Some((minor, user_of(pid)?)));
    descendants::tree(&[root]).into_iter().flat_map(of).collect()
}

/// Who serves what on this machine, as far as it is known.
#[derive(Debug, Default)]
pub struct Outside(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    serving: HashMap<u32, Vec<i32>>,
    /// When the last walk over all processes began.
    walked: Option<Instant>,
    /// Processes of which the kernel does not tell which connection they have open, or that nobody may look at.
    untold: Vec<i32>,
    /// Something that walk could not read.
    is_partial: bool,
    /// Until then nobody looks at everybody again.
    holds_until: Option<Instant>,
}

/// What a walk over all processes has found of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// No other process can have it open.
    Holders {
        /// These hold an fd of this number.
        known: Vec<i32>,
        /// Of these the kernel does not tell which they have open (before 6.16), or refuses to be asked.
        untold: Vec<i32>,
    },
    /// Something could not be read.
    Unread,
    /// There was no walk that began late enough. The next one is made when this is asked again later.
    NotYet,
}

impl Outside {
    /// The processes of this machine that hold an open fd of this connection and run as the user that has mounted it, or as root. At the
    /// price of a walk over all of them, which is made where they are not known yet, and takes no more than a tenth of the time however
    /// often this is asked.
    #[must_use]
    pub fn serving(&self, minor: u32, owner: u32) -> Vec<i32> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let still = |known: &Known| -> Vec<i32> {
            let found = known.serving.get(&minor).into_iter().flatten().copied();
            let may_serve = |pid| user_of(pid).is_some_and(|user| user == owner || user == ROOT);
            found.filter(|&pid| served(pid).any(|of| of == Some(minor)) && may_serve(pid)).collect()
        };
        let serving = still(&known);
        if !serving.is_empty() || !known.walk() {
            return serving;
        }
        still(&known)
    }

    /// The processes of this machine that may have this connection open, by a walk that began after `since`.
    #[must_use]
    pub fn find(&self, minor: u32, since: Instant) -> Found {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_late_enough = |known: &Known| known.walked.is_some_and(|walked| walked >= since);
        if !is_late_enough(&known) {
            known.walk();
        }
        if !is_late_enough(&known) {
            return Found::NotYet;
        }
        if known.is_partial {
            return Found::Unread;
        }
        Found::Holders { known: known.serving.get(&minor).cloned().unwrap_or_default(), untold: known.untold.clone() }
    }
}

/// A process's real user. Its other ids say nothing: anybody may run a setuid program that inherits an fd.
fn user_of(pid: i32) -> Option<u32> {
    status::user(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

impl Known {
    /// Looks at everybody. False: the last look still holds.
    fn walk(&mut self) -> bool {
        let start = Instant::now();
        if self.holds_until.is_some_and(|until| start < until) {
            return false;
        }
        self.serving.clear();
        self.untold.clear();
        self.walked = Some(start);
        self.is_partial = self.see_all().is_err();
        self.holds_until = Some(Instant::now() + SHORTEST_HOLD.max(start.elapsed() * 10));
        true
    }

    /// # Errors
    /// Something could not be read, and not because it had gone.
    fn see_all(&mut self) -> io::Result<()> {
        let mut whole = fs::read_dir("/proc").map(drop);
        for pid in descendants::everybody() {
            match served_by(pid) {
                Ok(connections) => {
                    for of in connections {
                        match of {
                            Some(of) => self.serving.entry(of).or_default().push(pid),
                            None => self.untold.push(pid),
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => self.untold.push(pid),
                Err(error) => whole = Err(error),
            }
        }
        whole
    }
}

/// The connections whose fd a process holds, as far as they can be read.
fn served(pid: i32) -> impl Iterator<Item = Option<u32>> {
    served_by(pid).unwrap_or_default().into_iter()
}

/// The connections whose fd a process holds. None: this kernel does not say which. Empty for a process that is gone.
///
/// # Errors
/// It is there, and cannot be looked at: for want of an fd, of memory, of rights.
fn served_by(pid: i32) -> io::Result<Vec<Option<u32>>> {
    let mut connections = Vec::new();
    let has_files = served_of(&format!("/proc/{pid}"), &mut connections)?;
    if !has_files {
        // Its first thread has ended, and others may live on.
        for thread in descendants::threads_of(pid).filter(|&thread| thread != pid) {
            served_of(&format!("/proc/{pid}/task/{thread}"), &mut connections)?;
        }
    }
    Ok(connections)
}

/// Adds the connections whose fd a process or a thread holds. False: it has no files.
fn served_of(directory: &str, connections: &mut Vec<Option<u32>>) -> io::Result<bool> {
    let mut has_files = false;
    let Some(fds) = unless_gone(fs::read_dir(format!("{directory}/fd")))? else { return Ok(has_files) };
    for fd in fds {
        let Some(fd) = unless_gone(fd)? else { return Ok(has_files) };
        has_files = true;
        let Some(to) = unless_gone(fs::read_link(fd.path()))? else { continue };
        if is_fuse(None, &fd.path().to_string_lossy(), to.as_os_str().as_bytes()) {
            let info = unless_gone(fs::read_to_string(format!("{directory}/fdinfo/{}", fd.file_name().display())))?;
            connections.extend(info.map(|info| connection(&info)));
        }
    }
    Ok(has_files)
}

/// None: what was to be read is gone by now.
fn unless_gone<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH) => Ok(None),
        read => read.map(Some),
    }
}

/// The connection of an fd, by what the kernel tells of it. None: this kernel does not say.
fn connection(info: &str) -> Option<u32> {
    info.lines().find_map(|line| line.strip_prefix("fuse_connection:")?.trim().parse().ok())
}

/// What these processes have done so far, together. Those that are gone have done nothing.
#[must_use]
pub fn work(pids: &[i32]) -> Work {
    pids.iter().fold(Work::default(), |sum, &pid| Work { cpu: sum.cpu + cpu(pid), disk: sum.disk + disk(pid) })
}

fn cpu(pid: i32) -> Duration {
    let stat = Stat::of(pid);
    // User and system time, in hundredths of a second (USER_HZ is 100 wherever Linux runs today).
    let ticks: u64 = [14, 15].iter().filter_map(|&number| stat.as_ref()?.field::<u64>(number)).sum();
    Duration::from_millis(ticks * 10)
}

fn disk(pid: i32) -> u64 {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let bytes = |name: &str| io.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok()).unwrap_or(0);
    bytes("read_bytes:") + bytes("write_bytes:")
}

/// How a process looks; None when it is gone.
#[must_use]
pub fn shown(pid: i32) -> Option<Shown> {
    let stat = Stat::of(pid)?;
    let (name, state) = (stat.name()?, stat.field(3)?);
    let wchan = fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
    Some(Shown { pid, name, state, wchan: wchan.trim_matches(['0', '\n']).to_owned() })
}

/// Everybody below `root` who waits for an answer of a FUSE daemon, or sleeps where no signal reaches him. (Waiting for an answer is
/// an ordinary sleep until a signal comes.)
#[must_use]
pub fn stuck(root: i32) -> Vec<Shown> {
    descendants::tree(&[root])
        .into_iter()
        .filter_map(shown)
        .filter(|seen| seen.state == 'D' || seen.wchan == "request_wait_answer")
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_work_and_are_shown() {
        let me = i32::try_from(std::process::id()).unwrap();
        let began = work(&[me]).cpu;
        while work(&[me]).cpu < began + Duration::from_millis(20) {}
        assert!(shown(me).is_some_and(|seen| seen.state != 'Z' && !seen.name.is_empty()));
        assert_eq!(shown(i32::MAX), None);
    }

    #[test]
    fn who_has_no_fuse_serves_nothing() {
        assert_eq!(serving(i32::try_from(std::process::id()).unwrap(), 0), []);
        assert_eq!(Outside::default().serving(u32::MAX, 0), []);
    }

    #[test]
    fn nobody_is_found_only_by_a_walk_that_began_late_enough() {
        let (outside, since) = (Outside::default(), Instant::now());
        assert!(matches!(outside.find(u32::MAX, since), Found::Holders { known, .. } if known.is_empty()));
        assert_eq!(outside.find(u32::MAX, Instant::now()), Found::NotYet, "the last walk holds for a while");
        assert_ne!(outside.find(u32::MAX, since), Found::NotYet);
    }
}
