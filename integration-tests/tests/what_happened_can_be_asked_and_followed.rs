//! `liege events` and `liege status --watch`: the past, and what comes, until nobody reads or the daemon ends.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use liege_integration_tests::tools::{liege, run_liege};
use liege_integration_tests::{Emperor, SHORT, story, wait_for};
use nix::sys::signal::Signal;

/// A verb that goes on, and its lines. Whoever reads them waits for what has to come.
struct Follower {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Follower {
    fn start(emperor: &Emperor, words: &[&str]) -> Self {
        let mut command = Command::new(liege());
        command.args(words).arg("--control").arg(&emperor.control).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("liege can be executed");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        Self { child, lines }
    }

    fn line_with(&mut self, text: &str) -> String {
        let found = self.lines.by_ref().map_while(Result::ok).find(|line| line.contains(text));
        found.unwrap_or_else(|| panic!("it ended without a line with {text:?}"))
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended by itself
        let _ = self.child.wait();
    }
}

#[test]
fn what_happened_is_told_with_its_cause() {
    story(|host| {
        let emperor = host.emperor().start();
        let mut all = Follower::start(&emperor, &["events", "-f", "--json"]);
        let mut table = Follower::start(&emperor, &["status", "--watch"]);
        emperor.write("app.ini", "[vassal]\ncommand = /bin/sleep 100000\nuid = root\n");
        let started: serde_json::Value = serde_json::from_str(&all.line_with("\"started\"")).expect("a line is JSON");
        assert_eq!((started["vassal"].as_str(), started["level"].as_str()), (Some("app.ini"), Some("info")));
        table.line_with("running, ready");

        let vassal = emperor.vassal("sleep");
        let app = vassal.processes().into_iter().find(|process| process.command_line().contains("sleep")).expect("its app");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(app.pid), Signal::SIGKILL).expect("it lives");
        let ended: serde_json::Value = serde_json::from_str(&all.line_with("\"ended\"")).expect("a line is JSON");
        assert_eq!(ended["cause"], "signal");
        table.line_with("ago: the app was killed by SIGKILL");

        let control = emperor.control.display().to_string();
        let (status, said) = run_liege(&["events", "app", "--control", &control]);
        assert!(status == 0 && said.contains("WARN app.ini: ended after") && said.contains("cause=signal"), "{said}");
        let (_, said) = run_liege(&["events", "app", "-n", "1", "--json", "--control", &control]);
        assert_eq!(said.lines().count(), 1, "{said}");

        emperor.remove("app.ini");
        all.line_with("\"gone\"");
        let (status, said) = run_liege(&["events", "app.ini", "--control", &control]);
        assert!(status == 0 && said.contains("gone"), "of one that is gone the past can be asked for: {said}");
        assert_eq!(run_liege(&["events", "never.ini", "--control", &control]).0, 4);
    });
}

#[test]
fn a_follower_ends_with_the_daemon_and_says_so() {
    story(|host| {
        let emperor = host.emperor().start();
        let mut follower = Follower::start(&emperor, &["events", "-f"]);
        emperor.write("app.ini", "[vassal]\ncommand = /bin/sleep 100000\nuid = root\n");
        follower.line_with("started");
        emperor.signal(Signal::SIGTERM);
        follower.line_with("shutting down");
        let status = wait_for("the follower to end", SHORT, || follower.child.try_wait().expect("our own child"));
        assert_eq!(status.code(), Some(3));
        emperor.wait_exit(SHORT);
    });
}
