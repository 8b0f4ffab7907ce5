//! A look wakes no automount: neither at the automount point itself, nor on its way below one. Waking it asks its daemon, for as long as that
//! pleases, and a check that does so at each interval keeps the mount from ever expiring.
#![allow(missing_docs)]

mod jail;

use std::{
    os::fd::{AsFd, AsRawFd, OwnedFd},
    os::unix::process::CommandExt as _,
    process::Command,
    sync::mpsc,
    thread,
    time::Duration,
};

use jail::Dir;
use liege_sys::{
    poll::{Interest, poll},
    probe::{ProbeError, Seen, probe},
};
use nix::{
    fcntl::OFlag,
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    unistd::{gettid, pipe2},
};

/// Looks at a path below an automount of this kind whose daemon says nothing; what was seen, and whether the daemon was asked.
fn looks(kind: &str, path: &str) -> (Option<Result<Seen, ProbeError>>, bool) {
    let dir = Dir::new(&format!("automount-{kind}-{}", path.len()));
    let point = dir.dir("point");
    let path = format!("{point}{path}");
    // Whoever is in the daemon's process group is not its guest.
    let mut daemon = Command::new("sleep").arg("100").process_group(0).spawn().unwrap();
    let answer = thread::scope(|scope| {
        let told = scope.spawn(|| {
            let none: Option<&str> = None;
            unshare(CloneFlags::CLONE_NEWNS).unwrap();
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
            let (requests, theirs): (OwnedFd, OwnedFd) = pipe2(OFlag::O_CLOEXEC).unwrap();
            let options = format!("fd={},pgrp={},minproto=5,maxproto=5,{kind}", theirs.as_raw_fd(), daemon.id());
            mount(Some("story"), &*point, Some("autofs"), MsFlags::empty(), Some(&*options)).unwrap();
            drop(theirs);
            let pid = gettid().as_raw();
            let (tell, seen) = mpsc::channel();
            // Not waited for: where it waits for the daemon, it ends with the process.
            thread::spawn(move || tell.send(probe(pid, &path)));
            let seen = seen.recv_timeout(Duration::from_secs(2)).ok();
            let asked = poll(&[Interest::readable(requests.as_fd())], Some(Duration::ZERO)).unwrap()[0];
            (seen, asked)
        });
        told.join()
    });
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    answer.unwrap()
}

fn waits(kind: &str, path: &str, is_mountpoint: bool) {
    let (seen, asked) = looks(kind, path);
    assert!(!asked, "{kind} {path:?}: the daemon was asked to mount");
    let seen = seen.expect("it does not wait for the daemon").expect("nobody is dead");
    assert_eq!((seen.fstype.as_str(), seen.is_mountpoint), ("autofs", is_mountpoint), "{kind} {path:?}");
}

#[test]
fn a_direct_one_itself() {
    waits("direct", "", true);
}

#[test]
fn a_direct_one_as_a_directory() {
    waits("direct", "/", true);
}

#[test]
fn below_a_direct_one() {
    waits("direct", "/srv/app", false);
}

#[test]
fn a_name_of_an_indirect_one() {
    waits("indirect", "/app", false);
}
