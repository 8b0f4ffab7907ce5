//! As under uWSGI's Emperor, a vassal that died is born of what its file means by then, not of what it meant when it was written.

use std::fs;

use liege_integration_tests::apps::Reporter;
use liege_integration_tests::{LONG, story, wait_until};
use nix::sys::signal::Signal;

#[test]
fn a_respawn_reads_its_file_again() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let word = host.path("word");
        fs::write(&word, "one\n").unwrap();
        let emperor = host.emperor().start();
        emperor.write("v.ini", &reporter.vassal(&format!("env = WORD=@({})\n", word.display())));
        assert_eq!(reporter.started(1)["environment"]["WORD"], "one");

        // Nobody touches the vassal's file.
        fs::write(&word, "two\n").unwrap();
        emperor.vassal("reports/app").process("report").kill(Signal::SIGKILL);
        wait_until("a start in the world of now", LONG, || {
            reporter.starts().last().is_some_and(|start| start["environment"]["WORD"] == "two")
        });
    });
}
