//! A stopped FUSE daemon: requests wait in it for ever, and whoever asks waits with them. uWSGI's master hangs in its own statfs and
//! never recovers; here the mount is found hung, its connection is ended, and the whole instance replaced.

use std::fs;

use liege_integration_tests::apps::ZipApp;
use liege_integration_tests::{LONG, SHORT, procs, served, story, wait_for, wait_until};
use nix::sys::signal::Signal;

#[test]
fn a_stopped_fuse_daemon_is_seen_and_replaced() {
    story(|host| {
        let app = ZipApp::new(host, "app", "from the zip");
        let emperor = host.emperor().start();
        emperor.write("app001.ini", &quick(&app));
        served(app.port, "from the zip", LONG);
        let before = emperor.vassal("app001.ini");
        let (processes, (namespace, _hold)) = (before.processes(), before.pid_namespace());
        let mark = emperor.mark();

        before.process("fuse-zip").kill(Signal::SIGSTOP);
        let line = emperor.wait_cause(mark, "app001.ini", "mountpoint_hung");
        assert!(line.contains("is stopped"), "the log says what is known of its daemon: {line}");
        let record =
            wait_for("the record of its death", SHORT, || fs::read_to_string(host.path("state/deaths/app001.ini.json")).ok());
        assert!(record.contains("mountpoint_hung") && record.contains("is stopped"), "{record}");
        wait_until("every old process to be gone", LONG, || before.is_gone(&processes));
        served(app.port, "from the zip", LONG);
        assert!(procs::all().iter().all(|process| process.namespace("pid") != Some(namespace)), "the old namespace is gone");
    });
}

#[test]
fn one_that_goes_on_in_time_is_left_alone() {
    story(|host| {
        let app = ZipApp::new(host, "app", "from the zip");
        let emperor = host.emperor().start();
        emperor.write("app001.ini", &format!("{}mountpoint-check-tolerance = 1000\n", quick(&app)));
        served(app.port, "from the zip", LONG);
        let vassal = emperor.vassal("app001.ini");
        let mark = emperor.mark();

        vassal.process("fuse-zip").kill(Signal::SIGSTOP);
        emperor.wait_log_from(mark, &["is hung"]);
        vassal.process("fuse-zip").kill(Signal::SIGCONT);
        emperor.wait_log_from(mark, &["is healthy"]);
        assert!(vassal.init.lives());
        served(app.port, "from the zip", LONG);
    });
}

#[test]
fn an_unmounted_mount_is_gone() {
    story(|host| {
        let app = ZipApp::new(host, "app", "from the zip");
        let emperor = host.emperor().start();
        emperor.write("app001.ini", &app.checked());
        served(app.port, "from the zip", LONG);
        let before = emperor.vassal("app001.ini");
        emperor.wait_log("is healthy");
        let mark = emperor.mark();

        // Ended politely, it unmounts itself: the directory below answers as if nothing had happened.
        before.process("fuse-zip").kill(Signal::SIGTERM);
        emperor.wait_cause(mark, "app001.ini", "mountpoint_gone");
        served(app.port, "from the zip", LONG);
        assert_ne!(emperor.vassal("app001.ini").init, before.init);
    });
}

fn quick(app: &ZipApp) -> String {
    format!("{}mountpoint-check-interval = 0.2\nmountpoint-check-timeout = 0.5\n", app.checked())
}
