//! The jail differs: nothing can be kept, so the whole instance is rebuilt, and the log names the line that made it so.

use liege_integration_tests::apps::Reporter;
use liege_integration_tests::{LONG, story, wait_until};

#[test]
fn a_changed_jail_line_rebuilds() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let emperor = host.emperor().start();
        emperor.write("v.ini", &reporter.vassal("hook-pre-jail = putenv:ROUND=one\n"));
        assert_eq!(reporter.started(1)["environment"]["ROUND"], "one");
        let before = emperor.vassal("reports/app");
        let (processes, mark) = (before.processes(), emperor.mark());

        emperor.write("v.ini", &reporter.vassal("hook-pre-jail = putenv:ROUND=two\n"));
        assert_eq!(reporter.started(2)["environment"]["ROUND"], "two");
        wait_until("the old instance to be gone", LONG, || before.is_gone(&processes));
        assert_ne!(emperor.vassal("reports/app").init, before.init, "a new init");
        let line = emperor.wait_log_from(mark, &["v.ini", "v.ini:3"]);
        assert!(line.contains("changed"), "{line}");
    });
}
