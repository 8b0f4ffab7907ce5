//! The host has no process left, and a mount dies. Its vassal is tried again every few seconds and back in as many once there is room: the
//! births that failed meanwhile are neither flapping nor counted for its start-limit.

use std::time::{Duration, Instant};

use liege_integration_tests::faults::{Filesystem, Kind, Owner, Pace, Victim};
use liege_integration_tests::groups::PidsGroup;
use liege_integration_tests::{LONG, story, wait_until};
use nix::sys::signal::Signal;

const QUICK: Pace = Pace { interval: 0.2, timeout: 1.0 };

/// More births than its start-limit allows failures. The longest delay between two is five seconds.
const BIRTHS: usize = 6;

/// The longest delay, and the start itself.
const BACK: Duration = Duration::from_secs(7);

#[test]
fn no_process_left_is_no_failure_of_a_vassal() {
    let group = PidsGroup::new();
    story(|host| {
        let words = group.wrapper();
        let emperor = host.emperor().under(&words.each_ref().map(String::as_str)).start();
        let filesystem = Filesystem::new(host, "app", Kind::FuseZip, Owner::User);
        let victim = Victim::new(host, "app", filesystem, "", QUICK).with("start-limit = 4\n");
        emperor.write(&victim.name, &victim.text());
        victim.until_served(Instant::now(), LONG).unwrap_or_else(|why| panic!("{why}"));
        emperor.wait_log(&format!("{} is healthy", victim.filesystem.mount.display()));
        let daemon = victim.daemon(&victim.vassal(&emperor).expect("it runs")).expect("it runs");
        let mark = emperor.mark();
        group.close_for_good();

        daemon.kill(Signal::SIGKILL);
        emperor.wait_cause(mark, &victim.name, "mountpoint_dead");
        let lines = |what: &str| emperor.log()[mark..].iter().filter(|line| line.contains(what)).count();
        wait_until("births to fail", LONG, || lines("cause=shortage") >= BIRTHS);
        let told = emperor.log()[mark..].iter().find(|line| line.contains("cause=shortage")).cloned().expect("one");
        assert!(told.contains("no process is left on this host") && told.contains("EAGAIN"), "{told}");

        group.open();
        victim.until_served(Instant::now(), BACK).unwrap_or_else(|why| panic!("{why}"));
        for word in ["flapping", "not tried again", "given up"] {
            assert_eq!(lines(word), 0, "{word}: {:#?}", &emperor.log()[mark..]);
        }
    });
}
