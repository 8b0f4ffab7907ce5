//! Files are opened by way of `/proc`. Where it is missing they cannot be read, which is told with the reason; what runs goes on, and when
//! `/proc` is back all is as before.

use std::process::Command;

use liege_integration_tests::apps::Reporter;
use liege_integration_tests::{Emperor, LONG, story, wait_until};
use nix::sys::signal::Signal;

/// Runs a program in the daemon's own mount namespace.
fn in_its_namespace(emperor: &Emperor, words: &[&str]) {
    let status = Command::new("nsenter").args(["-m", "-t", &emperor.pid().to_string(), "--"]).args(words).status();
    assert!(status.expect("nsenter: make deps").success(), "{words:?}");
}

#[test]
fn a_missing_proc_is_no_missing_file() {
    story(|host| {
        let (runs, other, late) = (Reporter::new(host, "runs"), Reporter::new(host, "other"), Reporter::new(host, "late"));
        // In a mount table of its own: the story itself needs its /proc.
        let emperor = host.emperor().under(&["unshare", "-m", "--propagation", "private"]).start();
        emperor.write("runs.ini", &runs.vassal(""));
        emperor.write("other.ini", &other.vassal(""));
        let (_first, _other) = (runs.started(1), other.started(1));
        let before = emperor.vassals();

        in_its_namespace(&emperor, &["mount", "-t", "tmpfs", "-o", "ro", "x", "/proc"]);
        emperor.touch("runs.ini");
        emperor.write("late.ini", &late.vassal(""));
        for name in ["runs.ini", "late.ini"] {
            let path = emperor.file(name);
            emperor.wait_log_from(0, &["for now", &format!("{}: cannot be read: /proc is not there", path.display())]);
        }
        // What nothing has happened to is looked at as well.
        emperor.signal(Signal::SIGWINCH);
        emperor.signal(Signal::SIGHUP);
        emperor.wait_log_from(0, &["for now", &format!("{}: cannot be read", emperor.file("other.ini").display())]);
        assert!(emperor.log().iter().all(|line| !line.contains(" ERROR ")), "it is no mistake of a file");
        let (status, said) = emperor.ask(&["status"]);
        assert!(status != 0 && said.contains("/proc is not there"), "the refusal says why: {said}");
        assert_eq!(emperor.vassals().len(), before.len());
        assert!(before.iter().all(|vassal| vassal.init.lives()), "what runs goes on");

        in_its_namespace(&emperor, &["umount", "/proc"]);
        emperor.signal(Signal::SIGWINCH);
        let _late = late.started_within(LONG);
        let is_forgotten = || !emperor.ask(&["status", "--json"]).1.contains("cannot be read");
        wait_until("the mistakes to be forgotten", LONG, is_forgotten);
        assert!(emperor.log().iter().all(|line| !line.contains("its file is gone")), "no file ever was");
    });
}
