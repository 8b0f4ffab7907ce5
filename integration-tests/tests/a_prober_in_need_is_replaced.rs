//! A prober that can open nothing any more knows nothing about any mount. That is told, with the reason; a fresh one takes over, and no
//! vassal pays for it.

use std::process::Command;
use std::time::Instant;

use liege_integration_tests::faults::{Filesystem, Kind, Owner, Pace, Victim};
use liege_integration_tests::gauge::is_helper;
use liege_integration_tests::{Emperor, LONG, SHORT, procs, story, wait_for, wait_until};
use nix::sys::signal::Signal;

#[test]
fn a_prober_in_need_is_replaced() {
    story(|host| {
        let emperor = host.emperor().start();
        let victim = Victim::new(host, "app", Filesystem::new(host, "app", Kind::Faultfs, Owner::User), "", Pace::SUITE);
        emperor.write(&victim.name, &victim.text());
        victim.until_served(Instant::now(), SHORT).unwrap_or_else(|why| panic!("{why}"));
        let path = victim.filesystem.mount.display();
        emperor.wait_log(&format!("{path} is healthy"));
        let vassal = victim.vassal(&emperor).expect("it runs");
        let first = wait_for("a prober", SHORT, || prober(&emperor));
        let mark = emperor.mark();

        let status = Command::new("prlimit").args(["--pid", &first.pid.to_string(), "--nofile=3:3"]).status();
        assert!(status.expect("prlimit is installed").success());
        let line = emperor.wait_log_from(mark, &[&format!("{path} is unknown")]);
        assert!(line.contains("EMFILE"), "the reason is named: {line}");
        emperor.wait_log_from(mark, &[&format!("{path} is healthy")]);
        wait_until("another prober", LONG, || prober(&emperor).is_some_and(|next| next != first));
        assert!(vassal.init.lives(), "a prober's trouble says nothing about a mount");

        victim.daemon(&vassal).expect("it runs").kill(Signal::SIGKILL);
        emperor.wait_cause(mark, &victim.name, "mountpoint_dead");
        victim.until_served(Instant::now(), LONG).unwrap_or_else(|why| panic!("{why}"));
    });
}

/// The daemon's child that is the daemon's own program.
fn prober(emperor: &Emperor) -> Option<procs::Process> {
    procs::all().into_iter().find(|process| is_helper(process, emperor.pid))
}
