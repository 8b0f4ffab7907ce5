//! Where a tree of processes listens: the sockets they hold, looked up in the lists of their own network namespaces.
//!
//! A process's descriptors name its sockets by inode, the kernel (`sock_diag`) says which inode listens where. Neither is locked, so what
//! comes or goes meanwhile may be missed. The link of a descriptor is text of the kernel's: no file system is asked. The tables in
//! `/proc/net` are not read: a name with a newline in it forges a line there.
//!
//! The other way round, [`all_listening`] and [`holders`] tell which process holds a socket that listens.
//!
//! Everything has a bound: a vassal may hold as much as its limits let it.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fs::{self, File},
    time::{Duration, Instant},
};

use nix::sched::{CloneFlags, setns};

use crate::{
    descendants::{child_above, everybody, proc_is_ours, tree},
    escape,
    process::own_pid,
    sock_diag::Kernel,
};

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
/// A search for holders looks at so many descriptors, of all processes.
const HELD: usize = 262_144;
/// And at so many of one: a tenant decides how many its processes have open.
const OF_ONE: usize = 16_384;
/// And lasts so long.
const LONGEST: Duration = Duration::from_millis(500);

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

/// All sockets that listen in the network namespace of the calling thread: inode and place.
#[must_use]
pub fn all_listening() -> Vec<(u64, String)> {
    let found = Kernel::open().map(|mut kernel| kernel.listening(TABLE)).unwrap_or_default();
    found.into_iter().map(|(inode, place)| (inode.into(), place)).collect()
}

/// A process that holds a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its pid, in our pid namespace.
    pub pid: i32,
    /// Its name, as it calls itself; what would end or turn a line is escaped.
    pub name: String,
    /// The child of ours that it descends from.
    pub below: Option<i32>,
    /// It is in our mount namespace.
    pub sees_our_mounts: bool,
}

/// A process for each of these sockets, the first that is found: of a server and its workers the server. Pid 1 comes last: it may hold
/// a socket for the one that serves it. None is found of those that are left when the time or the room is spent.
#[must_use]
pub fn holders(mut of: HashSet<u64>) -> HashMap<u64, Holder> {
    let (until, mut room) = (Instant::now() + LONGEST, HELD);
    let mut found = HashMap::new();
    if !proc_is_ours() {
        return found;
    }
    for pid in everybody().filter(|pid| *pid != 1).chain([1]) {
        if of.is_empty() || room == 0 || Instant::now() >= until {
            break;
        }
        let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        let mut holder = None;
        for descriptor in descriptors.flatten().take(OF_ONE.min(room)) {
            room -= 1;
            let held = fs::read_link(descriptor.path()).ok().and_then(|link| inode(link.to_str()?));
            if let Some(inode) = held.filter(|inode| of.remove(inode)) {
                found.insert(inode, holder.get_or_insert_with(|| Holder::of(pid)).clone());
            }
        }
    }
    found
}

impl Holder {
    fn of(pid: i32) -> Self {
        let mounts = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
        let name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
        let name = String::from_utf8_lossy(name.strip_suffix(b"\n").unwrap_or(&name)).into_owned();
        Self {
            pid,
            name: escape::in_one_line(&name),
            below: child_above(pid, own_pid()),
            sees_our_mounts: mounts(pid).is_some_and(|theirs| mounts(own_pid()) == Some(theirs)),
        }
    }
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
