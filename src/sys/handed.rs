//! Open files, handed from one process to another over a socket, so that none stays open if a process is killed on the way: one from
//! a child to its parent ([`take`]), or a few from a parent to its child, which makes raw calls only (`Hand::receive`).

use std::{
    io::IoSliceMut,
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    ptr,
};

use nix::{
    cmsg_space,
    errno::Errno,
    sys::socket::{AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, getsockopt, recvmsg, socketpair, sockopt},
};

use crate::raw;

/// (The end of who takes, the end of who gives.)
///
/// # Errors
/// EMFILE, ENFILE.
pub fn pair() -> nix::Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
}

/// Whether this is an end of such a pair, and not a thing that was handed.
pub fn is_end(fd: &impl AsFd) -> bool {
    getsockopt(fd, sockopt::SockType) == Ok(SockType::SeqPacket)
}

/// Hands a file over; the giver keeps its own.
///
/// # Errors
/// EPIPE: the taker has ended.
pub fn give(end: &impl AsFd, file: &impl AsFd) -> nix::Result<()> {
    Hand::new(end.as_fd()).give(&[file.as_fd().as_raw_fd()])
}

/// At most so many at once.
pub(crate) const MOST: usize = 4;

/// `struct cmsghdr`.
const HEADER: usize = size_of::<libc::cmsghdr>();

/// A header and so many fds, as the kernel pads them.
const fn space(fds: usize) -> usize {
    HEADER + (fds * size_of::<RawFd>()).next_multiple_of(size_of::<usize>())
}

/// Words for a header and [`MOST`] fds.
const CONTROL: usize = space(MOST) / size_of::<u64>();

/// An end of the socket, by its number. Raw calls only.
#[derive(Clone, Copy)]
pub(crate) struct Hand(RawFd);

impl Hand {
    pub(crate) fn new(end: BorrowedFd<'_>) -> Self {
        Self(end.as_raw_fd())
    }

    /// The end under this number.
    pub(crate) fn of(end: RawFd) -> Self {
        Self(end)
    }

    /// Hands these open files, or none: a message arrives in any case.
    ///
    /// # Errors
    /// The kernel's: EPIPE where the other end is closed; E2BIG: more than [`MOST`].
    pub(crate) fn give(self, fds: &[RawFd]) -> Result<(), Errno> {
        if fds.len() > MOST {
            return Err(Errno::E2BIG);
        }
        let mut control = [0u64; CONTROL];
        let header = libc::cmsghdr {
            cmsg_len: (HEADER + size_of_val(fds)) as _,
            cmsg_level: libc::SOL_SOCKET,
            cmsg_type: libc::SCM_RIGHTS,
        };
        // SAFETY: the block is aligned for a header and has room for it.
        unsafe { control.as_mut_ptr().cast::<libc::cmsghdr>().write(header) };
        // SAFETY: it is a header now.
        let place: *mut RawFd = unsafe { libc::CMSG_DATA(control.as_ptr().cast()) }.cast();
        // SAFETY: behind the header there is room for as many.
        unsafe { ptr::copy_nonoverlapping(fds.as_ptr(), place, fds.len()) };
        let mut byte = 0u8;
        let mut data = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
        let mut message = envelope(&mut data);
        if !fds.is_empty() {
            message.msg_control = control.as_mut_ptr().cast();
            message.msg_controllen = space(fds.len()) as _;
        }
        // SAFETY: all that the message names outlives the call.
        raw::check(unsafe { libc::syscall(libc::SYS_sendmsg, self.0, &raw const message, libc::MSG_NOSIGNAL) }).map(drop)
    }

    /// Waits for the next message. Writes the numbers of the files that came with it, and gives how many those are.
    ///
    /// # Errors
    /// EPIPE: the other end is closed.
    pub(crate) fn receive(self, fds: &mut [RawFd; MOST]) -> Result<usize, Errno> {
        let mut control = [0u64; CONTROL];
        let mut byte = 0u8;
        let mut data = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
        let mut message = envelope(&mut data);
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control) as _;
        loop {
            // SAFETY: all that the message names outlives the call.
            let read = unsafe { libc::syscall(libc::SYS_recvmsg, self.0, &raw mut message, libc::MSG_CMSG_CLOEXEC) };
            match raw::check(read) {
                Ok(0) => return Err(Errno::EPIPE),
                Ok(_) => break,
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        let written: usize = message.msg_controllen as _;
        if written < HEADER {
            return Ok(0);
        }
        let header: *const libc::cmsghdr = control.as_ptr().cast();
        // SAFETY: the kernel has written a header.
        let length: usize = unsafe { (*header).cmsg_len } as _;
        let count = (length.saturating_sub(HEADER) / size_of::<RawFd>()).min(MOST);
        // SAFETY: it is a header.
        let place: *const RawFd = unsafe { libc::CMSG_DATA(header) }.cast();
        // SAFETY: the kernel has written as many behind it.
        unsafe { ptr::copy_nonoverlapping(place, fds.as_mut_ptr(), count) };
        Ok(count)
    }
}

/// A message of this data, without anything else.
fn envelope(data: &mut libc::iovec) -> libc::msghdr {
    // SAFETY: all zeroes is a value of this plain C struct.
    let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    message.msg_iov = data;
    message.msg_iovlen = 1;
    message
}

/// Takes what was handed; does not wait for it.
///
/// # Errors
/// EAGAIN: nothing was handed. EPIPE: nor will it be, the giver's end is closed. EMFILE: there is no room for it, and it is lost.
pub fn take(end: BorrowedFd<'_>) -> nix::Result<OwnedFd> {
    let (mut byte, mut control) = ([0u8; 1], cmsg_space!(RawFd));
    let mut data = [IoSliceMut::new(&mut byte)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(end.as_raw_fd(), &mut data, Some(&mut control), flags)?;
    if message.bytes == 0 {
        return Err(Errno::EPIPE);
    }
    let handed = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::ScmRights(fds) => fds.first().copied(),
        _ => None,
    });
    // SAFETY: the kernel has just made this fd for us; the message had room for no other.
    handed.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).ok_or(Errno::EMFILE)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn what_is_given_can_be_taken_once() {
        let (ours, theirs) = pair().unwrap();
        assert_eq!(take(ours.as_fd()).unwrap_err(), Errno::EAGAIN);
        let (read, write) = nix::unistd::pipe().unwrap();
        Hand::new(theirs.as_fd()).give(&[write.as_raw_fd()]).unwrap();
        let taken = take(ours.as_fd()).unwrap();
        drop(write);
        nix::unistd::write(&taken, b"x").unwrap();
        assert_eq!(nix::unistd::read(&read, &mut [0; 8]), Ok(1));
        assert_eq!(take(ours.as_fd()).unwrap_err(), Errno::EAGAIN);
        assert!(is_end(&ours) && !is_end(&taken));
        drop(theirs);
        assert_eq!(take(ours.as_fd()).unwrap_err(), Errno::EPIPE);
    }

    #[test]
    fn some_are_received_as_they_were_given() {
        let (ours, theirs) = pair().unwrap();
        let (ours_hand, theirs_hand) = (Hand::new(ours.as_fd()), Hand::of(theirs.as_raw_fd()));
        let (read, write) = nix::unistd::pipe().unwrap();
        ours_hand.give(&[write.as_raw_fd(), read.as_raw_fd(), write.as_raw_fd()]).unwrap();
        ours_hand.give(&[]).unwrap();
        let mut fds = [-1; MOST];
        assert_eq!(theirs_hand.receive(&mut fds), Ok(3));
        // SAFETY: the kernel has just made them for us.
        let received = fds[..3].iter().map(|fd| unsafe { OwnedFd::from_raw_fd(*fd) }).collect::<Vec<_>>();
        nix::unistd::write(&received[2], b"x").unwrap();
        assert_eq!(nix::unistd::read(&received[1], &mut [0; 8]), Ok(1));
        assert_eq!(theirs_hand.receive(&mut fds), Ok(0));
        assert_eq!(ours_hand.give(&[0; MOST + 1]), Err(Errno::E2BIG));
        drop(ours);
        assert_eq!(theirs_hand.receive(&mut fds), Err(Errno::EPIPE));
    }
}
