//! The process at the other end of a unix socket, as far as more than its uid matters.
//!
//! The kernel vouches for the uid and the pid of who connected. The uid alone says little: root of a user namespace is root by its number,
//! and can be any other user too. The pid may be somebody else's by now. So the process is held by a pidfd (`SO_PEERPIDFD`, Linux 6.5) while
//! it is looked at in `/proc`, and what was read counts only if it still lives afterwards. An older kernel makes no such pidfd: there it is
//! opened by the number, and the process must have the other end of this very socket among its descriptors (`sock_diag` names it).
//!
//! What cannot be found out is `None`, and is never taken for a yes. Blocks for a few reads of `/proc`.

use std::{
    fs::{self, File},
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::fs::MetadataExt,
    },
};

use nix::{
    errno::Errno,
    sys::socket::{getsockopt, sockopt},
};

use crate::{pidfd, raw::check, sock_diag};

/// `SO_PEERPIDFD`, in the headers since Linux 6.5.
const SO_PEERPIDFD: libc::c_int = 77;

/// More descriptors are not looked through: who only asks has a handful.
const DESCRIPTORS: usize = 1024;

/// Who connected.
#[derive(Debug)]
pub struct Peer {
    /// Its effective uid then, in our user namespace.
    pub uid: u32,
    /// Its pid in our pid namespace. None: it has none here.
    pid: Option<i32>,
    /// None: it is gone, or was not found.
    process: Option<OwnedFd>,
}

/// Where its namespaces stand to ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In our user and pid namespaces.
    Here,
    /// In our user namespace, in another pid namespace.
    OtherPids,
    /// In a user namespace below, which this uid of ours made.
    Below(u32),
}

impl Peer {
    /// Who connected to this socket.
    ///
    /// # Errors
    /// It is no unix socket, or not connected; EMFILE, ENFILE or ENOMEM: there is no descriptor for its pidfd.
    pub fn of(socket: BorrowedFd<'_>) -> nix::Result<Self> {
        let said = getsockopt(&socket, sockopt::PeerCredentials)?;
        let pid = Some(said.pid()).filter(|pid| *pid > 0);
        let process = match peer_pidfd(socket) {
            Err(Errno::ENOPROTOOPT) => pid.map_or(Ok(None), |pid| by_number(socket, pid)),
            found => found.map(Some),
        };
        let process = match process {
            Ok(process) => process,
            // Nothing is found out then, but nothing speaks against it either.
            Err(need @ (Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM)) => return Err(need),
            Err(_) => None, // it has been reaped
        };
        Ok(Self { uid: said.uid(), pid, process })
    }

    /// Whether it has a number here at all: nothing that descends from us is without.
    #[must_use]
    pub fn is_visible(&self) -> bool {
        self.pid.is_some()
    }

    /// Whether it has not been reaped.
    #[must_use]
    pub fn lives(&self) -> bool {
        // EPERM: there is somebody to be refused.
        self.process.as_ref().is_some_and(|process| matches!(pidfd::signal(process, 0), Ok(()) | Err(Errno::EPERM)))
    }

    /// What `read` finds by its pid, if that was its own all the time.
    pub fn read<T>(&self, read: impl FnOnce(i32) -> Option<T>) -> Option<T> {
        let found = read(self.pid?)?;
        self.lives().then_some(found)
    }

    /// Where it is; None: it cannot be found out.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        self.read(|pid| {
            let user = File::open(format!("/proc/{pid}/ns/user")).ok()?;
            if !is_ours(&user, "user")? {
                return Some(Place::Below(owner_of(&user)?));
            }
            drop(user); // one descriptor at a time is enough
            let pids = File::open(format!("/proc/{pid}/ns/pid")).ok()?;
            Some(if is_ours(&pids, "pid")? { Place::Here } else { Place::OtherPids })
        })
    }
}

fn is_ours(namespace: &File, kind: &str) -> Option<bool> {
    let (theirs, ours) = (namespace.metadata().ok()?, fs::metadata(format!("/proc/self/ns/{kind}")).ok()?);
    Some((theirs.dev(), theirs.ino()) == (ours.dev(), ours.ino()))
}

/// Who made a user namespace, in ours.
fn owner_of(namespace: &File) -> Option<u32> {
    let mut uid: libc::uid_t = 0;
    // SAFETY: the kernel writes one uid, which lives across the call.
    check(unsafe { libc::ioctl(namespace.as_raw_fd(), libc::NS_GET_OWNER_UID as _, &raw mut uid) }.into()).ok()?;
    Some(uid)
}

fn peer_pidfd(socket: BorrowedFd<'_>) -> nix::Result<OwnedFd> {
    let mut fd: RawFd = -1;
    let mut size = size_of::<RawFd>() as libc::socklen_t;
    // SAFETY: room for one fd and its length, which both live across the call.
    let answer =
        unsafe { libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, SO_PEERPIDFD, (&raw mut fd).cast(), &raw mut size) };
    check(answer.into())?;
    // SAFETY: the kernel has just made it for us, close-on-exec, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The process of this number, if it has the other end of this socket.
fn by_number(socket: BorrowedFd<'_>, pid: i32) -> nix::Result<Option<OwnedFd>> {
    let process = pidfd::open(pid)?;
    let Some(end) = sock_diag::other_end(socket)?.map(|inode| format!("socket:[{inode}]")) else { return Ok(None) };
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd"));
    let descriptors = descriptors.map_err(|error| error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw))?;
    let mut descriptors = descriptors.take(DESCRIPTORS).flatten();
    let has_it = descriptors.any(|descriptor| fs::read_link(descriptor.path()).is_ok_and(|to| to.as_os_str() == &*end));
    Ok(has_it.then_some(process))
}

#[cfg(test)]
mod tests {
    use std::os::{fd::AsFd, unix::net::UnixStream};

    use super::*;

    fn ourselves() -> i32 {
        std::process::id() as i32
    }

    #[test]
    fn who_is_here_is_found_by_either_way() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let peer = Peer::of(ours.as_fd()).unwrap();
        assert_eq!((peer.uid, peer.pid, peer.place()), (0, Some(ourselves()), Some(Place::Here)));
        let process = by_number(ours.as_fd(), ourselves()).unwrap();
        assert!(process.is_some(), "the other end is ours");
        let peer = Peer { uid: 0, pid: Some(ourselves()), process };
        assert_eq!(peer.place(), Some(Place::Here));
    }

    #[test]
    fn without_a_descriptor_no_number_is_somebody_elses() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        crate::limits::set_nofile(64, 64).unwrap();
        let mut held: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        for _ in 0..2 {
            assert_eq!(by_number(ours.as_fd(), ourselves()).map(|found| found.is_some()), Err(Errno::EMFILE));
            held.pop();
        }
        drop(held);
        assert!(by_number(ours.as_fd(), ourselves()).unwrap().is_some());
    }

    #[test]
    fn a_number_that_is_somebody_elses_by_now_is_not_believed() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let mut stranger = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        assert!(by_number(ours.as_fd(), stranger.id() as i32).unwrap().is_none(), "it has not the other end");
        let process = pidfd::open(stranger.id() as i32).ok();
        stranger.kill().unwrap();
        stranger.wait().unwrap();
        let gone = Peer { uid: 0, pid: Some(ourselves()), process };
        assert_eq!((gone.lives(), gone.place(), gone.read(Some)), (false, None, None));
        let unknown = Peer { uid: 0, pid: None, process: pidfd::open(ourselves()).ok() };
        assert_eq!(unknown.place(), None);
    }
}
