//! The processes of this pid namespace, by a `/proc` of the caller's own.
//!
//! A vassal's root may have no `/proc`, or one that a tenant has covered. This one is mounted for the caller alone and stands
//! nowhere: no path leads to it. Calls in their order: [`Processes::open`], [`Processes::all`] or [`Processes::below`], then
//! [`Processes::look`] and [`Processes::fuse`] for each pid.
//!
//! Nothing here asks a file system. Whether an open file is `/dev/fuse` is read off its name, and confirmed by the kernel where
//! the kernel tells the connection of an fd (Linux 6.16).
//!
//! Races: what was read is history. A caller that means to signal opens a pidfd first, reads then, and asks last whether the
//! process still lives.
//!
//! Bounded: a tenant decides how many files its processes have open.

use std::{
    collections::HashSet,
    ffi::CStr,
    fs::File,
    io::Read as _,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
};

use nix::{
    dir::Dir,
    fcntl::{OFlag, open, openat, readlinkat},
    sys::stat::Mode,
};

use crate::{descendants, detached, escape, process::own_pid, signals::SIGTERM, stat::Stat, status, statx::device_of_link};

/// Open files of one process that are looked at, the lowest numbers first: a FUSE daemon opens its device early.
const MOST_FDS: usize = 1024;
/// Bytes read of one file of `/proc`.
const MOST_BYTES: u64 = 64 << 10;
/// The number of `/dev/fuse`.
const FUSE: (u32, u32) = (10, 229);
/// Ticks of the kernel's clock in a second, wherever Linux runs today (`USER_HZ`).
const TICKS: u64 = 100;

/// All processes of this pid namespace.
#[derive(Debug)]
pub struct Processes(OwnedFd);

/// One process at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its parent.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    /// Its session.
    pub session: i32,
    /// When it was started, as [`now_in_ticks`] counts.
    pub started: u64,
    /// Its name, as it calls itself: any bytes, made printable.
    pub name: String,
    /// A signal has stopped it.
    pub is_stopped: bool,
    /// The processor time it has taken, in ticks.
    pub worked: u64,
    /// Its real user.
    pub user: u32,
    /// It has a handler for SIGTERM. A program of libfuse has one while it serves, and none once it saves.
    pub catches_term: bool,
    /// The process that traces it, as a debugger does; 0: none.
    pub tracer: i32,
}

/// Which signals a process has handlers for, and which it ignores; of all others it dies, or nothing happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Takes {
    caught: u64,
    ignored: u64,
}

impl Takes {
    fn of(status: &str) -> Self {
        let set = |name: &str| status::value(status, name).and_then(|set| u64::from_str_radix(set, 16).ok()).unwrap_or(0);
        Self { caught: set("SigCgt"), ignored: set("SigIgn") }
    }

    /// It has a handler for this signal.
    #[must_use]
    pub fn catches(self, signal: i32) -> bool {
        self.caught >> (signal - 1) & 1 == 1
    }

    /// It ignores this signal.
    #[must_use]
    pub fn ignores(self, signal: i32) -> bool {
        self.ignored >> (signal - 1) & 1 == 1
    }
}

impl Processes {
    /// Mounts a `/proc`; where that is refused the one that is there is taken, if it is of this pid namespace.
    ///
    /// # Errors
    /// EPERM without `CAP_SYS_ADMIN` and without such a `/proc`.
    pub fn open() -> nix::Result<Self> {
        detached::mount(c"proc").map(Self).or_else(|errno| {
            if !descendants::proc_is_ours() {
                return Err(errno);
            }
            open("/proc", OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()).map(Self)
        })
    }

    /// The pids of all.
    #[must_use]
    pub fn all(&self) -> Vec<i32> {
        self.numbers_in(c".", usize::MAX)
    }

    /// The pids of the descendants of a process that is the subreaper of its own.
    #[must_use]
    pub fn below(&self, root: i32) -> Vec<i32> {
        let (mut found, mut seen, mut parents) = (Vec::new(), HashSet::new(), vec![root]);
        while let Some(parent) = parents.pop() {
            for pid in self.children_of(parent) {
                if seen.insert(pid) {
                    found.push(pid);
                    parents.push(pid);
                }
            }
        }
        found
    }

    /// How a process looks; None when it is gone, or dead and not reaped.
    #[must_use]
    pub fn look(&self, pid: i32) -> Option<Process> {
        let stat = Stat::parse(self.read(&format!("{pid}/stat"))?);
        let state: char = stat.field(3)?;
        let status = self.read(&format!("{pid}/status"))?;
        let name = stat.name()?.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect();
        Some(Process {
            parent: stat.field(4)?,
            group: stat.field(5)?,
            session: stat.field(6)?,
            started: stat.field(22)?,
            name,
            is_stopped: state == 'T',
            worked: stat.field::<u64>(14)? + stat.field::<u64>(15)?,
            user: status::user(&status)?,
            catches_term: Takes::of(&status).catches(SIGTERM),
            tracer: status::value(&status, "TracerPid").and_then(|pid| pid.parse().ok()).unwrap_or(0),
        })
        .filter(|_| !matches!(state, 'Z' | 'X'))
    }

    /// Those that are children of this one at the moment.
    #[must_use]
    pub fn children_of(&self, parent: i32) -> Vec<i32> {
        let Ok(tasks) = std::ffi::CString::new(format!("{parent}/task")) else { return Vec::new() };
        let mut children = Vec::new();
        for task in self.numbers_in(&tasks, usize::MAX) {
            match self.read(&format!("{parent}/task/{task}/children")) {
                Some(line) => children.extend(line.split_ascii_whitespace().filter_map(|n| n.parse::<i32>().ok())),
                // The file needs CONFIG_PROC_CHILDREN; without it each process is asked for its parent.
                None if self.read(&format!("{0}/task/{0}/children", own_pid())).is_none() => {
                    return self.all().into_iter().filter(|&pid| self.parent_of(pid) == Some(parent)).collect();
                }
                None => {}
            }
        }
        children
    }

    /// What a process does with signals; None when it is gone.
    #[must_use]
    pub fn takes(&self, pid: i32) -> Option<Takes> {
        self.read(&format!("{pid}/status")).map(|status| Takes::of(&status))
    }

    /// The FUSE connections a process serves, or holds: None for one of which this kernel does not say which it is.
    #[must_use]
    pub fn fuse(&self, pid: i32) -> Vec<Option<u32>> {
        let Ok(directory) = std::ffi::CString::new(format!("{pid}/fd")) else { return Vec::new() };
        let is_fuse = |fd: &i32| {
            let path = format!("{pid}/fd/{fd}");
            readlinkat(&self.0, path.as_str()).is_ok_and(|link| is_fuse(Some(self.0.as_fd()), &path, link.as_bytes()))
        };
        let fds = self.numbers_in(&directory, MOST_FDS);
        fds.into_iter().filter(is_fuse).map(|fd| self.connection(pid, fd)).collect()
    }

    /// Whether it may read what another process writes: it has a pipe it can read from, a socket, or the master of a terminal.
    #[must_use]
    pub fn reads_from_others(&self, pid: i32) -> bool {
        let Ok(directory) = std::ffi::CString::new(format!("{pid}/fd")) else { return false };
        self.numbers_in(&directory, MOST_FDS).into_iter().any(|fd| {
            let Ok(link) = readlinkat(&self.0, format!("{pid}/fd/{fd}").as_str()) else { return false };
            let link = link.to_string_lossy();
            link.starts_with("socket:") || link.ends_with("ptmx") || link.starts_with("pipe:") && !self.only_writes(pid, fd)
        })
    }

    fn only_writes(&self, pid: i32, fd: i32) -> bool {
        let flags = self.read(&format!("{pid}/fdinfo/{fd}")).unwrap_or_default();
        let flags = flags.lines().find_map(|line| i32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
        flags.is_some_and(|flags| flags & libc::O_ACCMODE == libc::O_WRONLY)
    }

    /// Whether its root is not the one it was born with. Nothing is known of one that may not be looked at.
    #[must_use]
    pub fn is_in_a_chroot(&self, pid: i32) -> bool {
        readlinkat(&self.0, format!("{pid}/root").as_str()).is_ok_and(|root| root != "/")
    }

    fn connection(&self, pid: i32, fd: i32) -> Option<u32> {
        let info = self.read(&format!("{pid}/fdinfo/{fd}"))?;
        info.lines().find_map(|line| line.strip_prefix("fuse_connection:")?.trim().parse().ok())
    }

    fn parent_of(&self, pid: i32) -> Option<i32> {
        Stat::parse(self.read(&format!("{pid}/stat"))?).field(4)
    }

    fn read(&self, path: &str) -> Option<String> {
        let file = openat(&self.0, path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).ok()?;
        let mut bytes = Vec::new();
        File::from(file).take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn numbers_in(&self, directory: &CStr, most: usize) -> Vec<i32> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let Ok(directory) = Dir::openat(self.0.as_fd(), directory, flags, Mode::empty()) else { return Vec::new() };
        let number = |entry: nix::Result<nix::dir::Entry>| entry.ok()?.file_name().to_str().ok()?.parse().ok();
        directory.into_iter().filter_map(number).take(most).collect()
    }
}

/// Whether an open file is `/dev/fuse`, by what its link in `/proc` says. Where that is the root of a mount nothing can be told from it, and the
/// kernel is asked which device it is: such a `/dev/fuse` was bound on its own (a container's), and is seen from another root.
pub(crate) fn is_fuse(directory: Option<BorrowedFd<'_>>, path: &str, link: &[u8]) -> bool {
    let is_device = || std::ffi::CString::new(path).is_ok_and(|path| device_of_link(directory, &path) == Some(FUSE));
    names_fuse(link) || link == b"/" && is_device()
}

/// Seen from a root that has another `/dev` the name is cut, and from one that has the root of before below itself it is longer. Where the device
/// was made anew since, the kernel adds that it is deleted.
fn names_fuse(link: &[u8]) -> bool {
    let link = link.strip_suffix(b" (deleted)").unwrap_or(link);
    link == b"/fuse" || link.ends_with(b"/dev/fuse")
}

/// The names of processes of this pid namespace, also of those that have ended and were not reaped.
#[derive(Debug)]
pub struct Names(Option<Processes>);

impl Names {
    /// By a `/proc` of the caller's own. Where that may not be mounted no process has a name.
    #[must_use]
    pub fn new() -> Self {
        Self(detached::mount(c"proc").ok().map(Processes))
    }

    /// All of them, where a `/proc` was to be had.
    #[must_use]
    pub fn processes(&self) -> Option<&Processes> {
        self.0.as_ref()
    }

    /// The name of a process. Each chooses its own: what would end or turn a line is escaped.
    #[must_use]
    pub fn of(&self, pid: i32) -> Option<String> {
        let name = self.0.as_ref()?.read(&format!("{pid}/comm"))?;
        Some(escape::in_one_line(name.strip_suffix('\n').unwrap_or(&name)))
    }
}

impl Default for Names {
    fn default() -> Self {
        Self::new()
    }
}

/// Now, in the unit of [`Process::started`].
#[must_use]
pub fn now_in_ticks() -> u64 {
    // SAFETY: all zeroes is a value of this plain C struct.
    let mut now: libc::timespec = unsafe { std::mem::zeroed() };
    // SAFETY: the struct outlives the call, which fills it.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut now) };
    #[allow(clippy::cast_sign_loss, reason = "time since the machine started")]
    let (seconds, nanos) = (now.tv_sec as u64, now.tv_nsec as u64);
    seconds * TICKS + nanos / (1_000_000_000 / TICKS)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use std::process::Stdio;

    use super::*;

    #[test]
    fn our_child_is_below_us_and_shown() {
        let before = now_in_ticks();
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "trap : TERM; trap '' HUP; echo; read x"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap(); // its trap is set
        let pid = i32::try_from(child.id()).unwrap();
        let processes = Processes::open().expect("root");
        assert!(processes.below(own_pid()).contains(&pid) && processes.all().contains(&1));
        assert!(processes.children_of(own_pid()).contains(&pid) && !processes.children_of(1).contains(&pid));
        let takes = processes.takes(pid).unwrap();
        let of = |signal| (takes.catches(signal), takes.ignores(signal));
        assert_eq!([of(SIGTERM), of(libc::SIGHUP), of(libc::SIGUSR2)], [(true, false), (false, true), (false, false)]);
        let seen = processes.look(pid).unwrap();
        assert_eq!((seen.parent, seen.name.as_str(), seen.catches_term), (own_pid(), "sh", true));
        assert!((before..=now_in_ticks()).contains(&seen.started), "{before} {seen:?}");
        assert!(processes.fuse(pid).is_empty());
        child.kill().unwrap();
        while processes.look(pid).is_some() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
    }

    #[test]
    fn one_that_can_read_a_pipe_is_told_from_one_that_only_writes() {
        let processes = Processes::open().expect("root");
        let mut reader = std::process::Command::new("cat");
        let mut reader = reader.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let (_held, held_too) = std::io::pipe().unwrap();
        let mut writer = std::process::Command::new("sleep");
        let mut writer = writer.arg("1001").stdin(Stdio::null()).stdout(held_too).stderr(Stdio::null()).spawn().unwrap();
        let read = [&reader, &writer].map(|child| processes.reads_from_others(i32::try_from(child.id()).unwrap()));
        for child in [&mut reader, &mut writer] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert_eq!(read, [true, false]);
    }

    #[test]
    fn the_device_is_known_from_any_root() {
        let known = ["/dev/fuse", "/fuse", "/.old_root/dev/fuse", "/dev/fuse (deleted)", "/fuser", "/data/fuse", "/dev/null"];
        assert_eq!(known.map(|link| names_fuse(link.as_bytes())), [true, true, true, true, false, false, false]);
    }

    #[test]
    fn a_name_that_tells_nothing_is_looked_at() {
        let is_fuse = |path: &str| {
            let file = File::open(path).expect("it is on every machine");
            is_fuse(None, &format!("/proc/self/fd/{}", file.as_raw_fd()), b"/")
        };
        assert_eq!(["/dev/fuse", "/dev/null", "/", "/etc/passwd"].map(is_fuse), [true, false, false, false]);
    }

    #[test]
    fn an_open_device_is_seen() {
        let _device = File::options().read(true).write(true).open("/dev/fuse").expect("a kernel with FUSE");
        assert!(!Processes::open().expect("root").fuse(own_pid()).is_empty());
    }
}
