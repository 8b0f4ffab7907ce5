//! `kill -9` of the app: its vassal ends with it and comes back clean, with the cause named; so does one that exits by itself.

use liege_integration_tests::apps::{Reporter, ZipApp};
use liege_integration_tests::{LONG, served, story, wait_until};
use nix::sys::signal::Signal;

#[test]
fn a_killed_uwsgi_comes_back_with_a_fresh_mount() {
    story(|host| {
        let app = ZipApp::new(host, "app", "from the zip");
        let emperor = host.emperor().start();
        emperor.write("app001.ini", &app.checked());
        served(app.port, "from the zip", LONG);
        let before = emperor.vassal("app001.ini");
        let (processes, mark) = (before.processes(), emperor.mark());

        before.process("uwsgi").kill(Signal::SIGKILL);
        wait_until("every old process to be gone", LONG, || before.is_gone(&processes));
        assert!(emperor.wait_cause(mark, "app001.ini", "signal").contains("SIGKILL"));
        served(app.port, "from the zip", LONG);
    });
}

#[test]
fn an_app_that_exits_comes_back_and_its_status_is_named() {
    story(|host| {
        let reporter = Reporter::new(host, "once");
        let emperor = host.emperor().start();
        let script = host.path("fails.sh");
        std::fs::write(&script, format!("{} & kill -9 $!; exit 7\n", reporter.command())).expect("a script");
        emperor.write("once.ini", &format!("[vassal]\ncommand = /bin/sh {}\nuid = root\n", script.display()));
        let line = emperor.wait_cause(0, "once.ini", "exit");
        assert!(line.contains("status 7"), "{line}");
    });
}

#[test]
fn a_killed_command_is_back_at_once_the_first_time() {
    story(|host| {
        let reporter = Reporter::new(host, "report");
        let emperor = host.emperor().start();
        emperor.write("one.ini", &reporter.vassal(""));
        let _first = reporter.started(1);
        let start = std::time::Instant::now();
        emperor.vassal("reports/report").process("report").kill(Signal::SIGTERM);
        let _second = reporter.started(2);
        // Well below the first step of the backoff (1 s).
        assert!(start.elapsed().as_millis() < 800, "took {:?}", start.elapsed());
    });
}
