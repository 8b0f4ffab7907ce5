//! What the probe sees of a real fuse-zip, and what root sees of it.
#![allow(missing_docs)]

mod jail;

use jail::{Dir, Jail, kill_and_wait};
use liege_sys::{
    Errno,
    descendants::kill,
    probe::{ProbeError, ProbeStage, probe},
};
use nix::sys::statfs::statfs;

#[test]
fn a_dead_daemon_is_seen_by_the_probe_and_not_by_root() {
    let dir = Dir::new("dead");
    let (zip, app) = (dir.zip(), dir.dir("app"));
    let mut jail = Jail::new(&dir);
    let daemon = jail.mounts_zip(&zip, &app);
    let pid = jail.child.pid;
    let from_outside = format!("/proc/{pid}/root{app}");

    let seen = probe(pid, &app).unwrap();
    assert_eq!(seen.fstype, "fuse.fuse-zip");
    assert!(seen.is_mountpoint);
    assert_eq!(probe(pid, &app).unwrap(), seen, "the same mount is the same mount");
    assert_eq!(statfs(from_outside.as_str()).unwrap().blocks(), 0, "root is told a fairy tale");

    kill_and_wait(daemon);
    assert_eq!(probe(pid, &app), Err(ProbeError { stage: ProbeStage::Statfs, errno: Errno::ENOTCONN }));
    assert_eq!(statfs(from_outside.as_str()).unwrap().blocks(), 0, "root is told the same fairy tale");
}

#[test]
fn a_daemon_that_ended_cleanly_leaves_another_mount() {
    let dir = Dir::new("clean");
    let (zip, app) = (dir.zip(), dir.dir("app"));
    let mut jail = Jail::new(&dir);
    jail.mounts_zip(&zip, &app);
    let first = probe(jail.child.pid, &app).unwrap();

    // Nothing of the probe is left open: the tenant's own unmount works.
    jail.does(&format!("setpriv --reuid {0} --regid {0} --clear-groups fusermount -u {app}", jail::TENANT));
    let bare = probe(jail.child.pid, &app).unwrap();
    assert!(!bare.is_mountpoint);
    assert_ne!(bare.mount_id, first.mount_id);

    jail.mounts_zip(&zip, &app);
    let second = probe(jail.child.pid, &app).unwrap();
    assert!(second.is_mountpoint);
    assert_ne!(second.mount_id, first.mount_id, "a mount id is never given twice");
}

#[test]
fn a_path_below_the_mount_is_followed_as_its_owner() {
    let dir = Dir::new("below");
    let (zip, app) = (dir.zip(), dir.dir("app"));
    let mut jail = Jail::new(&dir);
    let daemon = jail.mounts_zip(&zip, &app);
    let (pid, below) = (jail.child.pid, format!("{app}/hello"));
    let seen = probe(pid, &below).unwrap();
    assert!(!seen.is_mountpoint);
    assert_eq!(seen.mount_id, probe(pid, &app).unwrap().mount_id);
    kill_and_wait(daemon);
    // On the way or at its end: what the kernel still remembers of the path decides.
    assert_eq!(probe(pid, &below).unwrap_err().errno, Errno::ENOTCONN);
}

/// Whatever leads into the mount: what is written does not start with the name of the mount, or nothing tells from it where it leads.
#[test]
fn links_and_dots_are_followed_into_the_mount() {
    let dir = Dir::new("links");
    let (zip, app) = (dir.zip(), dir.dir("app"));
    let mut jail = Jail::new(&dir);
    let daemon = jail.mounts_zip(&zip, &app);
    let base = dir.path("");
    jail.does(&format!("cd {base} && mkdir other && ln -s . here && ln -s app/hello file && ln -s {base}other/../here/file far"));
    jail.does(&format!("cd {base} && ln -s loop-b loop-a && ln -s loop-a loop-b && ln -s {base}/app/hello/../../out out"));
    let pid = jail.child.pid;
    let seen = probe(pid, &app).unwrap();
    let paths = ["here/app/hello", "other/../app/hello", "file", "far", "here/file", "app/./hello"];
    for path in paths {
        assert_eq!(probe(pid, &dir.path(path)).map(|seen| seen.mount_id), Ok(seen.mount_id), "{path}");
    }
    for (path, errno) in [("loop-a/x", Errno::ELOOP), ("out", Errno::ENOTDIR), ("here/app/nothing", Errno::ENOENT)] {
        assert_eq!(probe(pid, &dir.path(path)), Err(ProbeError { stage: ProbeStage::Path, errno }), "{path}");
    }
    kill_and_wait(daemon);
    for path in paths {
        assert_eq!(probe(pid, &dir.path(path)).unwrap_err().errno, Errno::ENOTCONN, "{path}");
    }
}

#[test]
fn a_link_into_a_private_mount_stays_below_the_root_too() {
    let dir = Dir::new("rooted");
    let (zip, app, root) = (dir.zip(), dir.dir("app"), dir.dir("root"));
    let mut jail = Jail::new(&dir);
    jail.mounts_zip(&zip, &app);
    jail.does(&format!("mount -t tmpfs none {root} && cd {root} && mkdir usr zip proc && ln -s /../../zip/hello link"));
    jail.does("ln -s /proc/1/root/zip/hello magic; mount --rbind /proc proc");
    jail.does("for d in bin lib lib64; do ln -s usr/$d $d; done; mount --rbind /usr usr");
    jail.does(&format!("mount --bind {app} zip"));
    jail.told("exec chroot . /bin/sh -c 'echo inside; exec /bin/sh'");
    assert_eq!(jail.says(), "inside");
    let pid = jail.child.pid;
    assert_eq!(probe(pid, "/link").map(|seen| seen.fstype), Ok("fuse.fuse-zip".to_owned()));
    assert!(probe(pid, "/magic").is_err(), "links of /proc lead out of the root");
}

#[test]
fn a_daemon_that_is_stopped_is_waited_for() {
    let dir = Dir::new("stopped");
    let (zip, app) = (dir.zip(), dir.dir("app"));
    let mut jail = Jail::new(&dir);
    let daemon = jail.mounts_zip(&zip, &app);
    let pid = jail.child.pid;
    let seen = probe(pid, &app).unwrap();
    let waiting = dir.path("connections");
    std::fs::create_dir(&waiting).unwrap();
    jail.does(&format!("mount -t fusectl none {waiting}"));
    let waiting = format!("/proc/{pid}/root{waiting}/{}/waiting", seen.device.1);
    kill(daemon, libc::SIGSTOP).unwrap();
    std::thread::scope(|s| {
        let probing = s.spawn(|| probe(pid, &app));
        while std::fs::read_to_string(&waiting).unwrap().trim() == "0" {
            std::thread::yield_now();
        }
        assert!(!probing.is_finished());
        kill(daemon, libc::SIGCONT).unwrap();
        assert_eq!(probing.join().unwrap(), Ok(seen));
    });
}

#[test]
fn an_absolute_symlink_stays_inside() {
    let dir = Dir::new("symlink");
    let (zip, app, root) = (dir.zip(), dir.dir("app"), dir.dir("root"));
    let mut jail = Jail::new(&dir);
    jail.mounts_zip(&zip, &app);
    // In the new root /link points to /zip; on the host there is no such place.
    jail.does(&format!("mount -t tmpfs none {root} && cd {root} && mkdir usr zip && ln -s /zip link"));
    jail.does("for d in bin lib lib64; do ln -s usr/$d $d; done; mount --rbind /usr usr");
    jail.does(&format!("mount --bind {app} zip"));
    jail.told("exec chroot . /bin/sh -c 'echo inside; exec /bin/sh'");
    assert_eq!(jail.says(), "inside");
    jail.does("test -L /link");
    let seen = probe(jail.child.pid, "/link").unwrap();
    assert_eq!((seen.fstype.as_str(), seen.is_mountpoint), ("fuse.fuse-zip", true));
    assert_eq!(probe(std::process::id() as i32, "/zip").unwrap_err().stage, ProbeStage::Path);
}

#[test]
fn a_process_that_is_gone_is_told_from_a_mount_that_is_dead() {
    let dir = Dir::new("gone");
    let jail = Jail::new(&dir);
    let pid = jail.child.pid;
    drop(jail);
    assert_eq!(probe(pid, "/").unwrap_err().stage, ProbeStage::Root);
    let here = std::process::id() as i32;
    assert_eq!(probe(here, "/no/such/path").unwrap_err(), ProbeError { stage: ProbeStage::Path, errno: Errno::ENOENT });
}
