//! A vassal directory on a file system whose daemon hangs: it is named, nothing else waits for it, and all is well when it answers.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use liege_integration_tests::apps::Reporter;
use liege_integration_tests::procs::{self, Process};
use liege_integration_tests::{Host, story};
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::Signal;

/// A directory on a file system whose daemon is ours to stop.
fn remote(host: &Host) -> (PathBuf, Process) {
    let (zip, at) = (host.path("remote.zip"), host.path("remote"));
    fs::write(host.path("readme"), "").unwrap();
    let packed = Command::new("zip").arg("-q").arg(&zip).arg("readme").current_dir(host.dir()).status();
    assert!(packed.expect("zip: make deps").success());
    fs::create_dir(&at).unwrap();
    // No answer is remembered: each look asks the daemon.
    let options = ["-o", "attr_timeout=0,entry_timeout=0,allow_other"];
    let mounted = Command::new("fuse-zip").args(options).arg(&zip).arg(&at).stdin(Stdio::null()).status();
    assert!(mounted.expect("fuse-zip: make deps").success());
    let is_daemon = |process: &Process| process.name == "fuse-zip" && process.command_line().contains(&*at.to_string_lossy());
    let daemon = procs::all().into_iter().find(is_daemon).expect("the daemon of the mount");
    (at, daemon)
}

#[test]
fn a_directory_that_hangs_is_named() {
    story(|host| {
        let (slow, one, two) = (Reporter::new(host, "slow"), Reporter::new(host, "one"), Reporter::new(host, "two"));
        let (remote, daemon) = remote(host);
        let emperor = host.emperor().arg("--emperor").arg(&remote).arg("--emperor-freq").arg("1");
        let emperor = emperor.arg("--emperor-shrink-guard").arg("0").start();
        fs::write(remote.join("slow.ini"), slow.vassal("")).unwrap();
        let _slow = slow.started(1);
        emperor.write("one.ini", &one.vassal(""));
        let _one = one.started(1);

        daemon.kill(Signal::SIGSTOP);
        emperor.wait_log(&format!("{} has not answered for", remote.display()));
        emperor.write("two.ini", &two.vassal(""));
        let _two = two.started(1);
        assert_eq!((slow.starts().len(), one.starts().len()), (1, 1), "what runs goes on");

        daemon.kill(Signal::SIGCONT);
        emperor.wait_log(&format!("{} answers again", remote.display()));
        // Its files go with it.
        umount2(&remote, MntFlags::MNT_DETACH).unwrap();
        emperor.wait_log("slow.ini: gone");
    });
}

#[test]
fn a_directory_that_hangs_from_the_start_delays_nobody() {
    story(|host| {
        let (slow, one) = (Reporter::new(host, "slow"), Reporter::new(host, "one"));
        let (remote, daemon) = remote(host);
        fs::write(remote.join("slow.ini"), slow.vassal("")).unwrap();
        daemon.kill(Signal::SIGSTOP);

        let emperor = host.emperor().arg("--emperor").arg(&remote);
        let emperor = emperor.arg("--emperor-shrink-guard").arg("0").start_unheard();
        emperor.write("one.ini", &one.vassal(""));
        let _one = one.started(1);
        emperor.wait_log(&format!("{} has not answered for", remote.display()));
        emperor.wait_log("the emperor is ready");

        daemon.kill(Signal::SIGCONT);
        let _slow = slow.started(1);
        umount2(&remote, MntFlags::MNT_DETACH).unwrap();
        emperor.wait_log("slow.ini: gone");
    });
}
