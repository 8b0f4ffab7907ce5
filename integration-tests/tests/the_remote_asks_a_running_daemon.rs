//! `liege status`, `reload` and `clear` over the control socket, and their exit codes.

use liege_integration_tests::apps::Reporter;
use liege_integration_tests::tools::run_liege;
use liege_integration_tests::{SHORT, story, wait_for, wait_until};

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
fn a_typo_is_told_before_what_it_led_to_and_every_mistake_in_the_detail() {
    story(|host| {
        let emperor = host.emperor().start();
        emperor.write("typo.ini", "[vassal]\nuid = root\n\n\ncomand = sleep 1000\n");
        emperor.write("user.ini", "[vassal]\nuser = www-data\ncommand = sleep 1000\n");
        let row = |name: &str| {
            let line = |said: String| said.lines().find(|line| line.starts_with(name)).map(str::to_owned);
            wait_for(&format!("a row of {name}"), SHORT, || line(emperor.ask(&["status"]).1))
        };
        let typo = row("typo.ini");
        assert!(typo.contains("typo.ini:5:1: ") && typo.contains("comand") && typo.contains("command"), "{typo}");
        let user = row("user.ini");
        assert!(user.contains("user.ini:2:1: ") && user.contains("uid"), "{user}");
        let (status, detail) = emperor.ask(&["status", "typo.ini"]);
        let lines: Vec<&str> = detail.lines().collect();
        assert!(status == 0 && lines[1].contains("typo.ini:5:1: ") && lines[2].contains("typo.ini: "), "{detail}");
        assert!(!detail.contains(":0:0"), "{detail}");
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
