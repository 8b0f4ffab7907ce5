//! What a daemon has recorded, `liege replay` runs through the same core, and it must do the same. A trace that was tampered
//! with is found out.

use std::fs;

use liege_integration_tests::apps::ZipApp;
use liege_integration_tests::tools::run_liege;
use liege_integration_tests::{LONG, SHORT, served, story, wait_until};
use nix::sys::signal::Signal;

#[test]
fn the_trace_replays() {
    story(|host| {
        let (app, trace) = (ZipApp::new(host, "app", "text"), host.path("trace"));
        let emperor = host.emperor().arg("--trace").arg(&trace).start();
        emperor.write("app001.ini", &app.checked());
        emperor.write("fails.ini", "[vassal]\ncommand = /bin/false\nuid = root\n");
        emperor.write("bad.ini", "[vassal]\nuid = nobody-of-this-name\n");
        served(app.port, "text", LONG);
        emperor.vassal("app001.ini").process("fuse-zip").kill(Signal::SIGKILL);
        emperor.wait_cause(0, "app001.ini", "mountpoint_dead");
        served(app.port, "text", LONG);
        for file in ["app001.ini", "fails.ini", "bad.ini"] {
            emperor.remove(file);
        }
        wait_until("all to be gone", LONG, || emperor.vassals().is_empty());
        emperor.signal(Signal::SIGTERM);
        assert_eq!(emperor.wait_exit(SHORT).code(), Some(0));

        let (status, said) = run_liege(&["replay".as_ref(), trace.as_os_str()]);
        assert_eq!(status, 0, "{said}");

        let text = fs::read_to_string(&trace).expect("a trace is text");
        let exits = text.lines().position(|line| line.contains(r#""event":{"Exited""#)).expect("somebody exited");
        let without: Vec<&str> = text.lines().enumerate().filter(|(number, _)| *number != exits).map(|(_, line)| line).collect();
        let tampered = host.path("tampered");
        fs::write(&tampered, without.join("\n") + "\n").unwrap();
        let (status, said) = run_liege(&["replay".as_ref(), tampered.as_os_str()]);
        assert_ne!(status, 0, "a missing event makes a difference: {said}");
    });
}
