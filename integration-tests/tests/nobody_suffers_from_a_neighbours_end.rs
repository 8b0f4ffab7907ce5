//! Many vassals end and begin at the same time, so the kernel gives the numbers of what has just gone (connections, namespaces,
//! pids) to what is just coming. Whatever is done to end an old life must not reach a new one: as many lives end as mounts were
//! hurt, each for its own reason.
//!
//! `CHURN_ROUNDS` (40): how often each of them is hurt.

use std::thread;
use std::time::Instant;

use liege_integration_tests::faults::{Filesystem, Kind, Owner, Pace, Victim};
use liege_integration_tests::{Emperor, LONG, SHORT, story};
use nix::sys::signal::Signal;

const AT_ONCE: usize = 8;

#[test]
fn nobody_suffers_from_a_neighbours_end() {
    story(|host| {
        let rounds = std::env::var("CHURN_ROUNDS").map_or(40, |text| text.parse().expect("CHURN_ROUNDS is a number"));
        let emperor = host.emperor().arg("--emperor-throttle").arg("10").arg("--emperor-max-throttle").arg("20");
        let emperor = emperor.never_flapping().start();
        let pace = Pace { interval: 0.1, timeout: 5.0 };
        let victims: Vec<Victim> = (0..AT_ONCE)
            .map(|n| {
                let name = format!("churn{n}");
                Victim::new(host, &name, Filesystem::new(host, &name, Kind::FuseZip, Owner::Root), "", pace)
            })
            .collect();
        thread::scope(|scope| {
            for victim in &victims {
                let emperor = &*emperor;
                scope.spawn(move || churn(emperor, victim, rounds));
            }
        });
        let ends: Vec<String> = emperor.log().into_iter().filter(|line| line.contains("ended after")).collect();
        assert_eq!(ends.len(), AT_ONCE * rounds, "more lives ended than mounts were hurt");
        let killed = ends.iter().filter(|line| line.contains("cause=mountpoint_dead")).count();
        assert_eq!(killed, ends.len(), "every one of them because its daemon was killed:\n{}", ends.join("\n"));
    });
}

fn churn(emperor: &Emperor, victim: &Victim, rounds: usize) {
    let healthy = format!("{} is healthy", victim.filesystem.mount.display());
    let mut mark = emperor.mark();
    emperor.write(&victim.name, &victim.text());
    for round in 0..rounds {
        emperor.wait_log_from(mark, &[&healthy]);
        victim.until_served(Instant::now(), SHORT).unwrap_or_else(|why| panic!("{} in round {round}: {why}", victim.name));
        let vassal = victim.vassal(emperor).unwrap_or_else(|why| panic!("round {round}: {why}"));
        let daemon = victim.daemon(&vassal).unwrap_or_else(|why| panic!("round {round}: {why}"));
        mark = emperor.mark();
        daemon.kill(Signal::SIGKILL);
        emperor.wait_cause(mark, &victim.name, "mountpoint_dead");
    }
    emperor.wait_log_from(mark, &[&healthy]);
    victim.until_served(Instant::now(), LONG).unwrap_or_else(|why| panic!("{}: {why}", victim.name));
}
