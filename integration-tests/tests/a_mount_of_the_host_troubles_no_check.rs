//! A mount of the host comes into every vassal at once. It is none of those that are watched: nobody looks at his mounts because of it. One that
//! covers or takes away a watched mount is still known at once, long before the next interval.

use std::time::{Duration, Instant};

use liege_integration_tests::faults::{Filesystem, Kind, Owner, Pace, Victim};
use liege_integration_tests::wait::holds_for;
use liege_integration_tests::{LONG, SHORT, story, wait_until};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Only pushes are seen.
const SELDOM: Pace = Pace { interval: 3600.0, timeout: 10.0 };

#[test]
fn a_mount_of_the_host_troubles_no_check() {
    story(|host| {
        let emperor = host.emperor().start();
        let victims: Vec<Victim> = ["one", "two"]
            .map(|name| Victim::new(host, name, Filesystem::new(host, name, Kind::Faultfs, Owner::User), "", SELDOM))
            .into();
        for victim in &victims {
            emperor.write(&victim.name, &victim.text());
            victim.until_served(Instant::now(), SHORT).unwrap_or_else(|why| panic!("{why}"));
            emperor.wait_log(&format!("{} is healthy", victim.filesystem.mount.display()));
        }
        let vassals: Vec<_> = victims.iter().map(|victim| victim.vassal(&emperor).expect("it runs")).collect();
        let looks =
            |victim: &Victim| victim.filesystem.faultfs.as_ref().expect("it is a faultfs").gaps().expect("it obeys").len();
        let _before: usize = victims.iter().map(looks).sum();

        let (elsewhere, none) = (host.open_dir("elsewhere"), None::<&str>);
        mount(Some("none"), &elsewhere, Some("tmpfs"), MsFlags::empty(), none).expect("a mount of the host");
        wait_until("it to reach the vassals", SHORT, || vassals.iter().all(|vassal| vassal.mount(&elsewhere).is_some()));
        holds_for("nobody looks", Duration::from_millis(700), || victims.iter().all(|victim| looks(victim) == 0));

        // The same push, about a watched mount.
        let mark = emperor.mark();
        mount(Some("none"), host.path("one").as_path(), Some("tmpfs"), MsFlags::empty(), none).expect("a mount of the host");
        emperor.wait_cause(mark, &victims[0].name, "mountpoint_dead");
        assert!(vassals[1].init.lives() && looks(&victims[1]) == 0, "the neighbour was looked at");
        emperor.remove(&victims[0].name);
        wait_until("it to be gone", LONG, || emperor.vassals().len() == 1);
        for point in [host.path("one"), elsewhere] {
            umount2(&point, MntFlags::MNT_DETACH).expect("our own mount");
        }
    });
}
