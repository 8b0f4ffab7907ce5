//! A user of the host mounts and unmounts in a loop, and every vassal that follows the host's root gets each of it. An idle vassal looks at
//! its table less and less often for it; what happens to a mount of its own is known at once all the same.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use liege_integration_tests::faults::{Filesystem, Kind, Owner, Pace, Victim};
use liege_integration_tests::wait::breathe;
use liege_integration_tests::{LONG, SHORT, procs, story};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::Signal;

/// Only pushes are seen.
const SELDOM: Pace = Pace { interval: 3600.0, timeout: 10.0 };

/// A vassal that looks as often as it may (each 50 ms) would be woken 60 times.
const WATCHED_FOR: Duration = Duration::from_secs(3);

#[test]
fn a_user_who_flaps_a_mount_wakes_no_idle_vassal() {
    story(|host| {
        let emperor = host.emperor().start();
        let victim = Victim::new(host, "app", Filesystem::new(host, "app", Kind::Faultfs, Owner::User), "", SELDOM);
        emperor.write(&victim.name, &victim.text());
        victim.until_served(Instant::now(), SHORT).unwrap_or_else(|why| panic!("{why}"));
        emperor.wait_log(&format!("{} is healthy", victim.filesystem.mount.display()));
        let vassal = victim.vassal(&emperor).expect("it runs");

        let (point, is_over, flaps) = (host.open_dir("flaps"), AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            let ends = EndsWithTheStory(&is_over);
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    mount(Some("none"), &point, Some("tmpfs"), MsFlags::empty(), None::<&str>).expect("a mount of the host");
                    umount2(&point, MntFlags::MNT_DETACH).expect("our own mount");
                    flaps.fetch_add(1, Ordering::Relaxed);
                    breathe(Duration::from_millis(5));
                }
            });
            let (start, before) = (Instant::now(), wakes(&vassal.init));
            breathe(WATCHED_FOR);
            let (wakes, took) = (wakes(&vassal.init) - before, start.elapsed());
            // The pause grows to 0.8 s; each look may wake it twice.
            let allowed = 16 + 2 * u64::try_from(took.as_millis() / 800).unwrap_or(u64::MAX);
            assert!(wakes <= allowed, "init was woken {wakes} times by {} flaps in {took:?}", flaps.load(Ordering::Relaxed));

            let mark = emperor.mark();
            victim.daemon(&vassal).expect("it runs").kill(Signal::SIGKILL);
            emperor.wait_cause(mark, &victim.name, "mountpoint_dead");
            victim.until_served(Instant::now(), LONG).unwrap_or_else(|why| panic!("{why}"));
            drop(ends);
        });
    });
}

/// Also when the story fails.
struct EndsWithTheStory<'a>(&'a AtomicBool);

impl Drop for EndsWithTheStory<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How often a process went to sleep.
fn wakes(process: &procs::Process) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.pid)).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.and_then(|number| number.trim().parse().ok()).expect("the kernel counts it")
}
