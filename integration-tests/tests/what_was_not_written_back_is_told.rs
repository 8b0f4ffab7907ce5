//! A FUSE daemon that does not leave within `stop-timeout` is killed, and what that may have cost is told: in both logs, in the record of
//! the death, in the status and the metrics. An operator who does not want to wait can still cut it short, and is told as well.

use std::rc::Rc;
use std::time::{Duration, Instant};

use liege_integration_tests::apps::USER;
use liege_integration_tests::archive::Archive;
use liege_integration_tests::faults::{Filesystem, Kind, Owner};
use liege_integration_tests::scrape::{ANY_PORT, Listener};
use liege_integration_tests::wait::holds_for;
use liege_integration_tests::{Emperor, Host, LONG, SHORT, story, wait_until};
use nix::sys::signal::Signal;

const SENTENCE: &str = "what was not written back is lost: faultfs (pid ";
const LOST: &str = "what was not written back is lost: ";

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

/// A vassal with a mount that is looked at, and was well.
fn checked(host: &Host, more: &str) -> (Rc<Emperor>, Filesystem) {
    let filesystem = Filesystem::new(host, "hangs", Kind::Faultfs, Owner::User);
    let emperor = host.emperor().start();
    let check = format!("mountpoint-check = {}\nmountpoint-check-timeout = 1\n{more}", filesystem.mount.display());
    let lines = format!("{}{}", filesystem.app_identity(), filesystem.lines());
    emperor.write("v.ini", &format!("[vassal]\n{lines}command = sleep 1001\n{check}"));
    emperor.wait_log("is healthy");
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
            // The record is written beside the loop.
            let status = || emperor.ask(&["status", "v"]).1;
            let is_told = |status: &str| status.contains(SENTENCE) && status.contains("not written back, and lost: faultfs");
            wait_until("the status to tell", SHORT, || is_told(&status()));
            let record = host.path("state/deaths/v.ini.json");
            wait_until("the record", SHORT, || {
                std::fs::read_to_string(&record).is_ok_and(|text| text.contains("\"unsaved\": [\n"))
            });
            Listener::of(&emperor).wait_value("liege_unsaved_ends_total", SHORT, |value| value == 1.0);
            let look = Listener::of(&emperor).look();
            let told =
                |end: &serde_json::Value| end["failed"] == true && end["what"].as_str().is_some_and(|what| what.contains(LOST));
            let (row, end) = (&look["rows"][0], &look["ends"][0]);
            assert!(row["ill"] == true && told(&row["last_failure"]) && told(end), "{look}");
            println!("{namespaces:?}: gone after {took:.1?}: {line}");
        });
    }
}

/// Who waits for the end hears of it as well, and only of this one.
#[test]
fn a_stop_that_is_waited_for_fails_and_names_the_loss() {
    story(|host| {
        let (emperor, _filesystem) = stays(host, 1, Some("fs,pid"));
        let (status, said) = emperor.ask(&["stop", "v", "--wait"]);
        assert!(status == 1 && said.contains(&format!("liege: v.ini: {SENTENCE}")) && !said.contains("v.ini: stopped"), "{said}");
        assert!(emperor.vassals().is_empty());
        emperor.write("v.ini", "[vassal]\nuid = root\ncommand = sleep 1002\n");
        let mark = emperor.mark();
        emperor.ask_well(&["start", "v"]);
        emperor.wait_log_from(mark, &["started"]);
        let said = emperor.ask_well(&["stop", "v", "--wait"]);
        assert!(said.starts_with("v.ini: stopped after "), "{said}");
    });
}

/// It is up again all the same: both are said, and it counts as a failure of that vassal.
#[test]
fn a_restart_that_is_waited_for_fails_and_names_the_loss() {
    story(|host| {
        let (emperor, _filesystem) = stays(host, 1, Some("fs,pid"));
        emperor.write("w.ini", "[vassal]\nuid = root\ncommand = sleep 1002\n");
        let other = emperor.vassal("sleep 1002").init.pid;
        let lost = |said: &str| said.contains("liege: v.ini: up again after ") && said.contains(&format!("s, but {SENTENCE}"));
        let (status, said) = emperor.ask(&["restart", "v", "--wait"]);
        assert!(status == 1 && lost(&said), "{status} {said}");
        let (status, said) = emperor.ask(&["restart", "--all", "--wait"]);
        assert!(status == 1 && lost(&said) && said.contains("1 were not restarted"), "{status} {said}");
        assert_eq!(emperor.vassal("sleep 1002").init.pid, other);
        let (status, said) = emperor.ask(&["restart", "--all", "--wait", "--keep-going"]);
        assert!(status == 1 && lost(&said) && said.contains("w.ini: up again after "), "{status} {said}");
    });
}

/// What an overview told before the daemon was started anew it tells afterwards, of the daemon's own orderly end as well.
#[test]
fn a_loss_is_shown_after_the_daemon_was_started_anew() {
    story(|host| {
        let (emperor, _filesystem) = stays(host, 1, Some("fs,pid"));
        emperor.signal(Signal::SIGTERM);
        assert_eq!(emperor.wait_exit(LONG).code(), Some(0));
        let emperor = host.emperor().start_unheard();
        emperor.wait_log("started");
        let status = emperor.ask_well(&["status"]);
        assert!(status.contains(&format!("it was asked to; {SENTENCE}")), "{status}");
        let status = emperor.ask_well(&["status", "v"]);
        assert!(
            status.contains(&format!("ago: it was asked to; {SENTENCE}")) && status.contains("raise stop-timeout (1 s)"),
            "{status}"
        );
    });
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
        let (emperor, filesystem) = checked(host, "mountpoint-check-tolerance = 1000\nstop-timeout = 60\n");
        let mount = filesystem.mount.display();
        let vassal = emperor.vassal("sleep 1001");
        vassal.process("faultfs").kill(Signal::SIGSTOP);
        emperor.wait_log("is hung");
        let (mark, processes, start) = (emperor.mark(), vassal.processes(), Instant::now());
        emperor.remove("v.ini");
        wait_until("it to be gone", Duration::from_secs(10), || vassal.is_gone(&processes));
        println!("gone after {:.1?}", start.elapsed());
        emperor.wait_log_from(mark, &[&format!("{LOST}the daemon of {mount}, killed at once because of a mount that hangs")]);
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
        // Init has looked at its daemon by then, and found one that may have to save.
        let pause = "hook-as-root = exec:sleep 0.3\n";
        let read_only = format!("{pause}hook-as-root = mount:none none {mount} remount,ro\n");
        let lines = filesystem.lines_with("stay");
        emperor.write("v.ini", &format!("[vassal]\nuid = root\n{lines}{read_only}command = sleep 1001\nstop-timeout = 60\n"));
        emperor.wait_log("started");
        let processes = emperor.vassal("sleep 1001").processes();
        emperor.remove("v.ini");
        wait_until("it to be gone", Duration::from_secs(5), || processes.iter().all(|process| !process.lives()));
        assert!(!emperor.log().iter().any(|line| line.contains(SENTENCE)));
    });
}

/// What the daemon writes is bounded, so a signal ends it in the middle of its saving. More time would not have helped.
#[test]
fn a_daemon_that_dies_while_it_saves_is_told_and_by_what() {
    for namespaces in [Some("fs,pid"), None] {
        story(|host| {
            let emperor = host.emperor().namespaces(namespaces).arg("--emperor-metrics").arg(ANY_PORT).start();
            let archive = Archive::new(host, "app");
            let bounded = archive.vassal("").replacen("exec-as-user = fuse-zip", "exec-as-user = ulimit -f 2000; fuse-zip", 1);
            emperor.write("v.ini", &bounded);
            archive.written(1);
            let mark = emperor.mark();
            emperor.ask_well(&["stop", "v"]);
            let line = emperor.wait_log_from(mark, &[LOST, "fuse-zip (pid ", "ended by SIGXFSZ before that"]);
            assert!(!line.contains("stop-timeout"), "{line}");
            emperor.wait_said("v.ini", &format!("liege: {LOST}fuse-zip (pid "));
            Listener::of(&emperor).wait_value("liege_unsaved_ends_total", SHORT, |value| value == 1.0);
            assert!(emperor.ask(&["status", "v"]).1.contains("ended by SIGXFSZ"));
        });
    }
}

/// No longer stop-timeout would have helped.
#[test]
fn an_init_that_is_killed_while_it_waits_is_told() {
    for namespaces in [Some("fs,pid"), None] {
        story(|host| {
            let (emperor, _filesystem) = stays(host, 30, namespaces);
            let init = emperor.vassal("sleep 1001").init;
            let mark = emperor.mark();
            emperor.ask(&["stop", "v"]);
            wait_until("what it waits for", LONG, || emperor.ask(&["status", "v"]).1.contains("faultfs (pid "));
            init.kill(Signal::SIGKILL);
            let line = emperor.wait_log_from(mark, &[SENTENCE]);
            assert!(line.contains("liege-init, which was killed by SIGKILL") && !line.contains("raise stop-timeout"), "{line}");
        });
    }
}

#[test]
fn an_attached_daemon_that_dies_while_it_saves_is_told_and_by_what() {
    story(|host| {
        let up = host.open_dir("marks").join("up");
        let script = host.path("database");
        let text = format!("trap 'kill -9 $$' TERM\necho up > {}\nwhile :; do sleep 0.05; done\n", up.display());
        std::fs::write(&script, text).expect("write in our own directory");
        let emperor = host.emperor().start();
        let attached = format!("attach-daemon = exec /bin/bash {}", script.display());
        emperor.write("v.ini", &format!("[vassal]\nuid = root\n{attached}\ncommand = sleep 1001\n"));
        wait_until("the daemon to be up", LONG, || up.exists());
        let mark = emperor.mark();
        emperor.remove("v.ini");
        emperor.wait_log_from(mark, &[LOST, "exec /bin/bash ", "ended by SIGKILL before that"]);
    });
}

/// It is liege that kills it, and its children with it.
#[test]
fn an_attached_daemon_that_is_killed_is_told_once_and_its_children_are_not() {
    for namespaces in [Some("fs,pid"), None] {
        story(|host| {
            let ups = host.open_dir("marks").join("ups");
            let script = host.path("database.py");
            // As much memory as makes their ends last.
            let text = format!(
                "import os, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nfor _ in range(3):\n    if os.fork() == 0: break\n\
                 held = os.urandom(1 << 16) * 1600\nopen('{}', 'a').write('up\\n')\nwhile True: signal.pause()\n",
                ups.display()
            );
            std::fs::write(&script, text).expect("write in our own directory");
            let emperor = host.emperor().namespaces(namespaces).start();
            let attached = format!("attach-daemon = exec python3 {}", script.display());
            emperor.write("v.ini", &format!("[vassal]\nuid = root\n{attached}\ncommand = sleep 1001\nstop-timeout = 1\n"));
            let count = || std::fs::read_to_string(&ups).map_or(0, |text| text.lines().count());
            wait_until("the daemon and its children to be up", LONG, || count() == 4);
            let mark = emperor.mark();
            emperor.remove("v.ini");
            let line = emperor.wait_log_from(mark, &[LOST, "exec python3 "]);
            assert!(line.matches("python3").count() == 1 && !line.contains("before that"), "{line}");
            wait_until("it to be gone", LONG, || emperor.vassals().is_empty());
        });
    }
}

/// With and without a mount that has to be saved after it.
#[test]
fn an_app_that_takes_longer_than_stop_timeout_is_killed_and_told() {
    for with_mount in [false, true] {
        story(|host| {
            let emperor = host.emperor().start();
            let archive = Archive::new(host, "app");
            let up = host.open_dir("marks").join("up");
            let deaf = format!("trap : TERM; echo > {}; while :; do sleep 0.05; done", up.display());
            let vassal = match with_mount {
                true => format!("[vassal]\n{}{}{}", archive.identity(), archive.hook(), archive.command(&deaf)),
                false => format!("[vassal]\n{}command = sh -c '{deaf}'\n", archive.identity()),
            };
            emperor.write("v.ini", &format!("{vassal}stop-timeout = 3\n"));
            wait_until("the app to have set its trap", LONG, || up.exists());
            let mark = emperor.mark();
            emperor.ask_well(&["stop", "v"]);
            emperor.wait_log_from(mark, &[LOST, "the app (pid ", "raise stop-timeout (3 s)"]);
            wait_until("it to be gone", LONG, || emperor.vassals().is_empty());
            assert!(!with_mount || archive.is_saved(), "what stood after the app was saved");
        });
    }
}

#[test]
fn a_mount_that_hangs_is_itself_a_loss() {
    story(|host| {
        let (emperor, filesystem) = checked(host, "");
        let mount = filesystem.mount.display();
        let mark = emperor.mark();
        emperor.vassal("sleep 1001").process("faultfs").kill(Signal::SIGSTOP);
        let line = emperor.wait_log_from(mark, &[LOST]);
        assert!(line.contains(&format!("{LOST}the daemon of {mount}, ")) && !line.contains("stop-timeout"), "{line}");
    });
}

/// Its vassals end with it at once. Their own logs alone can tell what that costs.
#[test]
fn the_death_of_the_emperor_leaves_a_word_in_the_logs_of_its_vassals() {
    for namespaces in [Some("fs,pid"), None] {
        story(|host| {
            let emperor = host.emperor().namespaces(namespaces).start();
            let archive = Archive::new(host, "app");
            emperor.write("v.ini", &archive.vassal(""));
            archive.written(1);
            let vassal = emperor.vassal("sleep 1001");
            let processes = vassal.processes();
            emperor.signal(Signal::SIGKILL);
            let _killed = emperor.wait_exit(SHORT);
            wait_until("it to be gone", LONG, || vassal.is_gone(&processes));
            emperor.wait_said("v.ini", &format!("liege: {LOST}fuse-zip (pid "));
            if namespaces.is_none() {
                nix::mount::umount2(&archive.mount, nix::mount::MntFlags::MNT_DETACH).expect("a dead mount stays on the host");
            }
        });
    }
}

/// What was killed with its vassal while it started had nothing to save.
#[test]
fn a_vassal_whose_file_goes_while_it_starts_has_lost_nothing() {
    story(|host| {
        let emperor = host.emperor().namespaces(Some("fs,pid")).start();
        let file = format!("[vassal]\nuid = {USER}\ngid = {USER}\ncommand = /bin/sleep 1001\n");
        for round in 0..30 {
            let names: Vec<String> = (0..30).map(|number| format!("v{round}-{number}.ini")).collect();
            names.iter().for_each(|name| emperor.write(name, &file));
            emperor.wait_log(&format!("v{round}-0.ini: added"));
            names.iter().for_each(|name| emperor.remove(name));
            wait_until("all to be gone", LONG, || emperor.vassals().is_empty());
        }
        let log = emperor.log();
        let told: Vec<&String> = log.iter().filter(|line| line.contains(LOST)).collect();
        assert!(told.is_empty(), "{told:#?}");
    });
}
