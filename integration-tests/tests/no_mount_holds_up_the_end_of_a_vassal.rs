//! A vassal is ended (its file goes, or the daemon is told to end) while a FUSE mount of it that nobody checks cannot be answered
//! and cannot be killed: it ends all the same, soon after its `stop-timeout`, and its neighbour is not disturbed.

use std::time::{Duration, Instant};

use liege_integration_tests::faults::{Filesystem, Kind, Owner, Pace, Victim};
use liege_integration_tests::{Emperor, Host, SHORT, story, wait_until};
use nix::sys::signal::Signal;

/// `stop-timeout` is one second; what comes on top.
const SOON: Duration = Duration::from_secs(3);

/// An unwatched mount, an app that is stuck on it, and how it became so.
fn ends(make_stuck: impl Fn(&Host, &Victim, &Emperor) -> Option<std::os::fd::OwnedFd> + Send, by_signal: bool) {
    story(move |host| {
        let emperor = host.emperor().start();
        let stuck =
            Victim::new(host, "stuck", Filesystem::new(host, "stuck", Kind::Faultfs, Owner::User), "deaf gnaw", Pace::SUITE);
        let stuck = stuck.watching(None);
        let well = Victim::new(host, "well", Filesystem::new(host, "well", Kind::Faultfs, Owner::User), "", Pace::SUITE);
        for victim in [&stuck, &well] {
            emperor.write(&victim.name, &victim.text());
            victim.until_served(Instant::now(), SHORT).unwrap_or_else(|why| panic!("{why}"));
        }
        let [vassal, neighbour] = [&stuck, &well].map(|victim| victim.vassal(&emperor).expect("it runs"));
        let processes = vassal.processes();
        let _held = make_stuck(host, &stuck, &emperor);

        let start = Instant::now();
        if by_signal {
            emperor.signal(Signal::SIGTERM);
            assert_eq!(emperor.wait_exit(Duration::from_secs(1) + SOON).code(), Some(0));
        } else {
            emperor.remove(&stuck.name);
        }
        wait_until("nothing to be left of it", Duration::from_secs(1) + SOON, || vassal.is_gone(&processes));
        println!("gone after {:.1?}", start.elapsed());
        assert!(by_signal || (neighbour.init.lives() && well.serves()), "the neighbour was disturbed");
    });
}

fn order(victim: &Victim, word: &str) {
    victim.order(word).expect("it obeys");
}

#[test]
fn a_daemon_that_waits_for_itself() {
    ends(
        |_, stuck, _| {
            order(stuck, "selfdeadlock");
            None
        },
        false,
    );
}

#[test]
fn a_connection_held_from_outside() {
    ends(
        |_, stuck, emperor| {
            let fd = stuck.filesystem.faultfs.as_ref().expect("it is a faultfs").leak_fd().expect("it obeys");
            order(stuck, "swallow");
            let vassal = stuck.vassal(emperor).expect("it runs");
            stuck.daemon(&vassal).expect("it runs").kill(Signal::SIGKILL);
            Some(fd)
        },
        false,
    );
}

#[test]
fn a_mount_made_long_after_the_start() {
    ends(
        |host, stuck, emperor| {
            let init = stuck.vassal(emperor).expect("it runs").init;
            let late = Filesystem::new(host, "late", Kind::Faultfs, Owner::Root);
            late.mount_beside(&init);
            late.faultfs.as_ref().expect("it is a faultfs").order("selfdeadlock").expect("it obeys");
            None
        },
        false,
    );
}

#[test]
fn the_shutdown_of_the_daemon_with_such_a_vassal() {
    ends(
        |_, stuck, _| {
            order(stuck, "selfdeadlock");
            None
        },
        true,
    );
}
