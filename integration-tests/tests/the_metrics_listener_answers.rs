//! `emperor-metrics = ADDR`: metrics that Prometheus's own tool finds nothing to say about, health, readiness; and an address that
//! cannot be had is told before anything starts.

use std::process::Command;

use liege_integration_tests::apps::ZipApp;
use liege_integration_tests::scrape::{ANY_PORT, Listener, promtool};
use liege_integration_tests::tools::{PATH, liege};
use liege_integration_tests::{LONG, get, served, story, wait_until};

#[test]
fn promtool_finds_nothing_to_say() {
    story(|host| {
        let app = ZipApp::new(host, "app", "text");
        let emperor = host.emperor().arg("--emperor-metrics").arg(ANY_PORT).start();
        emperor.write("app001.ini", &app.checked());
        emperor.write("an \"odd\" name\\.ini", "[vassal]\ncommand = /bin/sleep 1000\nuid = root\n");
        emperor.write("bad.ini", "[vassal]\ncommand =\nuid = root\n");
        served(app.port, "text", LONG);
        let listener = Listener::of(&emperor);
        listener.wait_value(r#"liege_vassal_up{vassal="app001.ini"}"#, LONG, |up| up == 1.0);
        listener.wait_value(r#"liege_vassal_up{vassal="an \"odd\" name\\.ini"}"#, LONG, |up| up == 1.0);
        listener.wait_value(r#"liege_vassal_config_error{vassal="bad.ini"}"#, LONG, |bad| bad == 1.0);
        let text = listener.text();
        assert_eq!(promtool(&["check", "metrics"], &text), (true, String::new()), "{text}");
        assert!(!promtool(&["check", "metrics"], "# TYPE x counter\nx 1\n").1.is_empty(), "promtool finds mistakes");
        assert!(listener.open_metrics().ends_with("# EOF\n"));
    });
}

#[test]
fn ready_is_who_has_tried_everything() {
    story(|host| {
        let watched = host.open_dir("vassals");
        let held = host.path("go");
        // Its first step waits for a file: it is found at once and not started before that is there.
        std::fs::write(
            watched.join("late.ini"),
            format!("[vassal]\nwait-for-file = {}\ncommand = /bin/sleep 1000\nuid = root\n", held.display()),
        )
        .unwrap();
        std::fs::write(watched.join("fails.ini"), "[vassal]\ncommand = /bin/false\nuid = root\n").unwrap();
        let emperor = host.emperor().arg("--emperor-metrics").arg(ANY_PORT).start();
        let port = Listener::of(&emperor).port;
        emperor.wait_cause(0, "fails.ini", "exit");
        assert_eq!(get(port, "/healthz").unwrap(), (200, "ok\n".to_owned()));
        let missing = "1 of 2 vassals are not started for the first time yet\n";
        wait_until("the waiting one to be missed", LONG, || get(port, "/readyz").unwrap() == (503, missing.to_owned()));
        std::fs::write(held, "").unwrap();
        wait_until("the daemon to be ready", LONG, || get(port, "/readyz").unwrap() == (200, "ready\n".to_owned()));
    });
}

#[test]
fn an_address_that_cannot_be_had_is_told_at_the_start() {
    story(|host| {
        let emperor = host.emperor().arg("--emperor-metrics").arg(ANY_PORT).start();
        let taken = format!("127.0.0.1:{}", Listener::of(&emperor).port);
        let run = |address: &str| {
            let mut command = Command::new(liege());
            command.args(["run", "--emperor-metrics", address, "--emperor"]).arg(host.open_dir("other"));
            command.arg("--emperor-state-dir").arg(host.path("other-state")).env_clear().env("PATH", PATH).env("NO_COLOR", "1");
            let output = command.output().unwrap();
            (output.status.code(), String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned())
        };
        let sentence = format!("liege: listen on {taken} (--emperor-metrics): Address already in use (os error 98)");
        assert_eq!(run(&taken), (Some(1), sentence));
        let (status, said) = run("localhost:http");
        assert_eq!(status, Some(1));
        assert!(said.contains("--emperor-metrics: \"localhost:http\" is no address and port in numbers"), "{said}");
    });
}
