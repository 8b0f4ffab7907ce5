//! A FUSE server that answers the look with an error: one that knows no statfs has answered, one that lets nobody ask is unknown after a while,
//! and only one that fails is dead.

use std::time::{Duration, Instant};

use liege_integration_tests::faults::{Filesystem, Kind, Owner, Pace, Victim};
use liege_integration_tests::{Emperor, Host, SHORT, story, wait_until};
use nix::libc;

fn answers(errno: i32, then: impl Fn(&Emperor, usize, &Victim) + Send) {
    story(move |host| {
        let (emperor, victim) = begin(host);
        let (vassal, mark) = (victim.vassal(&emperor).expect("it runs"), emperor.mark());
        let faultfs = victim.filesystem.faultfs.as_ref().expect("it is a faultfs");
        victim.order(&format!("errors {errno}")).expect("it obeys");
        faultfs.gaps().expect("it obeys");
        let mut looks = 0;
        wait_until("ten looks", SHORT, || {
            looks += faultfs.gaps().map_or(0, |gaps| gaps.len());
            looks >= 10
        });
        then(&emperor, mark, &victim);
        assert!(vassal.init.lives(), "destroyed by an answer");
        victim.order("healthy").expect("it obeys");
    });
}

fn begin(host: &Host) -> (std::rc::Rc<Emperor>, Victim) {
    let emperor = host.emperor().start();
    let pace = Pace { interval: 0.1, timeout: 5.0 };
    let victim = Victim::new(host, "app", Filesystem::new(host, "app", Kind::Faultfs, Owner::User), "", pace);
    emperor.write(&victim.name, &victim.text());
    victim.until_served(Instant::now(), SHORT).unwrap_or_else(|why| panic!("{why}"));
    emperor.wait_log(&format!("{} is healthy", victim.filesystem.mount.display()));
    (emperor, victim)
}

#[test]
fn one_that_knows_no_statfs_is_healthy() {
    answers(libc::ENOSYS, |emperor, mark, _| {
        let news = emperor.look_for(mark, Duration::ZERO, |line| line.contains(" mountpoint: "));
        assert!(news.is_none(), "{news:?}");
    });
}

#[test]
fn one_that_lets_nobody_ask_is_unknown() {
    answers(libc::EACCES, |emperor, mark, victim| {
        let path = victim.filesystem.mount.display();
        let line = emperor.wait_log_from(mark, &[&format!("{path} is unknown")]);
        assert!(line.contains("EACCES"), "{line}");
    });
}

#[test]
fn one_that_fails_is_dead() {
    story(|host| {
        let (emperor, victim) = begin(host);
        let mark = emperor.mark();
        victim.order(&format!("errors {}", libc::EIO)).expect("it obeys");
        emperor.wait_cause(mark, &victim.name, "mountpoint_dead");
    });
}
