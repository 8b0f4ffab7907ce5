//! An operator restarts the daemon and asks afterwards why a vassal died an hour ago: the records are there, old and new ends in one
//! list, until the vassal's file goes.

use std::fs;
use std::path::Path;

use liege_integration_tests::apps::Reporter;
use liege_integration_tests::{LONG, SHORT, story, wait_until};
use nix::sys::signal::Signal;

/// The causes on record, the oldest first.
fn causes(record: &Path) -> Vec<String> {
    let text = fs::read_to_string(record).unwrap_or_default();
    let cause = |line: &str| Some(line.trim().strip_prefix("\"cause\": \"")?.trim_end_matches("\",").to_owned());
    text.lines().filter_map(cause).collect()
}

#[test]
fn why_it_died_is_known_after_a_restart() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let record = host.path("state/deaths/app.ini.json");
        let emperor = host.emperor().start();
        emperor.write("app.ini", &reporter.vassal(""));
        let _started = reporter.started(1);
        emperor.vassal("reports/app").process("report").kill(Signal::SIGKILL);
        let _again = reporter.started(2);
        emperor.signal(Signal::SIGTERM);
        assert_eq!(emperor.wait_exit(SHORT).code(), Some(0));
        assert_eq!(causes(&record), ["signal", "requested"], "after an orderly end");

        let emperor = host.emperor().start_unheard();
        let _again = reporter.started(3);
        emperor.vassal("reports/app").init.kill(Signal::SIGKILL);
        wait_until("the new end beside the old ones", LONG, || causes(&record) == ["signal", "requested", "init_killed"]);
        let _again = reporter.started(4);
        emperor.signal(Signal::SIGKILL); // nothing of its own runs then
        emperor.wait_exit(SHORT);

        let emperor = host.emperor().start_unheard();
        let _again = reporter.started(5);
        assert_eq!(causes(&record).len(), 3);
        emperor.remove("app.ini");
        wait_until("the record to go with the file", LONG, || !record.exists());
    });
}

#[test]
fn the_record_has_the_last_words() {
    story(|host| {
        let emperor = host.emperor().arg("--emperor-throttle").arg("60000").start();
        emperor.write("v.ini", "[vassal]\ncommand = sh -c 'echo what is wrong >&2; exit 3'\nuid = root\n");
        let record = host.path("state/deaths/v.ini.json");
        let words = || fs::read_to_string(&record).unwrap_or_default();
        wait_until("the words in the record", LONG, || words().contains("app: what is wrong"));
    });
}
