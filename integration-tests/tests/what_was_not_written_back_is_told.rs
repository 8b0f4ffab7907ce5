//! A FUSE daemon that does not leave within `stop-timeout` is killed, and what that may have cost is told: in both logs, in the record of
//! the death, in the status and the metrics. An operator who does not want to wait can still cut it short, and is told as well.

use std::rc::Rc;
use std::time::{Duration, Instant};

use liege_integration_tests::faults::{Filesystem, Kind, Owner};
use liege_integration_tests::scrape::{ANY_PORT, Listener};
use liege_integration_tests::wait::holds_for;
use liege_integration_tests::{Emperor, Host, LONG, SHORT, story, wait_until};
use nix::sys::signal::Signal;

const SENTENCE: &str = "killed before it had ended, what it had not written back is lost: faultfs (pid ";

/// A vassal whose FUSE daemon outlives its mount.
fn stays(host: &Host, stop: u32, namespaces: Option<&str>) -> (Rc<Emperor>, Filesystem) {
    let filesystem = Filesystem::new(host, "stays", Kind::Faultfs, Owner::User);
    let emperor = host.emperor().namespaces(namespaces).arg("--emperor-metrics").arg(ANY_PORT).start();
    let lines = filesystem.lines_with("stay");
    emperor
        .write("v.ini", &format!("[vassal]\n{}{lines}command = sleep 1001\nstop-timeout = {stop}\n", filesystem.app_identity()));
    emperor.wait_log("started");
    (emperor, filesystem)
}

#[test]
fn a_daemon_that_never_leaves_is_killed_after_stop_timeout_and_told_everywhere() {
    for namespaces in [Some("fs,pid"), None] {
        story(|host| {
            let (emperor, filesystem) = stays(host, 2, namespaces);
            let processes = emperor.vassal("sleep 1001").processes();
            let (mark, start) = (emperor.mark(), Instant::now());
            emperor.ask(&["stop", "v"]);
            wait_until("it to be gone", LONG, || processes.iter().all(|process| !process.lives()));
            let took = start.elapsed();
            assert!((Duration::from_millis(1900)..Duration::from_secs(10)).contains(&took), "{took:?}");

            let line = emperor.wait_log_from(mark, &[SENTENCE]);
            let place = format!("of {}", filesystem.mount.display());
            assert!(line.contains("WARN") && line.contains(&place) && line.contains("raise stop-timeout (2 s)"), "{line}");
            emperor.wait_said("v.ini", &format!("liege: {SENTENCE}"));
            let status = emperor.ask(&["status", "v"]).1;
            assert!(status.contains(SENTENCE) && status.contains("killed before it had written back: faultfs"), "{status}");
            let record = host.path("state/deaths/v.ini.json");
            wait_until("the record", SHORT, || {
                std::fs::read_to_string(&record).is_ok_and(|text| text.contains("\"unsaved\": [\n"))
            });
            Listener::of(&emperor).wait_value("liege_unsaved_ends_total", SHORT, |value| value == 1.0);
            println!("{namespaces:?}: gone after {took:.1?}: {line}");
        });
    }
}

#[test]
fn a_second_signal_does_not_wait_for_it() {
    story(|host| {
        let (emperor, _filesystem) = stays(host, 60, Some("fs,pid"));
        emperor.signal(Signal::SIGTERM);
        holds_for("the first signal waits", Duration::from_millis(700), || emperor.ended().is_none());
        let mark = emperor.mark();
        emperor.signal(Signal::SIGTERM);
        assert_eq!(emperor.wait_exit(Duration::from_secs(3)).code(), Some(0));
        emperor.wait_log_from(mark, &[SENTENCE]);
        emperor.assert_state_gone();
    });
}

/// A stopped daemon is not known to hang before it was looked at for a while. Its unmount asks it nothing, so it is the wait that ends.
#[test]
fn one_that_hangs_unseen_costs_no_more_than_stop_timeout() {
    story(|host| {
        let (emperor, _filesystem) = stays(host, 1, Some("fs,pid"));
        let vassal = emperor.vassal("sleep 1001");
        vassal.process("faultfs").kill(Signal::SIGSTOP);
        let (processes, start) = (vassal.processes(), Instant::now());
        emperor.remove("v.ini");
        wait_until("it to be gone", Duration::from_secs(4), || vassal.is_gone(&processes));
        println!("gone after {:.1?}", start.elapsed());
    });
}

/// Once it is known to hang, an end that is asked for does not wait for it at all.
#[test]
fn one_that_is_known_to_hang_is_not_waited_for() {
    story(|host| {
        let filesystem = Filesystem::new(host, "hangs", Kind::Faultfs, Owner::User);
        let emperor = host.emperor().start();
        let mount = filesystem.mount.display();
        let check = format!("mountpoint-check = {mount}\nmountpoint-check-timeout = 1\nmountpoint-check-tolerance = 1000\n");
        let lines = format!("{}{}", filesystem.app_identity(), filesystem.lines());
        emperor.write("v.ini", &format!("[vassal]\n{lines}command = sleep 1001\nstop-timeout = 60\n{check}"));
        emperor.wait_log("is healthy");
        let vassal = emperor.vassal("sleep 1001");
        vassal.process("faultfs").kill(Signal::SIGSTOP);
        emperor.wait_log("is hung");
        let (processes, start) = (vassal.processes(), Instant::now());
        emperor.remove("v.ini");
        wait_until("it to be gone", Duration::from_secs(10), || vassal.is_gone(&processes));
        println!("gone after {:.1?}", start.elapsed());
    });
}

/// Nor where a step of its birth waits for the mount, beyond SIGKILL: no check watches it yet.
#[test]
fn one_that_a_step_hangs_on_is_not_waited_for() {
    story(|host| {
        let filesystem = Filesystem::new(host, "hangs", Kind::Faultfs, Owner::User);
        let emperor = host.emperor().start();
        let (identity, lines) = (filesystem.app_identity(), filesystem.lines_with("swallow"));
        let step = format!("exec-as-user = cat {}\n", filesystem.hello().0.display());
        emperor.write("v.ini", &format!("[vassal]\n{identity}{lines}{step}command = sleep 1001\nstop-timeout = 60\n"));
        let faultfs = filesystem.faultfs.as_ref().expect("it is a faultfs");
        wait_until("the step to wait for it", LONG, || faultfs.swallowed().is_ok_and(|count| count > 0));
        let (mark, start) = (emperor.mark(), Instant::now());
        emperor.ask_well(&["stop", "v"]);
        wait_until("it to be gone", Duration::from_secs(10), || emperor.vassals().is_empty());
        println!("gone after {:.1?}", start.elapsed());
        emperor.wait_log_from(mark, &[SENTENCE]);
    });
}

/// Nothing can have been written to a mount that is read-only: its daemon is not waited for.
#[test]
fn a_read_only_mount_has_nothing_to_lose() {
    story(|host| {
        let filesystem = Filesystem::new(host, "stays", Kind::Faultfs, Owner::Root);
        let emperor = host.emperor().start();
        let mount = filesystem.mount.display();
        let read_only = format!("hook-as-root = mount:none none {mount} remount,ro\n");
        let lines = filesystem.lines_with("stay");
        emperor.write("v.ini", &format!("[vassal]\nuid = root\n{lines}{read_only}command = sleep 1001\nstop-timeout = 60\n"));
        emperor.wait_log("started");
        let processes = emperor.vassal("sleep 1001").processes();
        emperor.remove("v.ini");
        wait_until("it to be gone", Duration::from_secs(5), || processes.iter().all(|process| !process.lives()));
        assert!(!emperor.log().iter().any(|line| line.contains(SENTENCE)));
    });
}
