//! `liege status`, `reload` and `clear` over the control socket, and their exit codes.

use liege_integration_tests::apps::Reporter;
use liege_integration_tests::tools::run_liege;
use liege_integration_tests::{SHORT, story, wait_until};

#[test]
fn the_remote_asks_a_running_daemon() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let emperor = host.emperor().start();
        emperor.write("app.ini", &reporter.vassal(""));
        emperor.write("fails.ini", "[vassal]\ncommand = /bin/false\nuid = root\n");
        let _started = reporter.started(1);
        emperor.wait_cause(0, "fails.ini", "exit");

        let (status, said) = emperor.ask(&["status"]);
        assert!(status == 0 && said.contains("app.ini") && said.contains("fails.ini"), "{said}");
        let (status, said) = emperor.ask(&["status", "--json", "app.ini"]);
        assert_eq!(status, 0, "{said}");
        let view: serde_json::Value = serde_json::from_str(&said).expect("--json is JSON");
        assert!(view.to_string().contains(&format!("\"pid\":{}", emperor.vassal("reports/app").init.pid)), "{view}");

        let (status, said) = emperor.ask(&["reload", "app.ini"]);
        assert!(status == 0 && said.contains("app.ini: done"), "{said}");
        let _again = reporter.started(2);
        let (status, said) = emperor.ask(&["clear"]);
        assert_eq!(status, 0, "{said}");
    });
}

#[test]
fn a_file_that_never_was_usable_is_shown_and_not_reloaded() {
    story(|host| {
        let emperor = host.emperor().start();
        emperor.write("bad.ini", "[vassal]\ncommand = /bin/true\nuid = nobody-of-this-name\n");
        emperor.wait_log("bad.ini:3:");
        let (status, said) = emperor.ask(&["status", "bad.ini"]);
        assert!(status == 0 && said.contains("bad file") && said.contains("nobody-of-this-name"), "{said}");
        let (status, said) = emperor.ask(&["status", "--json"]);
        assert!(status == 0 && said.contains("nobody-of-this-name"), "{said}");
        let (status, said) = emperor.ask(&["reload", "bad.ini"]);
        assert!(status == 1 && said.contains("refused") && said.contains("nobody-of-this-name"), "{said}");

        emperor.remove("bad.ini");
        wait_until("the row to go", SHORT, || !emperor.ask(&["status"]).1.contains("bad.ini"));
    });
}

#[test]
fn exit_codes_say_what_went_wrong() {
    story(|host| {
        let emperor = host.emperor().start();
        assert_eq!(emperor.ask(&["status", "nobody.ini"]).0, 4, "no such vassal");
        assert_eq!(emperor.ask(&["reload", "nobody.ini"]).0, 4, "no such vassal");
        let nowhere = host.path("nowhere.sock");
        let (status, said) = run_liege(&["status".as_ref(), "--control".as_ref(), nowhere.as_os_str()]);
        assert!(status == 3 && said.contains("nowhere.sock"), "no daemon: {said}");
        assert_eq!(run_liege(&["no-such-verb"]).0, 2, "usage");
    });
}
