//! Where a vassal's log cannot be made its words go nowhere: it is not handed the daemon's own output, what it says is read and counted, and
//! comes into the log when that can be made.

use std::fs;

use liege_integration_tests::{LONG, story, wait_until};

#[test]
fn what_it_says_is_dropped_and_counted_until_there_is_a_log() {
    story(|host| {
        fs::write(host.path("logs"), "in the way").unwrap();
        let emperor = host.emperor().start();
        let seen = host.path("seen");
        // More than pipes hold: no process waits for the log.
        let look = "out=`readlink /proc/$$/fd/1` err=`readlink /proc/$$/fd/2`";
        let words = format!("{look}; echo $out $err >{0}.new; seq 300000; mv {0}.new {0}", seen.display());
        let text = format!("[vassal]\ncommand = sh -c '{words}; while :; do echo forged; sleep 0.1; done'\nuid = root\n");
        emperor.write("v.ini", &text);
        emperor.wait_log_from(0, &["WARN", "v.ini", "its log in", "Not a directory", "what it says is dropped"]);
        wait_until("all to be read", LONG, || seen.exists());
        let own = [1, 2].map(|fd| fs::read_link(format!("/proc/{}/fd/{fd}", emperor.pid)).unwrap());
        for target in fs::read_to_string(&seen).unwrap().split_whitespace() {
            assert!(target.starts_with("pipe:") && own.iter().all(|own| own.as_os_str() != target), "{target} is one of {own:?}");
        }
        let (_, told) = emperor.ask(&["logs", "v.ini"]);
        assert!(told.contains("is dropped until its log can be had: Not a directory"), "{told}");

        fs::remove_file(host.path("logs")).unwrap();
        emperor.wait_log_from(0, &["v.ini", "its log in", "is written again"]);
        emperor.wait_said("v.ini", "app: forged");
        let line = emperor.wait_said("v.ini", "could not be written: there was no log");
        let lost: u64 = line.strip_prefix("liege: ").and_then(|rest| rest.split(' ').next()?.parse().ok()).expect(&line);
        assert!(lost >= 300_000, "{line}");
        let log = emperor.log();
        assert!(
            !log.iter().any(|line| line.contains("forged") || line.ends_with("299999")),
            "what it says is none of the daemon's"
        );
        assert_eq!(log.iter().filter(|line| line.contains("what it says is dropped")).count(), 1, "told once");
        assert!(!emperor.ask(&["logs", "v.ini"]).1.contains("is dropped"));
    });
}

#[test]
fn the_next_life_has_the_log_that_the_last_one_had_not() {
    story(|host| {
        fs::write(host.path("logs"), "in the way").unwrap();
        let emperor = host.emperor().start();
        emperor.write("v.ini", "[vassal]\ncommand = sh -c 'echo life; exec sleep infinity'\nuid = root\n");
        emperor.wait_log("v.ini: started");
        fs::remove_file(host.path("logs")).unwrap();
        emperor.ask_well(&["restart", "v.ini"]);
        emperor.wait_said("v.ini", "app: life");
    });
}
