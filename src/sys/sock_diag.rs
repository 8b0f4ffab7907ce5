//! One question to the kernel's list of sockets: who is at the other end of this one.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::BorrowedFd,
};

use nix::sys::{
    socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket},
    stat::fstat,
};

/// `SOCK_DIAG_BY_FAMILY`
const BY_FAMILY: u16 = 20;
const REQUEST: u16 = 1;
/// `UDIAG_SHOW_PEER`
const SHOW_PEER: u32 = 4;
/// `UNIX_DIAG_PEER`
const PEER: u16 = 2;
/// Of a netlink message, and of `struct unix_diag_msg` behind it.
const HEADER: usize = 16;
const MESSAGE: usize = 16;

/// The inode of the socket this unix socket is connected to. None: the kernel does not tell.
pub(crate) fn other_end(of: BorrowedFd<'_>) -> Option<u32> {
    let inode = u32::try_from(fstat(of).ok()?.st_ino).ok()?;
    let kernel = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkSockDiag).ok()?;
    let mut kernel = File::from(kernel);
    // The connection as a datagram socket is: a request goes out at once and its answer is there.
    kernel.write_all(&question(inode)).ok()?;
    let mut answer = [0; 4096];
    let length = kernel.read(&mut answer).ok()?;
    peer_in(&answer[..length])
}

/// `struct nlmsghdr`, then `struct unix_diag_req`.
fn question(inode: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(40_u32.to_ne_bytes());
    bytes.extend(BY_FAMILY.to_ne_bytes());
    bytes.extend(REQUEST.to_ne_bytes());
    bytes.extend([0; 8]); // sequence and port
    bytes.extend([libc::AF_UNIX as u8, 0, 0, 0]); // family, protocol, padding
    bytes.extend(u32::MAX.to_ne_bytes()); // in any state
    bytes.extend(inode.to_ne_bytes());
    bytes.extend(SHOW_PEER.to_ne_bytes());
    bytes.extend([0xff; 8]); // no cookie
    bytes
}

/// The attribute that names the peer.
fn peer_in(message: &[u8]) -> Option<u32> {
    let half = |at: usize| Some(u16::from_ne_bytes(message.get(at..at + 2)?.try_into().ok()?));
    if half(4)? != BY_FAMILY {
        return None; // an error
    }
    let mut at = HEADER + MESSAGE;
    loop {
        let (length, kind) = (usize::from(half(at)?), half(at + 2)?);
        if kind == PEER {
            return Some(u32::from_ne_bytes(message.get(at + 4..at + 8)?.try_into().ok()?));
        }
        at += length.max(4).next_multiple_of(4);
    }
}

#[cfg(test)]
mod tests {
    use std::os::{
        fd::{AsFd, OwnedFd},
        unix::{fs::MetadataExt, net::UnixStream},
    };

    use super::*;

    #[test]
    fn the_other_end_is_named() {
        let (one, two) = UnixStream::pair().unwrap();
        let inode = File::from(OwnedFd::from(two.try_clone().unwrap())).metadata().unwrap().ino();
        assert_eq!(other_end(one.as_fd()).map(u64::from), Some(inode));
        drop(two);
        assert_ne!(other_end(one.as_fd()).map(u64::from), Some(inode));
    }

    #[test]
    fn what_is_no_answer_names_nobody() {
        assert_eq!(peer_in(&[]), None);
        assert_eq!(peer_in(&[0; 64]), None);
        let mut cut = vec![0; 34];
        cut[4..6].copy_from_slice(&BY_FAMILY.to_ne_bytes());
        assert_eq!(peer_in(&cut), None);
    }
}
