//! The prober is killed again and again, as the OOM killer does it: another one is there soon, however often it happened before, and a
//! mount that dies meanwhile is found and healed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use liege_integration_tests::faults::{Filesystem, Kind, Owner, Pace, Victim};
use liege_integration_tests::gauge::is_helper;
use liege_integration_tests::wait::breathe;
use liege_integration_tests::{LONG, SHORT, bar, procs, story, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// After so many the delay is the longest.
const DEATHS: usize = 8;
/// A prober's life: long enough to answer a look on a busy machine.
const LIFE: Duration = Duration::from_millis(100);
/// The longest delay, a prober's start, a look.
const SOON: Duration = Duration::from_millis(2500);

#[test]
fn a_prober_killed_again_and_again_misses_no_dead_mount() {
    story(|host| {
        let emperor = host.emperor().never_flapping().start();
        // Asked rarely: it is the push that tells, as it does for most deaths.
        let pace = Pace { interval: 30.0, timeout: 5.0 };
        // Two, so that the prober is needed while one of them is born again.
        let [victim, _other] = ["victim", "other"].map(|name| {
            let victim = Victim::new(host, name, Filesystem::new(host, name, Kind::Faultfs, Owner::User), "", pace);
            emperor.write(&victim.name, &victim.text());
            victim.until_served(Instant::now(), SHORT).unwrap_or_else(|why| panic!("{why}"));
            emperor.wait_log(&format!("{} is healthy", victim.filesystem.mount.display()));
            victim
        });

        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let daemon = emperor.pid;
            let over = &over;
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    if let Some(prober) = procs::all().into_iter().find(|process| is_helper(process, daemon)) {
                        breathe(LIFE);
                        let _ = kill(Pid::from_raw(prober.pid), Signal::SIGKILL); // the daemon may have ended
                    }
                    breathe(Duration::from_millis(5));
                }
            });
            let _end = End(over);
            let deaths = || emperor.log().iter().filter(|line| line.contains("died; it is started again")).count();
            for round in 0..3 {
                wait_until("it to be killed again and again", LONG, || deaths() >= DEATHS + round);
                let (mark, start) = (emperor.mark(), Instant::now());
                let _ = victim.order("crash"); // it may be gone before it has answered
                emperor.wait_cause(mark, &victim.name, "mountpoint_dead");
                let seen = start.elapsed();
                victim.until_served(start, LONG).unwrap_or_else(|why| panic!("{why}"));
                println!("round {round}, after {} deaths: seen after {seen:.1?}, served after {:.1?}", deaths(), start.elapsed());
                assert!(seen < bar(SOON), "unseen for {seen:.1?}");
            }
        });
    });
}

/// Ends the killing, also when the story fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
