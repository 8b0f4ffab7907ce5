//! `kill -9` of fuse-zip under `mountpoint-check`: the whole instance goes and a clean one comes, mount and all.

use std::time::{Duration, Instant};

use liege_integration_tests::apps::ZipApp;
use liege_integration_tests::{LONG, bar, procs, served, story, wait_until};
use nix::sys::signal::Signal;

#[test]
fn a_killed_fuse_daemon_is_replaced_with_everything() {
    story(|host| {
        let app = ZipApp::new(host, "app", "from the zip");
        let emperor = host.emperor().start();
        emperor.write("app001.ini", &app.checked());
        served(app.port, "from the zip", LONG);
        let before = emperor.vassal("app001.ini");
        let (processes, (namespace, _hold)) = (before.processes(), before.pid_namespace());
        let mark = emperor.mark();

        before.process("fuse-zip").kill(Signal::SIGKILL);
        let start = Instant::now();
        wait_until("every old process to be gone", LONG, || before.is_gone(&processes));
        served(app.port, "from the zip", LONG);
        let took = start.elapsed();
        emperor.wait_cause(mark, "app001.ini", "mountpoint_dead");

        let after = emperor.vassal("app001.ini");
        assert_ne!(after.init.namespace("pid"), Some(namespace), "a new namespace");
        assert!(procs::all().iter().all(|process| process.namespace("pid") != Some(namespace)), "the old namespace is gone");
        assert!(after.mount(&app.mount).is_some(), "it is mounted again");
        assert!(!host.mountinfo().contains("fuse-zip"), "the host saw it:\n{}", host.mountinfo());
        assert!(took < bar(Duration::from_secs(2)), "a tenth of what uWSGI's Emperor takes is 0.4 s; this took {took:?}");
    });
}
