//! A file that does not parse: the last good configuration goes on, every mistake is named with its place, and nobody waits.

use std::time::Duration;

use liege_integration_tests::apps::Reporter;
use liege_integration_tests::wait::holds_for;
use liege_integration_tests::{SHORT, story, wait_until};

/// Two mistakes: a quote that is never closed, and a user nobody knows.
const BAD: &str = "[vassal]\ncommand = /bin/echo \"never closed\nuid = nobody-of-this-name\n";

#[test]
fn a_bad_file_never_stops_what_runs() {
    story(|host| {
        let (reporter, other) = (Reporter::new(host, "app"), Reporter::new(host, "other"));
        let emperor = host.emperor().start();
        emperor.write("v.ini", &reporter.vassal(""));
        let _first = reporter.started(1);
        let vassal = emperor.vassal("reports/app");
        let mark = emperor.mark();

        emperor.write("v.ini", BAD);
        emperor.wait_log_from(mark, &["v.ini:2:"]);
        emperor.wait_log_from(mark, &["v.ini:3:"]);
        emperor.wait_log_from(mark, &["^^"]);
        emperor.wait_log_from(mark, &["hint"]);
        holds_for("what ran goes on", Duration::from_millis(500), || vassal.init.lives() && reporter.starts().len() == 1);

        emperor.write("other.ini", &other.vassal(""));
        let _other = other.started(1);

        emperor.write("v.ini", &reporter.vassal("env = ROUND=two\n"));
        assert_eq!(reporter.started(2)["environment"]["ROUND"], "two", "the mended file is taken");
    });
}

#[test]
fn a_bad_file_that_disappears_takes_its_vassal_along() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let emperor = host.emperor().start();
        emperor.write("v.ini", &reporter.vassal(""));
        let _first = reporter.started(1);
        emperor.write("v.ini", BAD);
        emperor.wait_log("v.ini:2:");
        emperor.remove("v.ini");
        wait_until("the vassal to go", SHORT, || emperor.vassals().is_empty());
    });
}

#[test]
fn a_new_bad_file_is_only_a_message() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let emperor = host.emperor().start();
        emperor.write("bad.ini", BAD);
        emperor.wait_log("bad.ini:2:");
        assert!(emperor.vassals().is_empty());
        emperor.write("bad.ini", &reporter.vassal(""));
        let _started = reporter.started(1);
    });
}
