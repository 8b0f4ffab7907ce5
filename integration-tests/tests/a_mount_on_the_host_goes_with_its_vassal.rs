//! Without a mount namespace of its own a vassal mounts on the host. Each end takes its FUSE mounts away, those that save nothing too:
//! a dead mount that stayed would be in the way of the next life.

use std::fs;
use std::path::Path;
use std::rc::Rc;

use liege_integration_tests::archive::Archive;
use liege_integration_tests::faults::{Filesystem, Kind, Owner};
use liege_integration_tests::{Emperor, LONG, story, wait_until};
use nix::sys::signal::Signal;

fn read_only(archive: &Archive, more: &str) -> String {
    let hook = archive.hook().replace("fuse-zip", "fuse-zip -r");
    let check = format!("mountpoint-check = {}\nmountpoint-check-interval = 0.2\n", archive.mount.display());
    format!("[vassal]\n{}{hook}{check}command = sleep 1001\n{more}", archive.identity())
}

fn is_mounted(mount: &Path, mountinfo: &str) -> bool {
    let point = format!(" {} ", mount.display());
    mountinfo.lines().any(|line| line.contains(&point))
}

#[track_caller]
fn nothing_failed(emperor: &Emperor) {
    let log = emperor.log();
    let failed: Vec<&String> = log
        .iter()
        .filter(|line| line.contains("not written back") || line.contains("failed") || line.contains("again in"))
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn a_read_only_archive_is_there_again_after_each_end() {
    story(|host| {
        let archive = Archive::new(host, "app");
        let emperor = host.emperor().namespaces(None).start();
        let comes_back = |mark: usize, emperor: &Rc<Emperor>| {
            emperor.wait_log_from(mark, &["is healthy"]);
            assert!(is_mounted(&archive.mount, &host.mountinfo()));
        };
        emperor.write("v.ini", &read_only(&archive, ""));
        comes_back(0, &emperor);

        let mark = emperor.mark();
        emperor.ask_well(&["restart", "--wait", "v"]);
        comes_back(mark, &emperor);

        let mark = emperor.mark();
        emperor.write("v.ini", &read_only(&archive, "exec-as-root = true\n"));
        comes_back(mark, &emperor);
        nothing_failed(&emperor);

        let mark = emperor.mark();
        emperor.vassal("sleep 1001").process("sleep").kill(Signal::SIGKILL);
        comes_back(mark, &emperor);

        emperor.remove("v.ini");
        wait_until("the vassal to be down", LONG, || emperor.vassals().is_empty());
        assert!(!is_mounted(&archive.mount, &host.mountinfo()));
    });
}

#[test]
fn the_end_of_the_daemon_leaves_no_read_only_mount() {
    story(|host| {
        let archive = Archive::new(host, "app");
        let emperor = host.emperor().namespaces(None).start();
        emperor.write("v.ini", &read_only(&archive, ""));
        emperor.wait_log("is healthy");
        emperor.signal(Signal::SIGTERM);
        assert!(emperor.wait_exit(LONG).success());
        assert!(!is_mounted(&archive.mount, &host.mountinfo()));
    });
}

/// Whoever works in it keeps it busy.
#[test]
fn one_that_a_stranger_is_in_goes_too() {
    story(|host| {
        let filesystem = Filesystem::new(host, "other", Kind::Bindfs, Owner::RootForAll);
        let emperor = host.emperor().namespaces(None).start();
        let read_only = filesystem.lines().replacen("bindfs ", "bindfs -o ro ", 1);
        emperor.write("v.ini", &format!("[vassal]\n{}{read_only}command = sleep 1001\n", filesystem.app_identity()));
        emperor.wait_log("started");
        assert!(is_mounted(&filesystem.mount, &host.mountinfo()));
        let mut stranger = std::process::Command::new("sleep").arg("1002").current_dir(&filesystem.mount).spawn().unwrap();
        emperor.remove("v.ini");
        wait_until("the vassal to be down", LONG, || emperor.vassals().is_empty());
        let stays = is_mounted(&filesystem.mount, &host.mountinfo());
        stranger.kill().unwrap();
        stranger.wait().unwrap();
        assert!(!stays);
    });
}

/// Mounts, and takes the descriptor only later, in the background: for a while no process has it.
const LATE: &str = "\
import os, socket, subprocess, sys, time
ours, theirs = socket.socketpair()
os.set_inheritable(theirs.fileno(), True)
env = dict(os.environ, _FUSE_COMMFD=str(theirs.fileno()))
subprocess.run(['fusermount', '-o', 'subtype=late', '--', sys.argv[1]], env=env, pass_fds=[theirs.fileno()], check=True)
time.sleep(0.5)
_, fds, _, _ = socket.recv_fds(ours, 1, 1)
if os.fork() == 0:
    time.sleep(1003)
";

#[test]
fn one_whose_daemon_nobody_could_see_at_first() {
    story(|host| {
        let archive = Archive::new(host, "app");
        let script = host.path("late.py");
        fs::write(&script, LATE).unwrap();
        let emperor = host.emperor().namespaces(None).start();
        let hook = format!("exec-as-user = python3 {} {}\n", script.display(), archive.mount.display());
        emperor.write("v.ini", &format!("[vassal]\n{}{hook}command = sleep 1001\n", archive.identity()));
        emperor.wait_log("started");
        assert!(is_mounted(&archive.mount, &host.mountinfo()));
        emperor.vassal("sleep 1001").process("python3").kill(Signal::SIGKILL);
        emperor.ask_well(&["stop", "v"]);
        wait_until("the vassal to be down", LONG, || emperor.vassals().is_empty());
        assert!(!is_mounted(&archive.mount, &host.mountinfo()));
    });
}

/// Its daemon dies, so the vassal is destroyed. What is left of the mount gives no answer, and the next life mounts again.
#[test]
fn a_dead_one_is_in_nobodys_way() {
    for is_read_only in [true, false] {
        story(|host| {
            let archive = Archive::new(host, "app");
            let emperor = host.emperor().namespaces(None).start();
            let text = read_only(&archive, "");
            emperor.write("v.ini", &if is_read_only { text } else { text.replace("fuse-zip -r", "fuse-zip") });
            emperor.wait_log("is healthy");
            let mark = emperor.mark();
            emperor.vassal("sleep 1001").process("fuse-zip").kill(Signal::SIGKILL);
            emperor.wait_log_from(mark, &["ended after"]);
            emperor.wait_log_from(mark, &["is healthy"]);
            emperor.ask_well(&["stop", "v"]);
            wait_until("the vassal to be down", LONG, || emperor.vassals().is_empty());
            assert!(!is_mounted(&archive.mount, &host.mountinfo()));
        });
    }
}

/// The way to it leads through a mount of another that does not answer. Neither the end of the vassal nor that of the daemon waits for it.
#[test]
fn one_behind_a_mount_that_hangs_holds_up_nothing() {
    story(|host| {
        let way = Filesystem::new(host, "way", Kind::Faultfs, Owner::RootForAll);
        let mut own = Filesystem::new(host, "own", Kind::Faultfs, Owner::Root);
        way.mount_here();
        own.move_to(way.mount.join("sub"));
        let emperor = host.emperor().namespaces(None).start();
        let lines = format!("uid = root\n{}stop-timeout = 1\n", own.lines());
        emperor.write("v.ini", &format!("[vassal]\n{lines}command = sleep 1001\n"));
        emperor.wait_log("started");
        let order = |word| way.faultfs.as_ref().unwrap().order(word).unwrap();
        order("swallow");

        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mark = emperor.mark();
            emperor.ask_well(&["stop", "v"]);
            emperor.wait_log_from(mark, &["stays mounted on the host"]);
            emperor.wait_log_from(mark, &["ended after"]);
            emperor.signal(Signal::SIGTERM);
            assert!(emperor.wait_exit(LONG).success());
        }));
        order("exit"); // what waits for it goes on
        ended.unwrap_or_else(|why| std::panic::resume_unwind(why));
    });
}
