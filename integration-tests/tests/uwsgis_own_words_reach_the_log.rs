//! A real uwsgi under our emperor protocol: ready, accepting and loyal arrive, and a configuration too long for its config pipe is
//! refused with a clear sentence.

use liege_integration_tests::apps::ZipApp;
use liege_integration_tests::{LONG, served, story};

#[test]
fn ready_accepting_and_loyal_arrive() {
    story(|host| {
        let app = ZipApp::new(host, "app", "text");
        let emperor = host.emperor().arg("--log").arg("debug").start();
        emperor.write("app001.ini", &app.checked());
        served(app.port, "text", LONG);
        for word in ["ready", "accept", "loyal"] {
            emperor.wait_log_from(0, &["app001.ini", word]);
        }
    });
}

#[test]
fn a_long_configuration_reaches_uwsgi_whole() {
    story(|host| {
        let app = ZipApp::new(host, "app", "text");
        let emperor = host.emperor().start();
        // Far beyond one pipe buffer's worth of a page, below the 16 bits of uwsgi's length field.
        let padding: String = (0..500).map(|n| format!("padding-{n} = {}\n", "x".repeat(100))).collect();
        emperor.write("app001.ini", &format!("[uwsgi]\n{padding}{}", app.checked()));
        served(app.port, "text", LONG);
    });
}

#[test]
fn a_configuration_too_long_for_uwsgi_is_named() {
    story(|host| {
        let app = ZipApp::new(host, "app", "text");
        let emperor = host.emperor().start();
        let padding: String = (0..700).map(|n| format!("padding-{n} = {}\n", "x".repeat(100))).collect();
        emperor.write("app001.ini", &format!("[uwsgi]\n{padding}{}", app.checked()));
        let line = emperor.wait_log_from(0, &["app001.ini", "65535"]);
        assert!(line.contains("bytes"), "{line}");
    });
}
