//! `reload`, `restart`, `start`, HUP and a respawn act on the file as it is now, and not on what was last seen of it. An order whose file
//! cannot be read now is refused.

use std::collections::BTreeSet;
use std::fs;

use liege_integration_tests::apps::Reporter;
use liege_integration_tests::{LONG, story, wait_until};
use nix::sys::signal::Signal;

#[test]
fn an_order_reads_the_file_first() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let word = host.path("word");
        fs::write(&word, "one\n").unwrap();
        let emperor = host.emperor().arg("--emperor-freq").arg("3600").start();
        emperor.write("v.ini", &reporter.vassal(&format!("env = WORD=@({})\n", word.display())));
        assert_eq!(reporter.started(1)["environment"]["WORD"], "one");
        // What the file includes says something else, and the monitor watches the file only.
        let says = |text: &str| fs::write(&word, format!("{text}\n")).unwrap();
        let is = |text: &str| {
            wait_until(&format!("a start with {text}"), LONG, || {
                reporter.starts().last().is_some_and(|start| start["environment"]["WORD"] == text)
            });
        };
        says("two");
        let mark = emperor.mark();
        emperor.ask_well(&["reload", "v"]);
        is("two");
        // The reading has found the change, and so the order has it reloaded once. A second reload would begin with the end of the first.
        emperor.wait_log_from(mark, &["v.ini", "reloaded after"]);
        emperor.signal(Signal::SIGUSR1);
        emperor.wait_log_from(mark, &["report"]);
        let reloads = emperor.log().into_iter().skip(mark).filter(|line| line.contains("reloading in place")).collect::<Vec<_>>();
        assert_eq!(reloads.len(), 1, "{reloads:#?}");
        says("three");
        emperor.ask_well(&["restart", "v"]);
        is("three");
        says("four");
        emperor.signal(Signal::SIGHUP);
        is("four");
        emperor.ask_well(&["stop", "v"]);
        wait_until("the end of the app", LONG, || emperor.vassals().is_empty());
        says("five");
        let before = reporter.starts().len();
        emperor.ask_well(&["start", "v"]);
        is("five");
        assert_eq!(reporter.starts().len(), before + 1, "it was never started with what the file said before");
        says("six");
        let before = reporter.starts().len();
        emperor.vassal("reports/app").process("report").kill(Signal::SIGKILL);
        is("six");
        assert_eq!(reporter.starts().len(), before + 1, "it was never started with what the file said before");
    });
}

/// The directory is moved away for a moment: what runs there is kept, and no order but a stop takes it down.
#[test]
fn an_order_whose_file_cannot_be_read_is_refused() {
    story(|host| {
        let emperor = host.emperor().start();
        for name in ["a.ini", "b.ini"] {
            emperor.write(name, "[vassal]\nuid = root\ncommand = /bin/sleep 100000\n");
        }
        let inits = || emperor.vassals().iter().map(|vassal| vassal.init.pid).collect::<BTreeSet<_>>();
        // An init that is still to go to the directory of its file would not find it.
        for name in ["a.ini", "b.ini"] {
            emperor.wait_log(&format!("{name}: started"));
        }
        let before = inits();
        let directory = emperor.file("a.ini").parent().unwrap().to_owned();
        let away = directory.with_extension("away");
        let mark = emperor.mark();
        fs::rename(&directory, &away).unwrap();
        emperor.wait_log_from(mark, &[&*directory.to_string_lossy(), "is gone"]);
        let refused = format!("its file cannot be read: {} is gone; ", directory.display());
        for order in [["restart", "--all"], ["reload", "--all"], ["start", "--all"], ["restart", "a"], ["reload", "a.ini"]] {
            let (status, said) = emperor.ask(&order);
            let told = format!("a.ini: refused: {refused}it runs on with the file of before");
            assert!(status == 1 && said.contains(&told), "{order:?}: {status} {said}");
        }
        let mark = emperor.mark();
        emperor.signal(Signal::SIGHUP);
        emperor.wait_log_from(mark, &["what a signal asked for is refused: ", &refused]);
        assert_eq!(inits(), before);

        emperor.ask_well(&["stop", "a", "--wait"]);
        let (status, said) = emperor.ask(&["start", "a"]);
        assert!(status == 1 && said.contains(&format!("{refused}it stays down")), "{said}");
        let mark = emperor.mark();
        fs::rename(&away, &directory).unwrap();
        emperor.wait_log_from(mark, &["is what it was"]);
        emperor.ask_well(&["start", "a"]);
        wait_until("both to run", LONG, || inits().len() == 2);
    });
}
