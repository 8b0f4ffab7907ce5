//! One open file, handed from a child that ends to its parent: over a socket, so that no file stays open if the child is killed on
//! the way.

use std::{
    io::IoSliceMut,
    mem::MaybeUninit,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use nix::{
    cmsg_space,
    errno::Errno,
    sys::socket::{AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, socketpair},
};

use crate::raw;

/// (The parent's end, the child's end.)
pub(crate) fn pair() -> nix::Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
}

/// The child's end.
pub(crate) struct Hand(RawFd);

impl Hand {
    pub(crate) fn new(end: BorrowedFd<'_>) -> Self {
        Self(end.as_raw_fd())
    }

    /// In the child. Raw calls only.
    pub(crate) fn give(&self, fd: RawFd) -> Result<(), Errno> {
        // struct cmsghdr and one fd, padded as the kernel wants it.
        let mut control = [0u64; 3];
        let mut byte = 0u8;
        let mut data = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
        // SAFETY: all zeroes is a value of this plain C struct.
        let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
        message.msg_iov = &raw mut data;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control) as _;
        let header = libc::cmsghdr {
            // SAFETY: arithmetic only.
            cmsg_len: unsafe { libc::CMSG_LEN(size_of::<RawFd>() as u32) } as _,
            cmsg_level: libc::SOL_SOCKET,
            cmsg_type: libc::SCM_RIGHTS,
        };
        // SAFETY: the block is aligned for a header and has room for it.
        unsafe { control.as_mut_ptr().cast::<libc::cmsghdr>().write(header) };
        // SAFETY: it is a header now.
        let place: *mut RawFd = unsafe { libc::CMSG_DATA(control.as_ptr().cast()) }.cast();
        // SAFETY: behind the header there is room for one fd.
        unsafe { place.write(fd) };
        // SAFETY: all that the message names outlives the call.
        raw::check(unsafe { libc::syscall(libc::SYS_sendmsg, self.0, &raw const message, libc::MSG_NOSIGNAL) }).map(drop)
    }
}

/// In the parent, once the child has ended.
///
/// # Errors
/// EAGAIN: it has handed nothing.
pub(crate) fn take(end: BorrowedFd<'_>) -> nix::Result<OwnedFd> {
    let (mut byte, mut control) = ([0u8; 1], cmsg_space!(RawFd));
    let mut data = [IoSliceMut::new(&mut byte)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(end.as_raw_fd(), &mut data, Some(&mut control), flags)?;
    let handed = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::ScmRights(fds) => fds.first().copied(),
        _ => None,
    });
    // SAFETY: the kernel has just made this fd for us; the message had room for no other.
    handed.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).ok_or(Errno::EAGAIN)
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
        Hand::new(theirs.as_fd()).give(write.as_raw_fd()).unwrap();
        let taken = take(ours.as_fd()).unwrap();
        drop(write);
        nix::unistd::write(&taken, b"x").unwrap();
        assert_eq!(nix::unistd::read(&read, &mut [0; 8]), Ok(1));
        assert_eq!(take(ours.as_fd()).unwrap_err(), Errno::EAGAIN);
    }
}
