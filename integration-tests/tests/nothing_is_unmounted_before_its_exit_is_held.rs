//! A connection whose mount went can be found by nobody any more. So at an orderly end a mount stands until the host has told that it
//! holds the emergency exit of its connection, however long that takes: here the host is stopped, and the app ends by itself. A daemon
//! that waits for itself is beyond SIGKILL, and holds up the end of its vassal for ever where nobody holds that exit.

use std::time::{Duration, Instant};

use liege_integration_tests::faults::{Filesystem, Kind, Owner, Pace, Victim};
use liege_integration_tests::wait::holds_for;
use liege_integration_tests::{Host, LONG, SHORT, procs, story, wait_until};
use nix::sys::signal::Signal;

/// Ten times as long as init once gave the host.
const STOPPED: Duration = Duration::from_secs(1);

#[test]
fn nothing_is_unmounted_before_its_exit_is_held() {
    story(|host| {
        let emperor = host.emperor().start();
        let filesystem = Filesystem::new(host, "first", Kind::Faultfs, Owner::Root);
        let victim = Victim::new(host, "first", filesystem, "", Pace::SUITE).watching(None).with("stop-timeout = 4\n");
        emperor.write(&victim.name, &victim.text().replace("stop-timeout = 1\n", ""));
        victim.until_served(Instant::now(), SHORT).unwrap_or_else(|why| panic!("{why}"));
        let vassal = victim.vassal(&emperor).expect("it runs");
        let daemon = procs::all().into_iter().find(|process| process.pid == emperor.pid).expect("it runs");

        daemon.kill(Signal::SIGSTOP);
        wait_until("it to stop", SHORT, || daemon.is_stopped());
        let late = late_mount(host, &vassal.init);
        let processes = vassal.processes();
        vassal.process("reader").kill(Signal::SIGKILL);
        emperor.remove(&victim.name);
        wait_until("the app to be gone", SHORT, || processes.iter().all(|process| process.name != "reader" || !process.lives()));
        let mounts = format!("/proc/{}/mountinfo", vassal.init.pid);
        let stands = || std::fs::read_to_string(&mounts).is_ok_and(|table| table.contains(&late));
        holds_for("the mount stands while nobody holds its exit", STOPPED, stands);
        daemon.kill(Signal::SIGCONT);

        let start = Instant::now();
        wait_until("nothing to be left of it", LONG, || vassal.is_gone(&processes));
        println!("gone {:.1?} after the host went on", start.elapsed());
    });
}

/// Mounts another one beside the app, whose daemon waits for itself at once. Its mount point.
fn late_mount(host: &Host, init: &procs::Process) -> String {
    let late = Filesystem::new(host, "late", Kind::Faultfs, Owner::Root);
    late.mount_beside(init);
    late.faultfs.as_ref().expect("it is a faultfs").order("selfdeadlock").expect("it obeys");
    late.mount.display().to_string()
}
