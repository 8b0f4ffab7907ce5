//! A FUSE server that answers the look with an error: one that knows no statfs, or whose numbers do not fit, has answered. One
//! that lets no look in is unknown after a while. Only one that fails is dead.

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
    begin_at(host, "")
}

fn begin_at(host: &Host, below: &str) -> (std::rc::Rc<Emperor>, Victim) {
    let emperor = host.emperor().start();
    let pace = Pace { interval: 0.1, timeout: 5.0 };
    let victim = Victim::new(host, "app", Filesystem::new(host, "app", Kind::Faultfs, Owner::User), "", pace);
    let path = if below.is_empty() { victim.filesystem.mount.clone() } else { victim.filesystem.mount.join(below) };
    let victim = victim.watching(Some(&path));
    emperor.write(&victim.name, &victim.text());
    victim.until_served(Instant::now(), SHORT).unwrap_or_else(|why| panic!("{why}"));
    emperor.wait_log(&format!("{} is healthy", path.display()));
    (emperor, victim)
}

#[test]
fn one_that_knows_no_statfs_is_healthy() {
    is_healthy(libc::ENOSYS);
}

/// fuse-zip says so when the directory is gone that it was started in.
#[test]
fn one_whose_numbers_do_not_fit_is_healthy() {
    is_healthy(libc::ERANGE);
    is_healthy(libc::EOVERFLOW);
}

fn is_healthy(errno: i32) {
    answers(errno, |emperor, mark, _| {
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
    fails(libc::EIO, "");
}

/// What it lacks is its own trouble, and nobody takes it for the prober's.
#[test]
fn one_that_lacks_something_is_dead() {
    fails(libc::EMFILE, "");
}

#[test]
fn nor_is_it_the_probers_need_on_the_way() {
    for errno in [libc::EMFILE, libc::ENOMEM, libc::EAGAIN] {
        fails(errno, "sub/inner");
    }
}

/// The check is on a path below the mount.
fn fails(errno: i32, below: &'static str) {
    story(move |host| {
        let (emperor, victim) = begin_at(host, below);
        let mark = emperor.mark();
        victim.order(&format!("errors {errno}")).expect("it obeys");
        emperor.wait_cause(mark, &victim.name, "mountpoint_dead");
        victim.until_served(Instant::now(), SHORT).unwrap_or_else(|why| panic!("{why}"));
        let log = emperor.log();
        assert!(!log[mark..].iter().any(|line| line.contains("the prober")), "it was taken for the prober's need");
    });
}
