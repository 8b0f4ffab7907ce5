//! Where a tree of processes listens: the sockets they hold, looked up in the tables of their own network namespaces.
//!
//! A process's descriptors name its sockets by inode, the tables say which inode listens where. Both are read without a lock, so what
//! comes or goes meanwhile may be missed. The link of a descriptor is text of the kernel's: no file system is asked.
//!
//! Everything has a bound: a vassal may hold as much as its limits let it.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fs::{self, File},
    io::Read,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use crate::descendants::tree;

/// So many processes are looked at, parents first.
const PROCESSES: usize = 256;
/// So many descriptors, of all of them.
const DESCRIPTORS: usize = 16_384;
/// So much of each table, in bytes. Those that listen come first in the kernel's tables of TCP.
const TABLE: u64 = 1 << 20;
/// So many network namespaces.
const NAMESPACES: usize = 8;
/// So many sockets are told.
const TOLD: usize = 256;

/// `TCP_LISTEN`
const LISTENS: &str = "0A";
/// `__SO_ACCEPTCON`
const ACCEPTS: u32 = 1 << 16;

/// `127.0.0.1:9090`, `[::]:80`, `/run/x.sock`, `@abstract`: where a process and all its descendants listen, each once.
#[must_use]
pub fn listening(root: i32) -> Vec<String> {
    let mut room = DESCRIPTORS;
    let mut held: HashMap<String, (i32, HashSet<u64>)> = HashMap::new();
    for pid in std::iter::once(root).chain(tree(&[root])).take(PROCESSES) {
        let Ok(namespace) = fs::read_link(format!("/proc/{pid}/ns/net")) else { continue };
        let namespace = namespace.to_string_lossy().into_owned();
        if held.len() >= NAMESPACES && !held.contains_key(&namespace) {
            continue;
        }
        let (_, sockets) = held.entry(namespace).or_insert_with(|| (pid, HashSet::new()));
        let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        for descriptor in descriptors.flatten().take(room) {
            room -= 1;
            sockets.extend(fs::read_link(descriptor.path()).ok().and_then(|link| inode(link.to_str()?)));
        }
    }
    let mut found = BTreeSet::new();
    for (pid, sockets) in held.values().filter(|(_, sockets)| !sockets.is_empty()) {
        for (table, read) in [("tcp", tcp as fn(&str) -> Option<(u64, String)>), ("tcp6", tcp), ("unix", unix)] {
            let text = beginning(&format!("/proc/{pid}/net/{table}"));
            let listed = text.lines().skip(1).filter_map(read);
            found.extend(listed.filter(|(inode, _)| sockets.contains(inode)).map(|(_, place)| place));
        }
    }
    found.into_iter().take(TOLD).collect()
}

/// Of `socket:[12345]`.
fn inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

fn beginning(path: &str) -> String {
    let mut text = Vec::new();
    // What was read before a mistake is as good.
    let _ = File::open(path).and_then(|file| file.take(TABLE).read_to_end(&mut text));
    String::from_utf8_lossy(&text).into_owned()
}

/// A line of `/proc/net/tcp` or `tcp6`: its inode and its address, where it listens.
fn tcp(line: &str) -> Option<(u64, String)> {
    let fields: Vec<&str> = line.split_ascii_whitespace().take(10).collect();
    let [_, local, _, LISTENS, _, _, _, _, _, inode] = fields[..] else { return None };
    let (address, port) = local.split_once(':')?;
    let place = SocketAddr::new(ip(address)?, u16::from_str_radix(port, 16).ok()?);
    Some((inode.parse().ok()?, place.to_string()))
}

/// The kernel prints words of four bytes as numbers, so their bytes stand as they lie in memory.
fn ip(hex: &str) -> Option<IpAddr> {
    let word = |n: usize| Some(u32::from_str_radix(hex.get(8 * n..8 * n + 8)?, 16).ok()?.to_ne_bytes());
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let bytes: [u8; 16] = [word(0)?, word(1)?, word(2)?, word(3)?].concat().try_into().ok()?;
            Some(Ipv6Addr::from(bytes).into())
        }
        _ => None,
    }
}

/// A line of `/proc/net/unix`: its inode and its name, where it listens and has one.
fn unix(line: &str) -> Option<(u64, String)> {
    let mut rest = line;
    let mut fields = ["", "", "", "", "", "", ""];
    for field in &mut fields {
        let (word, after) = rest.trim_start_matches(' ').split_once(' ')?;
        (*field, rest) = (word, after);
    }
    let [_, _, _, flags, _, _, inode] = fields;
    let accepts = u32::from_str_radix(flags, 16).ok()? & ACCEPTS != 0;
    // The name is the rest, with whatever blanks it has.
    (accepts && !rest.is_empty()).then_some(())?;
    Some((inode.parse().ok()?, rest.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::{
        net::TcpListener,
        os::{
            linux::net::SocketAddrExt,
            unix::net::{SocketAddr, UnixListener},
        },
    };

    use super::*;

    #[test]
    fn we_listen_where_we_listen() {
        let me = i32::try_from(std::process::id()).unwrap();
        let four = TcpListener::bind("127.0.0.1:0").unwrap();
        let (four, _four) = (four.local_addr().unwrap().to_string(), four);
        let name = format!("liege test {me}");
        let _abstract = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let client = std::net::TcpStream::connect(&four).unwrap();
        let found = listening(me);
        assert!(found.contains(&four) && found.contains(&format!("@{name}")), "{found:?}");
        assert!(!found.contains(&client.local_addr().unwrap().to_string()), "{found:?}");
        drop(_four);
        assert!(!listening(me).contains(&four));
        assert!(listening(i32::MAX).is_empty());
    }

    #[test]
    fn lines_of_the_kernel_are_read() {
        let line = "   0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 \
                    00000000     0        0 777 1 0 100 0 0 10 0";
        assert_eq!(tcp(line), Some((777, "[::1]:8080".into())));
        assert_eq!(tcp(&line.replace(" 0A ", " 01 ")), None, "a connection");
        let line = "0000000000000000: 00000002 00000000 00010000 0001 01 12345 /run/with blank.sock";
        assert_eq!(unix(line), Some((12345, "/run/with blank.sock".into())));
        assert_eq!(unix(&line.replace("00010000", "00000000")), None, "a connection");
        assert_eq!(unix("0000000000000000: 00000002 00000000 00010000 0001 01 12345"), None, "has no name");
        assert_eq!(unix("0000000000000000: 00000003 00000000 00010000 0001 03   345 /x"), Some((345, "/x".into())));
        for nonsense in ["", "  sl  local_address", "0: 0:0 0:0 0A 0 0 0 0 0 x"] {
            assert_eq!((tcp(nonsense), unix(nonsense)), (None, None));
        }
    }
}
