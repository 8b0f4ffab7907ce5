//! A command beside the processes of somebody else: in all their namespaces, their control groups and their root, with no more
//! capabilities than theirs may ever get.
//!
//! Two processes are made. The *keeper* is born into the other pid namespace, joins the rest and waits for the command, which is its
//! child. Both die with the namespace. The caller stays outside and carries what is said between its own files and theirs (`lines`). Races
//! and traps it closes:
//! * a pid may be somebody else's by now: everything is opened through `/proc/PID` and then the pidfd is asked whether that process
//!   still lives;
//! * who is born in there is not yet the command, but a copy of us. Nobody in there may look into it; it has none of the caller's files open;
//!   and the program it runs is a sealed copy (the caller sees to that), because what it executes is theirs, may be a link to
//!   `/proc/self/exe`, and then brings a loader of theirs into our own program;
//! * the end of a pid namespace waits until everybody in it is *reaped*. The caller is outside, and may be stopped by its terminal: so it
//!   ignores SIGCHLD, the kernel reaps the keeper, and how the command ended comes through a pipe;
//! * without a pid namespace nothing says that the command is of this vassal: so it bears the mark of its processes.
//!
//! For a process of one thread; it moves the caller's *future children* into the pid namespace, so the caller ends afterwards.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, open},
    sys::{
        signal::{SigHandler, Signal, signal},
        stat::Mode,
    },
    unistd::{chdir, chroot, fchdir, setsid},
};

use crate::{
    Strings, caps,
    identity::{self, Identity},
    lines::Lines,
    mark::Mark,
    mountinfo, pidfd,
    poll::{Interest, poll},
    process::{self, OneThread},
    programs, raw,
    signals::{self, Signals},
    statx,
    wait::{self, Ended},
};

/// The kinds of namespaces, as files and as flags of `setns`.
const KINDS: [(&str, i32); 7] = [
    ("user", libc::CLONE_NEWUSER),
    ("mnt", libc::CLONE_NEWNS),
    ("pid", libc::CLONE_NEWPID),
    ("ipc", libc::CLONE_NEWIPC),
    ("uts", libc::CLONE_NEWUTS),
    ("net", libc::CLONE_NEWNET),
    ("cgroup", libc::CLONE_NEWCGROUP),
];

/// The surroundings of a process, held open. The command ends with that process.
#[derive(Debug)]
pub struct Surroundings {
    process: OwnedFd,
    root: OwnedFd,
    /// The capabilities a program in there may get at all.
    bound: u64,
    /// Those that are not the caller's own.
    namespaces: i32,
    /// The lists of its control groups that are not the caller's own, to write to.
    groups: Vec<File>,
    mark: Option<Mark>,
}

/// What is run in there.
#[derive(Debug)]
pub struct Guest<'a> {
    /// Where the program may be, tried in order as `execvp` does.
    pub programs: &'a Strings,
    /// The argument vector, with the name in front.
    pub argv: &'a Strings,
    /// The whole environment.
    pub env: &'a Strings,
    /// Who it is.
    pub identity: Identity<'a>,
    /// The capabilities it may get at most, beside what the surroundings allow.
    pub bound: u64,
    /// No setuid program makes it another one.
    pub no_new_privs: bool,
    /// Where it starts, as far as its user comes there and the root is above it; None, and otherwise: at the root.
    pub directory: Option<BorrowedFd<'a>>,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visit {
    /// By itself, with this status.
    Exited(i32),
    /// By this signal.
    Killed(i32),
    /// It was not executed.
    NotExecuted(Errno),
    /// It was not let in.
    NotJoined(JoinStage, Errno),
    /// Everything in there ended, it too.
    HostEnded,
}

/// How far the keeper came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum JoinStage {
    /// A control group.
    Group = 0,
    /// The namespaces.
    Namespaces,
    /// The root.
    Root,
    /// The identity.
    Identity,
    /// The bounds of its capabilities.
    Capabilities,
    /// The terminal of its own.
    Terminal,
}

const STAGES: [JoinStage; 6] =
    [JoinStage::Group, JoinStage::Namespaces, JoinStage::Root, JoinStage::Identity, JoinStage::Capabilities, JoinStage::Terminal];
const EXEC: raw::Stage = 16;
const EXITED: raw::Stage = 17;
const KILLED: raw::Stage = 18;

impl Surroundings {
    /// Those of a process, which is held by a pidfd that was opened while the pid was certainly its.
    ///
    /// # Errors
    /// ESRCH: it has ended. EACCES, EPERM: it may not be looked at by this user.
    pub fn of(process: OwnedFd, pid: i32) -> nix::Result<Self> {
        let found = Self {
            root: place(pid, "root")?,
            bound: caps::bound_of(pid)?,
            namespaces: foreign_namespaces(pid)?,
            groups: foreign_groups(pid).map_err(|error| errno(&error))?,
            mark: Mark::of(pid),
            process,
        };
        // All of the above was of this process, if it lives now.
        pidfd::signal(&found.process, 0)?;
        Ok(found)
    }

    /// Whether its root is another one than the caller's.
    ///
    /// # Errors
    /// Its file system does not tell.
    pub fn has_another_root(&self) -> nix::Result<bool> {
        let identity = |stat: libc::statx| (stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino);
        let theirs = statx::of_fd(self.root.as_fd(), libc::STATX_INO)?;
        Ok(identity(theirs) != identity(statx::of_path(c"/")?))
    }

    /// Whether it has a user namespace of its own.
    #[must_use]
    pub fn has_another_user_namespace(&self) -> bool {
        self.namespaces & libc::CLONE_NEWUSER != 0
    }

    /// Runs a command in there, and waits for its end or the others'. It has no file of the caller's.
    ///
    /// # Errors
    /// EAGAIN, ENOMEM: no process could be made; EPERM: not root.
    pub fn visit(&self, _: &OneThread, guest: &Guest<'_>) -> nix::Result<Visit> {
        // Inherited by both children, until the command is executed.
        process::keep_to_itself();
        let mut lines = Lines::new((guest.identity.uid, guest.identity.gid))?;
        let signals = Signals::take_over()?;
        // The kernel reaps.
        set_handler(Signal::SIGCHLD, SigHandler::SigIgn)?;
        if self.namespaces & libc::CLONE_NEWPID != 0 {
            join(&self.process, libc::CLONE_NEWPID)?;
        }
        let (report, tell) = raw::report_pipe()?;
        // SAFETY: the caller has one thread, so the child may run ordinary code; it leaves by `leave`.
        match unsafe { raw::fork(0) }? {
            raw::Side::Child => {
                let mut tell = [tell.as_raw_fd()];
                let (stage, number) = self.keep(guest, &lines, &mut tell);
                raw::leave_with(tell[0], stage, number)
            }
            raw::Side::Parent(keeper) => {
                drop(tell);
                lines.hand_over();
                Ok(self.await_end(keeper, report.as_fd(), &mut lines, &signals))
            }
        }
    }

    fn await_end(&self, keeper: i32, report: BorrowedFd<'_>, lines: &mut Lines, signals: &Signals) -> Visit {
        // None: it has ended already, and what it had to say is in the pipe.
        let keeper = pidfd::open(keeper).ok();
        let tell = |signal| {
            let _ = keeper.as_ref().map(|keeper| pidfd::signal(keeper, signal));
        };
        loop {
            let own = [report, self.process.as_fd(), signals.as_fd()];
            let interests: Vec<_> = own.into_iter().map(Interest::readable).chain(lines.interests()).collect();
            let ready = poll(&interests, None).unwrap_or_default();
            let [reported, ended, signalled, ready @ ..] = &ready[..] else { continue };
            if *signalled {
                while let Some(received) = signals.next() {
                    match received.signal {
                        signals::SIGWINCH | signals::SIGCONT => lines.follow_window(),
                        // Of a terminal we share with other programs.
                        signals::SIGINT | signals::SIGQUIT => tell(received.signal),
                        signals::SIGTSTP => drop(nix::sys::signal::raise(Signal::SIGSTOP)),
                        // With us goes the keeper, and with it the command.
                        signals::SIGTERM | signals::SIGHUP => return Visit::Killed(received.signal),
                        _ => {}
                    }
                }
            }
            lines.carry(ready);
            if *ended && !*reported {
                // Where there is no pid namespace to end it.
                tell(libc::SIGKILL);
            }
            if *reported || *ended {
                break;
            }
        }
        lines.drain();
        let said = raw::read_report(report);
        // Whoever is left to another parent may never be reaped by it, and then its namespace never ends.
        if let Some(keeper) = &keeper {
            while !poll(&[Interest::readable(keeper.as_fd())], None).is_ok_and(|ended| ended[0]) {}
        }
        match said {
            None => Visit::HostEnded,
            Some((EXITED, status)) => Visit::Exited(status),
            Some((KILLED, signal)) => Visit::Killed(signal),
            Some((EXEC, errno)) => Visit::NotExecuted(Errno::from_raw(errno)),
            Some((stage, errno)) => {
                let stage = STAGES.into_iter().find(|known| *known as raw::Stage == stage).unwrap_or(JoinStage::Root);
                Visit::NotJoined(stage, Errno::from_raw(errno))
            }
        }
    }

    /// The keeper: goes in, starts the command, and comes back with its end, or with what went wrong.
    fn keep(&self, guest: &Guest<'_>, lines: &Lines, tell: &mut [RawFd; 1]) -> (raw::Stage, i32) {
        die_with_parent(libc::SIGKILL);
        if let Err((stage, errno)) = self.let_go_of_ours(guest, lines, tell).and_then(|()| self.go_in()) {
            return (stage as raw::Stage, errno as i32);
        }
        let directory = guest.directory.map(|directory| directory.as_raw_fd());
        let mut kept: Vec<RawFd> = [0, 1, 2, tell[0]].into_iter().chain(directory).collect();
        kept.sort_unstable();
        raw::close_all_but(&kept);
        let Ok(signals) = Signals::take_over() else { return (EXEC, Errno::EMFILE as i32) };
        // SAFETY: one thread, so the child may run ordinary code; it leaves by exec or `leave`.
        match unsafe { raw::fork(0) } {
            Err(errno) => (EXEC, errno as i32),
            Ok(raw::Side::Child) => {
                let (stage, errno) = execute(guest, self.bound & guest.bound, lines.is_terminal());
                raw::leave(tell[0], stage, errno)
            }
            Ok(raw::Side::Parent(command)) => match await_command(command, &signals) {
                Some(Ended::Code(status)) => (EXITED, status),
                Some(Ended::Signal(signal)) => (KILLED, signal),
                None => (EXITED, 1),
            },
        }
    }

    /// Before anything is entered: of what the caller has open only what it takes is left.
    fn let_go_of_ours(&self, guest: &Guest<'_>, lines: &Lines, tell: &mut [RawFd; 1]) -> Result<(), (JoinStage, Errno)> {
        let theirs = lines.theirs().ok_or((JoinStage::Terminal, Errno::EBADF))?;
        let mut moves: Vec<raw::Move> = theirs.iter().zip(0..).map(|(fd, to)| (fd.as_raw_fd(), to)).collect();
        let own = [self.process.as_raw_fd(), self.root.as_raw_fd()];
        let groups = self.groups.iter().map(File::as_raw_fd);
        let directory = guest.directory.map(|directory| directory.as_raw_fd());
        let mut kept: Vec<RawFd> = own.into_iter().chain(groups).chain(directory).chain([0, 1, 2]).collect();
        raw::arrange(&mut moves, tell).map_err(|errno| (JoinStage::Terminal, errno))?;
        kept.push(tell[0]);
        kept.sort_unstable();
        raw::close_all_but(&kept);
        Ok(())
    }

    fn go_in(&self) -> Result<(), (JoinStage, Errno)> {
        if let Some(mark) = self.mark {
            mark.bear().map_err(|errno| (JoinStage::Group, errno))?;
        }
        for mut group in &self.groups {
            group.write_all(b"0").map_err(|error| (JoinStage::Group, errno(&error)))?;
        }
        let others = self.namespaces & !libc::CLONE_NEWPID;
        if others != 0 {
            join(&self.process, others).map_err(|errno| (JoinStage::Namespaces, errno))?;
        }
        let root = |errno| (JoinStage::Root, errno);
        fchdir(&self.root).and_then(|()| chroot(".")).and_then(|()| chdir("/")).map_err(root)
    }
}

/// Passes on what comes from the caller's terminal, until the command ends. None: it is gone without a word.
fn await_command(command: i32, signals: &Signals) -> Option<Ended> {
    loop {
        if let Some(ended) = wait::reap(command) {
            return Some(ended);
        }
        poll(&[Interest::readable(signals.as_fd())], None).ok()?;
        while let Some(received) = signals.next() {
            if matches!(received.signal, signals::SIGINT | signals::SIGQUIT) {
                // Its group may not be made yet, and a command that has ended is reaped by us alone.
                let _ = crate::descendants::kill(-command, received.signal);
            }
        }
    }
}

/// In the command's process: comes back only to say what failed. No path is looked up before it is who it shall be.
fn execute(guest: &Guest<'_>, bound: u64, has_terminal: bool) -> (raw::Stage, Errno) {
    if let Err((stage, errno)) = own_session(has_terminal).and_then(|()| become_guest(guest, bound)) {
        return (stage as raw::Stage, errno);
    }
    // Behind the change of identity, which clears it.
    die_with_parent(libc::SIGHUP);
    raw::default_handlers();
    raw::clear_mask();
    // A directory that lets nobody in, or lies elsewhere, is no reason to stay outside: we are at the root.
    if let Some(directory) = guest.directory
        && let Err(errno) =
            fchdir(directory).and_then(|()| if below_root() { Ok(()) } else { chdir("/") }).or_else(|_| chdir("/"))
    {
        return (JoinStage::Root as raw::Stage, errno);
    }
    (EXEC, programs::execute(guest.programs, guest.argv, guest.env))
}

/// A session of its own, whose terminal is the visitor's.
fn own_session(has_terminal: bool) -> Result<(), (JoinStage, Errno)> {
    let terminal = |errno| (JoinStage::Terminal, errno);
    setsid().map_err(terminal)?;
    if has_terminal {
        // SAFETY: numbers only.
        raw::check(unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) }.into()).map_err(terminal)?;
    }
    Ok(())
}

/// The bounding set shrinks while we may, and the sets behind the identity, which needs more than may be left.
fn become_guest(guest: &Guest<'_>, bound: u64) -> Result<(), (JoinStage, Errno)> {
    let capabilities = |errno| (JoinStage::Capabilities, errno);
    caps::bound(bound).map_err(capabilities)?;
    identity::take(&guest.identity).map_err(|errno| (JoinStage::Identity, errno))?;
    caps::keep(bound).map_err(capabilities)?;
    if guest.no_new_privs {
        // SAFETY: numbers only.
        raw::check(unsafe { libc::syscall(libc::SYS_prctl, libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }).map_err(capabilities)?;
    }
    Ok(())
}

/// Whether the working directory is below the root, in mounts of this namespace. libc's `getcwd` hides the kernel's answer.
fn below_root() -> bool {
    let mut path = [0u8; libc::PATH_MAX as usize];
    // SAFETY: the buffer is as long as we say and outlives the call.
    let length = raw::check(unsafe { libc::syscall(libc::SYS_getcwd, path.as_mut_ptr(), path.len()) });
    length.is_ok() && path[0] == b'/' // else "(unreachable)/..."
}

/// The working directory of a process, which is held by a pidfd as in [`Surroundings::of`].
///
/// # Errors
/// ESRCH: it has ended. EACCES, EPERM: it may not be looked at by this user.
pub fn directory_of(process: &OwnedFd, pid: i32) -> nix::Result<OwnedFd> {
    let directory = place(pid, "cwd")?;
    pidfd::signal(process, 0)?;
    Ok(directory)
}

fn place(pid: i32, name: &str) -> nix::Result<OwnedFd> {
    open(format!("/proc/{pid}/{name}").as_str(), OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
}

/// The kinds of namespaces in which a process is elsewhere than we.
fn foreign_namespaces(pid: i32) -> nix::Result<i32> {
    let inode = |whose: &str, kind: &str| fs::metadata(format!("/proc/{whose}/ns/{kind}")).map(|at| at.ino());
    let mut flags = 0;
    for (kind, flag) in KINDS {
        let theirs = inode(&pid.to_string(), kind).map_err(|error| errno(&error))?;
        if inode("self", kind).ok() != Some(theirs) {
            flags |= flag;
        }
    }
    Ok(flags)
}

/// `cgroup.procs` of each group a process is in and we are not, open to write to.
fn foreign_groups(pid: i32) -> io::Result<Vec<File>> {
    let ours = fs::read_to_string("/proc/self/cgroup")?;
    let theirs = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let mounts = mountinfo::own()?;
    let foreign = theirs.lines().filter(|line| !ours.lines().any(|own| own == *line));
    foreign
        .filter_map(|line| group_directory(line, &mounts))
        .map(|directory| OpenOptions::new().write(true).open(directory.join("cgroup.procs")))
        .collect()
}

/// The directory of `ID:CONTROLLERS:PATH` (a line of `/proc/PID/cgroup`), where its hierarchy is mounted. None: it is mounted nowhere.
#[must_use]
pub fn group_directory(line: &str, mounts: &[mountinfo::Mount]) -> Option<PathBuf> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, path) = (parts.next()?, parts.next()?);
    let mount = mounts.iter().find(|mount| match controllers {
        "" => mount.fstype == "cgroup2",
        _ => {
            mount.fstype == "cgroup" && controllers.split(',').all(|one| mount.super_options.split(',').any(|there| there == one))
        }
    })?;
    Some(Path::new(&mount.mount_point).join(path.trim_start_matches('/')))
}

/// `setns` by a pidfd (Linux 5.8): all kinds at once, in the order the kernel needs.
fn join(process: &OwnedFd, kinds: i32) -> nix::Result<()> {
    // SAFETY: numbers only.
    raw::check(unsafe { libc::syscall(libc::SYS_setns, process.as_raw_fd(), kinds) }).map(drop)
}

fn die_with_parent(signal: i32) {
    // SAFETY: numbers only.
    unsafe { libc::syscall(libc::SYS_prctl, libc::PR_SET_PDEATHSIG, signal, 0, 0, 0) };
}

fn set_handler(of: Signal, handler: SigHandler) -> nix::Result<()> {
    // SAFETY: callers name the default or the ignoring of a signal, which run no code.
    unsafe { signal(of, handler) }.map(drop)
}

fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_where_its_hierarchy_is_mounted() {
        let mount = |fstype: &str, at: &str, options: &str| mountinfo::Mount {
            id: 1,
            parent: 0,
            device: (0, 1),
            root: "/".into(),
            mount_point: at.into(),
            options: "rw".into(),
            follows: false,
            fstype: fstype.into(),
            source: "cgroup".into(),
            super_options: options.into(),
        };
        let mounts = [
            mount("cgroup2", "/cg/unified", "rw"),
            mount("cgroup", "/cg/cpu", "rw,cpu,cpuacct"),
            mount("cgroup", "/cg/x", "rw,name=x"),
        ];
        for (line, directory) in [
            ("0::/", Some("/cg/unified/")),
            ("0::/shop/a:b", Some("/cg/unified/shop/a:b")),
            ("3:cpu,cpuacct:/shop", Some("/cg/cpu/shop")),
            ("4:name=x:/", Some("/cg/x/")),
            ("5:memory:/shop", None),
        ] {
            assert_eq!(group_directory(line, &mounts).as_deref(), directory.map(Path::new), "{line}");
        }
    }

    #[test]
    fn nobody_is_in_other_namespaces_than_himself() {
        assert_eq!(foreign_namespaces(std::process::id() as i32), Ok(0));
        assert!(foreign_groups(std::process::id() as i32).unwrap().is_empty());
    }
}
