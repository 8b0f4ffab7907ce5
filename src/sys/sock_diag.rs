//! Questions to the kernel's list of sockets: who is at the other end of this one, and which of them listen.

use std::{
    fs::File,
    io::{Read, Write},
    net::{IpAddr, SocketAddr},
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

/// `NLM_F_DUMP`
const DUMP: u16 = 0x300;
/// `NLMSG_DONE`
const DONE: u16 = 3;
/// `TCP_LISTEN`, of a unix socket too.
const LISTENS: u32 = 1 << 10;
/// `UDIAG_SHOW_NAME`
const SHOW_NAME: u32 = 1;
/// `UNIX_DIAG_NAME`
const NAME: u16 = 0;
/// Of one message of many.
const PIECE: usize = 32 << 10;

/// Asked in the network namespace of the thread that opened it.
pub(crate) struct Kernel(File);

impl Kernel {
    /// None: the kernel has no such list.
    pub(crate) fn open() -> Option<Self> {
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkSockDiag)
            .ok()
            .map(|kernel| Self(File::from(kernel)))
    }

    /// The sockets of TCP and of unix that listen: inode and place. At most so many bytes are read of each kind.
    pub(crate) fn listening(&mut self, most: usize) -> Vec<(u32, String)> {
        let mut found = Vec::new();
        for family in [libc::AF_INET, libc::AF_INET6] {
            // `struct inet_diag_req_v2`, of any address.
            let mut request = vec![family as u8, libc::IPPROTO_TCP as u8, 0, 0];
            request.extend(LISTENS.to_ne_bytes());
            request.extend([0; 48]);
            self.dump(&request, most, |message| found.extend(inet(message)));
        }
        let mut request = vec![libc::AF_UNIX as u8, 0, 0, 0];
        request.extend(LISTENS.to_ne_bytes());
        request.extend(0_u32.to_ne_bytes());
        request.extend(SHOW_NAME.to_ne_bytes());
        request.extend([0; 8]);
        self.dump(&request, most, |message| found.extend(unix(message)));
        found
    }

    /// Hands over what is behind the header of each message of the answer.
    fn dump(&mut self, request: &[u8], most: usize, mut take: impl FnMut(&[u8])) -> Option<()> {
        let mut bytes = Vec::new();
        bytes.extend(u32::try_from(HEADER + request.len()).ok()?.to_ne_bytes());
        bytes.extend(BY_FAMILY.to_ne_bytes());
        bytes.extend((REQUEST | DUMP).to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(request);
        self.0.write_all(&bytes).ok()?;
        let (mut piece, mut read) = (vec![0; PIECE], 0);
        loop {
            let length = self.0.read(&mut piece).ok().filter(|length| *length > 0)?;
            read += length;
            let mut rest = &piece[..length];
            while let Some(size) = word(rest, 0).and_then(|size| usize::try_from(size).ok()) {
                let message = rest.get(..size).filter(|message| message.len() >= HEADER)?;
                match u16::from_ne_bytes([message[4], message[5]]) {
                    BY_FAMILY if read <= most => take(&message[HEADER..]),
                    BY_FAMILY => {} // read to the end, so that the next question has its own answer
                    DONE => return Some(()),
                    _ => return None, // an error
                }
                rest = rest.get(size.next_multiple_of(4)..).unwrap_or_default();
            }
        }
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// `struct inet_diag_msg`
fn inet(message: &[u8]) -> Option<(u32, String)> {
    let port = u16::from_be_bytes(message.get(4..6)?.try_into().ok()?);
    let address: [u8; 16] = message.get(8..24)?.try_into().ok()?;
    let address: IpAddr = match i32::from(*message.first()?) {
        libc::AF_INET => IpAddr::from([address[0], address[1], address[2], address[3]]),
        libc::AF_INET6 => IpAddr::from(address),
        _ => return None,
    };
    Some((word(message, 68)?, SocketAddr::new(address, port).to_string()))
}

/// `struct unix_diag_msg`; none without a name.
fn unix(message: &[u8]) -> Option<(u32, String)> {
    let inode = word(message, 4)?;
    let mut rest = message.get(MESSAGE..)?;
    loop {
        let half = |at: usize| Some(u16::from_ne_bytes(rest.get(at..at + 2)?.try_into().ok()?));
        let (length, kind) = (usize::from(half(0)?), half(2)?);
        if kind == NAME {
            return Some((inode, shown(rest.get(4..length)?)));
        }
        rest = rest.get(length.max(4).next_multiple_of(4)..)?;
    }
}

/// A name as it may stand in a row with others: what is not plainly a letter, a number or a sign is escaped, and so is the comma.
fn shown(name: &[u8]) -> String {
    let (mut shown, name) = match name {
        [0, name @ ..] => ("@".to_owned(), name),
        name => (String::new(), name.strip_suffix(&[0]).unwrap_or(name)),
    };
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars() {
            let is_plain = c == ' ' || c.is_alphanumeric() || c.is_ascii_graphic() && c != ',' && c != '\\';
            if is_plain { shown.push(c) } else { shown.extend(c.escape_unicode()) }
        }
        chunk.invalid().iter().for_each(|byte| shown.push_str(&format!("\\x{byte:02x}")));
    }
    shown
}

/// The inode of the socket this unix socket is connected to. None: the kernel does not tell.
///
/// # Errors
/// EMFILE, ENFILE, ENOMEM: it cannot be asked.
pub(crate) fn other_end(of: BorrowedFd<'_>) -> nix::Result<Option<u32>> {
    let kernel = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkSockDiag)?;
    Ok(ask_for_peer(of, File::from(kernel)))
}

fn ask_for_peer(of: BorrowedFd<'_>, mut kernel: File) -> Option<u32> {
    let inode = u32::try_from(fstat(of).ok()?.st_ino).ok()?;
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
        assert_eq!(other_end(one.as_fd()).unwrap().map(u64::from), Some(inode));
        drop(two);
        assert_ne!(other_end(one.as_fd()).unwrap().map(u64::from), Some(inode));
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
