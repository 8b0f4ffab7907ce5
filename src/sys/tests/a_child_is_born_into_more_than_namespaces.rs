//! A user namespace with its ids, a control group, a network with its loopback, a bounded set of capabilities.
#![allow(missing_docs)]

mod jail;

use std::{
    fs::File,
    io::Read,
    net::{TcpListener, TcpStream},
    os::{fd::AsFd, unix::net::UnixStream},
};

use jail::PATIENCE;
use liege_sys::{
    Errno, Strings, caps,
    clone::{Birth, BirthError, BirthStage, Namespaces, spawn},
    network,
    unshare::{Unshare, unshare},
    wait,
};

fn said_by(script: &str, namespaces: Namespaces) -> String {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(PATIENCE)).unwrap();
    let program = File::open("/bin/sh").unwrap();
    let birth = Birth {
        namespaces,
        cgroup: None,
        program: program.as_fd(),
        argv: &Strings::new(["sh", "-c", script]).unwrap(),
        env: &Strings::new(["PATH=/usr/bin:/bin"]).unwrap(),
        fds: &[(theirs.as_fd(), 1), (theirs.as_fd(), 2)],
    };
    let child = spawn(&birth).unwrap();
    drop(theirs);
    let mut text = String::new();
    ours.read_to_string(&mut text).unwrap();
    wait::reap_blocking(child.pid);
    text
}

#[test]
fn a_user_namespace_has_our_ids_and_its_root_all_rights_from_the_first_instruction() {
    let user = Namespaces { user: true, ..Namespaces::default() };
    let ours = std::fs::read_to_string("/proc/self/uid_map").unwrap();
    let whole = ours.split_whitespace().collect::<Vec<_>>() == ["0", "0", "4294967295"];
    let text = said_by("id -u; cat /proc/self/uid_map /proc/self/gid_map; grep CapEff /proc/self/status", user);
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("0"));
    if whole {
        let same =
            |line: Option<&str>| line.unwrap_or_default().split_whitespace().collect::<Vec<_>>() == ["0", "0", "4294967294"];
        assert!(same(lines.next()) && same(lines.next()), "{text}");
    }
    let caps = text.lines().last().and_then(|line| line.rsplit('\t').next()).unwrap();
    let all = u64::from_str_radix(caps, 16).unwrap();
    assert!(all & caps::SYS_ADMIN != 0 && all & caps::SETUID != 0, "{text}");
}

#[test]
fn many_threads_give_birth_in_user_namespaces_at_once() {
    let user = Namespaces { user: true, pid: true, ..Namespaces::default() };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..5).for_each(|_| assert_eq!(said_by("id -u; echo $$", user), "0\n1\n")));
        }
    });
}

#[test]
fn an_ordinary_directory_is_no_group_to_be_born_in() {
    let (program, directory) = (File::open("/bin/true").unwrap(), File::open("/tmp").unwrap());
    let birth = Birth {
        namespaces: Namespaces::default(),
        cgroup: Some(directory.as_fd()),
        program: program.as_fd(),
        argv: &Strings::new(["true"]).unwrap(),
        env: &Strings::new([""; 0]).unwrap(),
        fds: &[],
    };
    assert_eq!(spawn(&birth).unwrap_err(), BirthError { stage: BirthStage::Clone, errno: Errno::EBADF });
}

/// What belongs to a thread is tried on one of its own.
fn on_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join().unwrap())
}

#[test]
fn the_loopback_of_a_new_network_is_down_until_it_is_set_up() {
    on_a_thread(|| {
        unshare(Unshare { net: true, ..Unshare::default() }).unwrap();
        let server = TcpListener::bind(("127.0.0.1", 0));
        let talk = |server: &TcpListener| TcpStream::connect(server.local_addr().unwrap());
        assert!(server.as_ref().map_or(true, |server| talk(server).is_err()), "it is down");
        network::loopback_up().unwrap();
        network::loopback_up().unwrap();
        talk(&TcpListener::bind(("127.0.0.1", 0)).unwrap()).unwrap();
    });
}

#[test]
fn what_left_the_bounding_set_comes_back_for_nobody() {
    on_a_thread(|| {
        caps::bound(caps::KILL | caps::SETPCAP).unwrap();
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
        assert_eq!(u64::from_str_radix(&line("CapBnd:"), 16).unwrap(), caps::KILL | caps::SETPCAP);
        assert_eq!(u64::from_str_radix(&line("CapPrm:"), 16).unwrap(), caps::get().unwrap().permitted, "what it has it keeps");
    });
}
