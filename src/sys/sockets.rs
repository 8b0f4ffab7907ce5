//! Where a tree of processes listens: the sockets they hold, looked up in the lists of their own network namespaces.
//!
//! A process's descriptors name its sockets by inode, the kernel (`sock_diag`) says which inode listens where. Neither is locked, so what
//! comes or goes meanwhile may be missed. The link of a descriptor is text of the kernel's: no file system is asked. The tables in
//! `/proc/net` are not read: a name with a newline in it forges a line there.
//!
//! Everything has a bound: a vassal may hold as much as its limits let it.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fs::{self, File},
};

use nix::sched::{CloneFlags, setns};

use crate::{descendants::tree, sock_diag::Kernel};

/// So many processes are looked at, parents first.
const PROCESSES: usize = 256;
/// So many descriptors, of all of them.
const DESCRIPTORS: usize = 16_384;
/// So much of the list of those that listen in one namespace, in bytes.
const TABLE: usize = 4 << 20;
/// So many network namespaces.
const NAMESPACES: usize = 8;
/// So many sockets are told.
const TOLD: usize = 256;

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
        for (inode, place) in listening_beside(*pid) {
            if sockets.contains(&u64::from(inode)) {
                found.insert(place);
            }
        }
    }
    found.into_iter().take(TOLD).collect()
}

/// All sockets that listen in the network namespace of a process. None where the kernel does not tell.
fn listening_beside(pid: i32) -> Vec<(u32, String)> {
    let Ok(namespace) = File::open(format!("/proc/{pid}/ns/net")) else { return Vec::new() };
    let ask = || Kernel::open().map(|mut kernel| kernel.listening(TABLE)).unwrap_or_default();
    let name = |path: &str| fs::read_link(path).ok();
    if name("/proc/thread-self/ns/net").is_some_and(|own| name(&format!("/proc/{pid}/ns/net")) == Some(own)) {
        return ask();
    }
    // A thread that goes there and never comes back: no other call of ours is made there.
    let there = std::thread::Builder::new().name("listens".into()).stack_size(128 << 10).spawn(move || {
        setns(&namespace, CloneFlags::CLONE_NEWNET).ok().map(|()| {
            let mut kernel = Kernel::open()?;
            Some(kernel.listening(TABLE))
        })
    });
    let found = there.ok().and_then(|there| there.join().ok());
    found.flatten().flatten().unwrap_or_default()
}

/// Of `socket:[12345]`.
fn inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
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
    fn a_name_forges_no_row() {
        let me = i32::try_from(std::process::id()).unwrap();
        let forged = format!("x {me}\n0000000000000000: 00000002 00000000 00010000 0001 01 1 /run/victim.sock, 1.2.3.4:5");
        let _abstract = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&forged).unwrap()).unwrap();
        let found = listening(me);
        let whole =
            format!("@x {me}\\u{{a}}0000000000000000: 00000002 00000000 00010000 0001 01 1 /run/victim.sock\\u{{2c}} 1.2.3.4:5");
        assert!(found.contains(&whole), "{found:?}");
        assert!(!found.iter().any(|place| place.starts_with("/run/victim.sock") || place.starts_with("1.2.3.4")), "{found:?}");
    }
}
