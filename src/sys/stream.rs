//! Reading and writing stream sockets without ever waiting, and without SIGPIPE.

use std::os::fd::{AsFd, AsRawFd};

use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, recv, send},
};

/// What one read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// So many bytes.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// The other side is gone.
    Ended,
}

/// Reads what is there. A broken connection is an ended one.
pub fn read(socket: &impl AsFd, buffer: &mut [u8]) -> Read {
    loop {
        match recv(socket.as_fd().as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(0) => return Read::Ended,
            Ok(n) => return Read::Bytes(n),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return Read::Nothing,
            Err(_) => return Read::Ended,
        }
    }
}

/// Says that nothing more will be written; what the other side says can still be read.
pub fn end_of_words(socket: &impl AsFd) {
    let _ = nix::sys::socket::shutdown(socket.as_fd().as_raw_fd(), nix::sys::socket::Shutdown::Write); // else it has ended already
}

/// Writes what fits now; gives how much. None: the other side is gone.
pub fn write(socket: &impl AsFd, bytes: &[u8]) -> Option<usize> {
    loop {
        match send(socket.as_fd().as_raw_fd(), bytes, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL) {
            Ok(n) => return Some(n),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return Some(0),
            Err(_) => return None,
        }
    }
}
