//! Without a mount namespace of its own a vassal sees every mount of the host. Only what its processes serve is its own: no descriptor, no number
//! and no moment makes the mount of another one of its.

use std::fs;
use std::path::Path;

use liege_integration_tests::apps::USER;
use liege_integration_tests::archive::Archive;
use liege_integration_tests::faults::{Filesystem, Kind, Owner};
use liege_integration_tests::leaks::minor_of;
use liege_integration_tests::{Emperor, Host, LONG, SHORT, story, wait_for, wait_until};
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::Signal;

/// Mounts forty times, unmounts all, and keeps the descriptors, which go on telling the numbers that the next mounts get.
const STALE: &str = "\
import os, socket, subprocess, sys, time
directory, numbers, held = sys.argv[1], [], []
def number(fd):
    lines = open(f'/proc/self/fdinfo/{fd}').read().split('\\n')
    return next(line.split()[1] for line in lines if line.startswith('fuse_connection'))
for n in range(40):
    os.mkdir(f'{directory}/m{n}')
    ours, theirs = socket.socketpair()
    env = dict(os.environ, _FUSE_COMMFD=str(theirs.fileno()))
    mount = ['fusermount', '-o', 'fsname=stale', '--', f'{directory}/m{n}']
    subprocess.run(mount, env=env, pass_fds=[theirs.fileno()], check=True)
    held += socket.recv_fds(ours, 1, 1)[1]
for n in range(40):
    subprocess.run(['fusermount', '-u', f'{directory}/m{n}'], check=True)
open(f'{directory}/new', 'w').write(' '.join(number(fd) for fd in held))
os.rename(f'{directory}/new', f'{directory}/numbers')
if len(sys.argv) > 2:
    while True: pass
time.sleep(1003)
";

/// A vassal with descriptors of connections that have ended, and a mount of root's that got one of their numbers.
fn confuse(host: &Host, emperor: &Emperor, more: &str) -> Filesystem {
    let (script, directory) = (host.path("stale.py"), host.open_dir("stale"));
    fs::write(&script, STALE).unwrap();
    let command = format!("command = python3 {} {} {more}\n", script.display(), directory.display());
    emperor.write("stale.ini", &format!("[vassal]\nuid = {USER}\ngid = {USER}\n{command}"));
    let numbers = wait_for("the numbers", LONG, || fs::read_to_string(directory.join("numbers")).ok());
    let numbers: Vec<u32> = numbers.split(' ').map(|number| number.parse().unwrap()).collect();
    let mut n = 0;
    wait_for("a mount with one of the numbers", LONG, || {
        n += 1;
        let filesystem = Filesystem::new(host, &format!("root{n}"), Kind::Faultfs, Owner::Root);
        filesystem.mount_here();
        let is_heir = minor_of(&host.mountinfo(), &filesystem.mount).is_some_and(|minor| numbers.contains(&minor));
        is_heir.then_some(filesystem)
    })
}

fn serves(filesystem: &Filesystem) -> bool {
    let (path, text) = filesystem.hello();
    fs::read_to_string(path).is_ok_and(|read| read == text)
}

fn unmount(mount: &Path) {
    umount2(mount, MntFlags::MNT_DETACH).expect("it is mounted");
}

#[test]
fn a_descriptor_of_what_has_ended_takes_no_mount_of_others_away() {
    story(|host| {
        let emperor = host.emperor().namespaces(None).start();
        let heir = confuse(host, &emperor, "");
        emperor.ask_well(&["stop", "stale"]);
        wait_until("the vassal to be down", LONG, || emperor.vassals().is_empty());
        assert!(serves(&heir), "its mount went with a vassal that has nothing to do with it");
        unmount(&heir.mount);
    });
}

/// It works, and what it holds has the number of a mount that hangs.
#[test]
fn a_descriptor_of_what_has_ended_makes_no_daemon() {
    story(|host| {
        let emperor = host.emperor().namespaces(None).start();
        let heir = confuse(host, &emperor, "busily");
        let check = format!(
            "mountpoint-check = {}\nmountpoint-check-interval = 0.2\nmountpoint-check-timeout = 1\n",
            heir.mount.display()
        );
        emperor.write("v.ini", &format!("[vassal]\nuid = root\n{check}command = sleep 1001\n"));
        emperor.wait_log("is healthy");
        let mark = emperor.mark();
        heir.faultfs.as_ref().unwrap().order("swallow").unwrap();
        // Busy, it would be waited for: for as long as the timeout is, ten times.
        let line = emperor.look_for(mark, SHORT, |line| line.contains("mountpoint_hung")).expect("it is found");
        assert!(!line.contains("python3"), "{line}");
        heir.faultfs.as_ref().unwrap().order("exit").unwrap(); // a look at it hangs
    });
}

#[test]
fn what_others_mount_is_no_loss_of_its() {
    story(|host| {
        let archive = Archive::new(host, "app");
        let emperor = host.emperor().namespaces(None).start();
        let hook = archive.hook().replace("fuse-zip", "fuse-zip -r");
        let check = format!(
            "mountpoint-check = {}\nmountpoint-check-interval = 0.2\nmountpoint-check-timeout = 1\n",
            archive.mount.display()
        );
        emperor.write("v.ini", &format!("[vassal]\n{}{hook}{check}command = sleep 1001\n", archive.identity()));
        emperor.wait_log("is healthy");
        let other = Filesystem::new(host, "other", Kind::Faultfs, Owner::Root);
        other.mount_here();
        let mark = emperor.mark();
        emperor.vassal("sleep 1001").process("fuse-zip").kill(Signal::SIGSTOP);
        emperor.wait_log_from(mark, &["ended after"]);
        assert!(emperor.log().iter().all(|line| !line.contains("not written back")), "nothing was lost");
        assert!(serves(&other));
        unmount(&other.mount);
    });
}

/// Nothing in it can unmount any more.
#[test]
fn a_killed_init_leaves_no_mount_on_the_host() {
    story(|host| {
        let archive = Archive::new(host, "app");
        let emperor = host.emperor().namespaces(None).start();
        let check = format!("mountpoint-check = {}\n", archive.mount.display());
        emperor.write("v.ini", &format!("[vassal]\n{}{}{check}command = sleep 1001\n", archive.identity(), archive.hook()));
        emperor.wait_log("is healthy");
        let mark = emperor.mark();
        emperor.vassal("sleep 1001").init.kill(Signal::SIGKILL);
        emperor.wait_log_from(mark, &["ended after"]);
        emperor.wait_log_from(mark, &["is healthy"]);
        assert!(emperor.log()[mark..].iter().all(|line| !line.contains("hook_failed")), "the next life has mounted at once");
    });
}

/// Nothing but the end of its connection frees what waits for itself, and the pid namespace waits for that.
#[test]
fn a_daemon_that_waits_for_itself_does_not_hold_up_its_pid_namespace() {
    story(|host| {
        let filesystem = Filesystem::new(host, "own", Kind::Faultfs, Owner::User);
        let emperor = host.emperor().namespaces(Some("pid")).start();
        emperor.write(
            "v.ini",
            &format!("[vassal]\n{}{}stop-timeout = 2\ncommand = sleep 1001\n", filesystem.app_identity(), filesystem.lines()),
        );
        emperor.wait_log("started");
        filesystem.faultfs.as_ref().unwrap().order("selfdeadlock").unwrap();
        emperor.ask_well(&["stop", "v"]);
        wait_until("the vassal to be down", LONG, || emperor.vassals().is_empty());
        assert!(minor_of(&host.mountinfo(), &filesystem.mount).is_none(), "nothing stays on the host");
    });
}
