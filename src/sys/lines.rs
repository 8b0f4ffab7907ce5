//! What a visitor reads from and writes to: lines of its own, and never the caller's files.
//!
//! A descriptor is more than a way to read and write: its file can be given another mode or owner, be cut, or be typed into. So a visitor
//! gets a terminal of its own where the caller has one, else pipes, and the caller's process carries the bytes between. Where stdout and
//! stderr are one file they are one pipe, and what is written keeps its order.
//!
//! The way of use: [`Lines::new`] before the fork; [`Lines::theirs`] for the child; then [`Lines::carry`] in a loop, and
//! [`Lines::drain`] when the visitor has ended. Dropped, the caller's terminal is as it was.
//!
//! Nothing here waits for a reader that does not read: an end that is ours is not blocking, and the caller's terminal and pipes are opened
//! once more to be so. (A socket, and what cannot be opened again, is written to in small pieces when there is room.)

use std::{
    fs,
    io::{self, IsTerminal},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::fs::FileTypeExt,
    },
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl, open},
    pty::{Winsize, openpty},
    sys::{
        stat::{Mode, fstat},
        termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr},
    },
    unistd::{getpgrp, pipe2, read, tcgetpgrp, write},
};

use crate::{
    fds, pipe,
    poll::{Interest, poll},
    raw::check,
};

/// What is read at once; written in pieces of a pipe's guaranteed room where a write could wait.
const ROOM: usize = 16 << 10;
const PIECE: usize = libc::PIPE_BUF;

/// How long what was said last may take on its way.
const LAST: Duration = Duration::from_secs(1);

/// The three lines.
#[derive(Debug)]
pub(crate) struct Lines {
    theirs: Option<[OwnedFd; 3]>,
    carriers: Vec<Carrier>,
    terminal: Option<Terminal>,
}

/// Bytes on their way.
#[derive(Debug)]
struct Carrier {
    /// None: it has ended.
    from: Option<OwnedFd>,
    /// None: nobody reads any more.
    to: Option<OwnedFd>,
    buffer: Vec<u8>,
    /// Towards the visitor: not waited for at its end.
    is_input: bool,
}

/// The caller's terminal, in raw mode, and the visitor's.
#[derive(Debug)]
struct Terminal {
    outer: OwnedFd,
    inner: OwnedFd,
    before: Termios,
}

impl Lines {
    /// For a visitor who is this user and group.
    ///
    /// # Errors
    /// EMFILE; there is no `/dev/ptmx`.
    pub(crate) fn new((uid, gid): (u32, u32)) -> nix::Result<Self> {
        if is_ours_in_front() { Self::of_terminal(uid) } else { Self::of_pipes(uid, gid) }
    }

    fn of_terminal(uid: u32) -> nix::Result<Self> {
        let outer = own_copy(io::stdin().as_fd())?;
        let before = tcgetattr(&outer)?;
        let pty = openpty(Some(&size_of_window(&outer)), Some(&before))?;
        for end in [&pty.master, &pty.slave] {
            fds::cloexec(end)?;
        }
        fcntl(&pty.master, FcntlArg::F_SETFL(OFlag::O_RDWR | OFlag::O_NONBLOCK))?;
        // So that it may open it once more by its name. The group stays the terminals'.
        nix::unistd::fchown(&pty.slave, Some(uid.into()), None)?;
        let mut carriers = vec![
            Carrier::new(copy_of(&outer)?, copy_of(&pty.master)?, true),
            Carrier::new(copy_of(&pty.master)?, own_copy(io::stdout().as_fd())?, false),
        ];
        let err = if io::stderr().is_terminal() {
            copy_of(&pty.slave)?
        } else {
            let (ours, theirs) = pipe::pipe()?;
            carriers.push(Carrier::new(ours, own_copy(io::stderr().as_fd())?, false));
            theirs
        };
        let theirs = Some([copy_of(&pty.slave)?, pty.slave, err]);
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        let terminal = Terminal { outer, inner: pty.master, before };
        tcsetattr(&terminal.outer, SetArg::TCSADRAIN, &raw)?;
        Ok(Self { theirs, carriers, terminal: Some(terminal) })
    }

    fn of_pipes(uid: u32, gid: u32) -> nix::Result<Self> {
        let (in_theirs, in_ours) = pipe2(OFlag::O_CLOEXEC)?;
        fcntl(&in_ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let (out_ours, out_theirs) = pipe::pipe()?;
        let mut carriers = vec![
            Carrier::new(copy_of(&io::stdin())?, in_ours, true),
            Carrier::new(out_ours, own_copy(io::stdout().as_fd())?, false),
        ];
        let err_theirs = if is_one_file(&io::stdout(), &io::stderr()) {
            copy_of(&out_theirs)?
        } else {
            let (err_ours, err_theirs) = pipe::pipe()?;
            carriers.push(Carrier::new(err_ours, own_copy(io::stderr().as_fd())?, false));
            err_theirs
        };
        let theirs = [in_theirs, out_theirs, err_theirs];
        for end in &theirs {
            pipe::give_to(end, uid, gid)?;
        }
        Ok(Self { theirs: Some(theirs), carriers, terminal: None })
    }

    /// The visitor's ends, as 0, 1 and 2.
    pub(crate) fn theirs(&self) -> Option<[BorrowedFd<'_>; 3]> {
        self.theirs.as_ref().map(|ends| ends.each_ref().map(AsFd::as_fd))
    }

    /// Whether they are a terminal, to be the visitor's controlling one.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal.is_some()
    }

    /// The visitor has its ends by now.
    pub(crate) fn hand_over(&mut self) {
        self.theirs = None;
    }

    /// What to wait for.
    pub(crate) fn interests(&self) -> impl Iterator<Item = Interest<'_>> {
        self.carriers.iter().filter_map(Carrier::interest)
    }

    /// Carries what can be carried without waiting, of those that are ready, in the order of [`Self::interests`].
    pub(crate) fn carry(&mut self, ready: &[bool]) {
        let mut ready = ready.iter();
        for carrier in &mut self.carriers {
            if carrier.interest().is_some() && ready.next() == Some(&true) {
                carrier.carry();
            }
        }
    }

    /// The caller's window has another size, or the terminal was somebody else's for a while.
    pub(crate) fn follow_window(&self) {
        if let Some(Terminal { outer, inner, .. }) = &self.terminal {
            let size = size_of_window(outer);
            // SAFETY: the struct outlives the call, which reads it.
            unsafe { libc::ioctl(inner.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
        }
    }

    /// The visitor has ended: what it said last goes its way, as far as somebody reads it. Those it left behind, who could go on writing,
    /// are not heard any more.
    pub(crate) fn drain(&mut self) {
        self.carriers.retain(|carrier| !carrier.is_input);
        let until = Instant::now() + LAST;
        loop {
            for carrier in &mut self.carriers {
                while carrier.buffer.is_empty() && carrier.carry() && Instant::now() < until {}
            }
            self.carriers.retain(|carrier| !carrier.buffer.is_empty());
            let left = until.saturating_duration_since(Instant::now());
            let interests: Vec<_> = self.interests().collect();
            if interests.is_empty() || left.is_zero() {
                return;
            }
            let Ok(ready) = poll(&interests, Some(left)) else { return };
            self.carry(&ready);
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if let Some(Terminal { outer, before, .. }) = &self.terminal {
            let _ = tcsetattr(outer, SetArg::TCSADRAIN, before);
        }
    }
}

impl Carrier {
    fn new(from: OwnedFd, to: OwnedFd, is_input: bool) -> Self {
        Self { from: Some(from), to: Some(to), buffer: Vec::new(), is_input }
    }

    fn interest(&self) -> Option<Interest<'_>> {
        match (&self.from, &self.to) {
            (_, Some(to)) if !self.buffer.is_empty() => Some(Interest::writable(to.as_fd())),
            (Some(from), Some(_)) => Some(Interest::readable(from.as_fd())),
            _ => None,
        }
    }

    /// Reads once where nothing waits, and writes what there is room for. Whether something was read.
    fn carry(&mut self) -> bool {
        let was_empty = self.buffer.is_empty();
        if was_empty && let Some(from) = &self.from {
            let mut bytes = [0; ROOM];
            match read(from, &mut bytes) {
                Ok(n @ 1..) => self.buffer.extend_from_slice(&bytes[..n]),
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Ok(0) | Err(_) => self.from = None, // EIO: nobody has the other side of a terminal
            }
        }
        let has_read = was_empty && !self.buffer.is_empty();
        while let (false, Some(to)) = (self.buffer.is_empty(), &self.to) {
            match write(to, &self.buffer[..self.buffer.len().min(PIECE)]) {
                Ok(n) => drop(self.buffer.drain(..n)),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => break,
                Err(_) => {
                    // Nobody reads any more: the writer is told in its own way, by the end of its pipe.
                    self.buffer.clear();
                    (self.to, self.from) = (None, None);
                }
            }
            if self.may_wait() {
                break;
            }
        }
        if self.from.is_none() && self.buffer.is_empty() {
            self.to = None;
        }
        has_read
    }

    /// Whether another write could wait, and room must be asked for first.
    fn may_wait(&self) -> bool {
        let flags = self.to.as_ref().and_then(|to| fcntl(to, FcntlArg::F_GETFL).ok()).map(OFlag::from_bits_retain);
        flags.is_some_and(|flags| !flags.contains(OFlag::O_NONBLOCK))
    }
}

/// Whether we have a terminal, and are in its foreground.
fn is_ours_in_front() -> bool {
    let (stdin, stdout) = (io::stdin(), io::stdout());
    stdin.is_terminal() && stdout.is_terminal() && tcgetpgrp(&stdin).is_ok_and(|foreground| foreground == getpgrp())
}

/// The same terminal, pipe or file, open once more where that is needed for writes that never wait: as we have it open now, others have it
/// too, and would find it changed.
fn own_copy(of: BorrowedFd<'_>) -> nix::Result<OwnedFd> {
    let is_slow = fs::metadata(format!("/proc/self/fd/{}", of.as_raw_fd()))
        .is_ok_and(|meta| meta.file_type().is_fifo() || meta.file_type().is_char_device());
    let mode = OFlag::from_bits_retain(fcntl(of, FcntlArg::F_GETFL)?) & OFlag::O_ACCMODE;
    let again = || {
        let path = format!("/proc/self/fd/{}", of.as_raw_fd());
        open(path.as_str(), mode | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC, Mode::empty()).ok()
    };
    match is_slow.then(again).flatten() {
        Some(opened) => Ok(opened),
        None => copy_of(&of),
    }
}

fn copy_of(fd: &impl AsFd) -> nix::Result<OwnedFd> {
    fd.as_fd().try_clone_to_owned().map_err(|error| errno(&error))
}

fn is_one_file(one: &impl AsFd, other: &impl AsFd) -> bool {
    match (fstat(one), fstat(other)) {
        (Ok(one), Ok(other)) => (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino),
        _ => false,
    }
}

fn size_of_window(terminal: &OwnedFd) -> Winsize {
    let mut size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the struct outlives the call, which fills it.
    let answer = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
    let _ = check(answer.into()); // as it was
    size
}

fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}
