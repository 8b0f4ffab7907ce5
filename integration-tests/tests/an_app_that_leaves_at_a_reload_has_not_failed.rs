//! Some apps reload by leaving: a uwsgi with `exit-on-reload`, a command that ends at its `reload-signal`. The reload was asked for, so
//! such an end is no failure: the vassal is back at once each time, it does not flap, and every view says that it ended at a reload.

use std::fs;

use liege_integration_tests::apps::ZipApp;
use liege_integration_tests::emperor::Emperor;
use liege_integration_tests::{LONG, served, story, wait_until};

/// As many failures in the window would be flapping.
const TIMES: usize = 6;

/// A command that does this at HUP.
fn command(at_hup: &str) -> String {
    let script = format!("{at_hup}echo up; while :; do sleep 0.1; done");
    format!("[vassal]\nuid = root\nreload-signal = HUP\ncommand = /bin/sh -c \"{script}\"\n")
}

/// Has it reload so often by this, and looks at each end. `starts` counts the times it was up.
fn leaves_each_time(emperor: &Emperor, name: &str, how: &str, reload: impl Fn(), starts: impl Fn() -> usize) {
    for time in 1..=TIMES {
        wait_until("it to be up", LONG, || starts() >= time);
        let mark = emperor.mark();
        reload();
        let line = emperor.wait_cause(mark, name, "reload");
        assert!(line.contains(how) && line.contains("it ended at a reload") && line.contains("starts again now"), "{line}");
        assert!(!line.contains("WARN"), "{line}");
    }
    wait_until("it to be up again", LONG, || starts() > TIMES);
    assert!(!emperor.log().iter().any(|line| line.contains("flapping")), "it flaps");
    let status = emperor.ask_well(&["status"]);
    assert!(status.contains("it ended at a reload"), "{status}");
    let detail = emperor.ask_well(&["status", name]);
    assert!(detail.contains(&format!("restarts  {TIMES}: reload {TIMES}")), "{detail}");
    let json = emperor.ask_well(&["status", "--json", name]);
    assert!(json.contains("\"failures\": 0") && json.contains("\"flapping\": null"), "{json}");
}

#[test]
fn a_command_that_ends_at_its_reload_signal() {
    story(|host| {
        let emperor = host.emperor().start();
        for (name, at_hup, how) in [
            ("exits.ini", "trap 'exit 0' HUP; ", "the app exited with status 0"),
            ("dies.ini", "", "the app was killed by SIGHUP"),
        ] {
            emperor.write(name, &command(at_hup));
            let starts = || emperor.said(name).iter().filter(|line| line.ends_with("up")).count();
            leaves_each_time(&emperor, name, how, || drop(emperor.ask_well(&["reload", name])), starts);
            let record = host.path(&format!("state/deaths/{name}.json"));
            wait_until("the record", LONG, || fs::read_to_string(&record).unwrap_or_default().contains("\"cause\": \"reload\""));
        }
    });
}

#[test]
fn a_uwsgi_with_exit_on_reload() {
    story(|host| {
        let app = ZipApp::new(host, "app", "from the zip");
        let emperor = host.emperor().start();
        emperor.write("v.ini", &format!("{}exit-on-reload = true\n", app.checked()));
        served(app.port, "from the zip", LONG);
        let starts = || emperor.log().iter().filter(|line| line.contains("v.ini: ready after")).count();
        leaves_each_time(&emperor, "v.ini", "the app exited with status 0", || emperor.touch("v.ini"), starts);
        served(app.port, "from the zip", LONG);
    });
}

#[test]
fn one_that_fails_at_a_reload_has_failed() {
    story(|host| {
        let emperor = host.emperor().start();
        emperor.write("v.ini", &command("trap 'exit 3' HUP; "));
        emperor.wait_said("v.ini", "up");
        let mark = emperor.mark();
        emperor.ask_well(&["reload", "v.ini"]);
        let line = emperor.wait_cause(mark, "v.ini", "exit");
        assert!(line.contains("the app exited with status 3 at a reload") && line.contains("WARN"), "{line}");
    });
}
