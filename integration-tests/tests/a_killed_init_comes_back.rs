//! `kill -9` of liege-init: pid 1 takes everything along, and a clean vassal comes, with the cause named.

use liege_integration_tests::apps::ZipApp;
use liege_integration_tests::{LONG, served, story, wait_until};
use nix::sys::signal::Signal;

#[test]
fn a_killed_init_comes_back() {
    story(|host| {
        let app = ZipApp::new(host, "app", "from the zip");
        let emperor = host.emperor().start();
        emperor.write("app001.ini", &app.checked());
        served(app.port, "from the zip", LONG);
        let before = emperor.vassal("app001.ini");
        let (processes, (namespace, _hold), mark) = (before.processes(), before.pid_namespace(), emperor.mark());

        before.init.kill(Signal::SIGKILL);
        wait_until("every old process to be gone", LONG, || before.is_gone(&processes));
        emperor.wait_cause(mark, "app001.ini", "init_killed");
        served(app.port, "from the zip", LONG);
        let after = emperor.vassal("app001.ini");
        assert_ne!(after.init.namespace("pid"), Some(namespace));
        assert!(after.mount(&app.mount).is_some());
    });
}
