//! The prober is killed, or stopped, while it waits for a mount that hangs: another one takes over, no vassal is touched by it, and the next
//! trouble is still found. Once where what waits dies with it, and once where it cannot: it stays until the mount answers or is given up, with
//! the prober's socket open, and nothing may wait for that.

use std::time::Instant;

use liege_integration_tests::faults::{Filesystem, Kind, Owner, Pace, Victim};
use liege_integration_tests::gauge::is_helper;
use liege_integration_tests::wait::holds_for;
use liege_integration_tests::{Emperor, LONG, SHORT, leaks, procs, story, wait_for, wait_until};
use nix::sys::signal::Signal;

/// A timeout long enough for everything that is done meanwhile.
const PATIENT: Pace = Pace { interval: 0.2, timeout: 20.0 };

fn replaced_after(signal: Signal, order: &'static str) {
    story(move |host| {
        let emperor = host.emperor().start();
        let hanging = Victim::new(host, "hanging", Filesystem::new(host, "hanging", Kind::Faultfs, Owner::User), "", PATIENT);
        let healthy = Victim::new(host, "healthy", Filesystem::new(host, "healthy", Kind::Faultfs, Owner::User), "", PATIENT);
        for victim in [&hanging, &healthy] {
            emperor.write(&victim.name, &victim.text());
            victim.until_served(Instant::now(), SHORT).unwrap_or_else(|why| panic!("{why}"));
            emperor.wait_log(&format!("{} is healthy", victim.filesystem.mount.display()));
        }
        let lives = [&hanging, &healthy].map(|victim| victim.vassal(&emperor).expect("it runs"));
        let minor = leaks::minor_of(&lives[0].init.mountinfo(), &hanging.filesystem.mount).expect("it is mounted");
        let first = wait_for("a prober", SHORT, || probers(&emperor).pop());
        let faultfs = healthy.filesystem.faultfs.as_ref().expect("it is a faultfs");

        hanging.order(order).expect("it obeys");
        let waiting = format!("{}/{minor}/waiting", liege_integration_tests::story::FUSECTL);
        wait_until("a probe that waits", SHORT, || std::fs::read_to_string(&waiting).is_ok_and(|text| text.trim() != "0"));
        first.kill(signal);
        wait_until("another prober", LONG, || probers(&emperor).iter().any(|next| *next != first));
        faultfs.gaps().expect("it obeys");
        wait_until("looks at the healthy mount", SHORT, || faultfs.gaps().is_ok_and(|gaps| !gaps.is_empty()));
        holds_for("nobody is touched by a prober's death", std::time::Duration::from_secs(1), || {
            lives.iter().all(|vassal| vassal.init.lives())
        });

        // It was not the mount's fault that its probe was lost: when it answers again, all is well.
        let mark = emperor.mark();
        healthy.daemon(&lives[1]).expect("it runs").kill(Signal::SIGKILL);
        emperor.wait_cause(mark, &healthy.name, "mountpoint_dead");
        healthy.until_served(Instant::now(), LONG).unwrap_or_else(|why| panic!("{why}"));
        hanging.order("healthy").expect("it obeys");
        assert!(lives[0].init.lives(), "the vassal whose mount hung for less than its timeout was destroyed");
    });
}

#[test]
fn killed_while_its_thread_can_die() {
    replaced_after(Signal::SIGKILL, "queue");
}

#[test]
fn killed_while_its_thread_cannot_die() {
    replaced_after(Signal::SIGKILL, "swallow");
}

#[test]
fn stopped() {
    replaced_after(Signal::SIGSTOP, "queue");
}

/// The daemon's children that are the daemon's own program, and no corpses.
fn probers(emperor: &Emperor) -> Vec<procs::Process> {
    procs::all().into_iter().filter(|process| is_helper(process, emperor.pid)).collect()
}
