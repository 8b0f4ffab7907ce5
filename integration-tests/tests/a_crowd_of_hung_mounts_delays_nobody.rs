//! Hundreds of mounts hang at once, some healthy vassals live beside them: the healthy ones' probes stay on schedule, a new file
//! starts at once, the daemon answers, and afterwards no thread, process or descriptor is left.
//!
//! The schedule is measured where it arrives: faultfs notes when it is asked. `CROWD_HUNG` (200) and `CROWD_HEALTHY` (20) say how
//! many; the accepted figure is had with 1000 and 100.

use std::ffi::OsStr;
use std::time::{Duration, Instant};

use liege_integration_tests::faults::{Filesystem, Kind, Owner, Pace, Victim};
use liege_integration_tests::gauge::is_helper;
use liege_integration_tests::tools::run_liege;
use liege_integration_tests::wait::breathe;
use liege_integration_tests::{Emperor, Host, LONG, bar, procs, story, wait_until};

/// The healthy vassals' interval.
const INTERVAL: Duration = Duration::from_millis(500);
/// How long they are watched.
const WATCHED: Duration = Duration::from_secs(6);

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn a_crowd_of_hung_mounts_delays_nobody() {
    story(|host| {
        let (hung, healthy) = (number("CROWD_HUNG", 200), number("CROWD_HEALTHY", 20));
        let emperor = host.emperor().start();
        // They hang, and are let hang: an hour of tolerance.
        let hangs = Pace { interval: 1.0, timeout: 1.0 };
        let crowd = start(host, &emperor, "hung", hung, hangs, "mountpoint-check-tolerance = 3600\n");
        let lives = Pace { interval: INTERVAL.as_secs_f64(), timeout: 5.0 };
        let well = start(host, &emperor, "well", healthy, lives, "");

        let mark = emperor.mark();
        crowd.iter().for_each(|victim| victim.order("swallow").unwrap_or_else(|why| panic!("{why}")));
        for victim in &crowd {
            emperor.wait_log_from(mark, &[&format!("{} is hung", victim.filesystem.mount.display())]);
        }
        let most = threads(&emperor);
        assert!(most >= hung, "{most} threads cannot wait for {hung} mounts");
        let gaps = gaps(&well);
        report(&gaps, hung, healthy);

        // A new file, in the middle of it, and a question.
        let newcomer = victim(host, "newcomer", lives, "");
        let start = Instant::now();
        emperor.write(&newcomer.name, &newcomer.text());
        let took = newcomer.until_served(start, LONG).unwrap_or_else(|why| panic!("{why}"));
        let start = Instant::now();
        assert_eq!(states(&emperor, "Hung"), hung, "all of them are shown as hung, nobody else");
        println!("a new file is served after {took:.1?}, status answers after {:.1?}", start.elapsed());
        assert!(took < bar(Duration::from_secs(1)), "a new file takes {took:?}");
        let ended = emperor.look_for(mark, Duration::ZERO, |line| line.contains("destroying: ") || line.contains("ended after"));
        assert!(ended.is_none(), "somebody was not let live: {ended:?}");

        // The prober shrinks when the crowd is gone, and goes when nothing is left to be probed.
        let start = Instant::now();
        crowd.iter().for_each(|victim| emperor.remove(&victim.name));
        wait_until("the crowd to be gone", LONG, || emperor.vassals().len() == healthy + 1);
        println!("{hung} hung vassals are gone after {:.1?}", start.elapsed());
        let start = Instant::now();
        wait_until(&format!("the prober to shrink from {most} threads"), LONG, || threads(&emperor) <= 2 * healthy + 8);
        println!("its prober shrank from {most} threads to {} in {:.1?}", threads(&emperor), start.elapsed());
        well.iter().chain([&newcomer]).for_each(|victim| emperor.remove(&victim.name));
        wait_until("no vassal and no prober", LONG, || emperor.vassals().is_empty() && probers(&emperor).is_empty());
    });
}

fn victim(host: &Host, name: &str, pace: Pace, more: &str) -> Victim {
    let filesystem = Filesystem::new(host, name, Kind::Faultfs, Owner::User);
    Victim::new(host, name, filesystem, "", pace).with(more)
}

/// So many vassals, all of them served and known to be healthy.
fn start(host: &Host, emperor: &Emperor, name: &str, count: usize, pace: Pace, more: &str) -> Vec<Victim> {
    let victims: Vec<Victim> = (0..count).map(|n| victim(host, &format!("{name}{n:04}"), pace, more)).collect();
    victims.iter().for_each(|victim| emperor.write(&victim.name, &victim.text()));
    for victim in &victims {
        victim.until_served(Instant::now(), LONG).unwrap_or_else(|why| panic!("{}: {why}", victim.name));
        emperor.wait_log_from(0, &[&format!("{} is healthy", victim.filesystem.mount.display())]);
    }
    victims
}

/// The times between the looks at each healthy mount, from now on for a while.
fn gaps(well: &[Victim]) -> Vec<Duration> {
    let asked =
        || well.iter().flat_map(|victim| victim.filesystem.faultfs.as_ref().expect("it is a faultfs").gaps().expect("it obeys"));
    let _before = asked().count();
    breathe(WATCHED);
    asked().collect()
}

fn report(gaps: &[Duration], hung: usize, healthy: usize) {
    let mut gaps = gaps.to_vec();
    gaps.sort();
    let at = |part: usize| gaps.get(gaps.len() * part / 100).copied().unwrap_or_default();
    let (p50, p99, most) = (at(50), at(99), gaps.last().copied().unwrap_or_default());
    println!(
        "{hung} mounts hang, {healthy} vassals are healthy, interval {INTERVAL:?}: {} gaps between their probes, p50 {p50:.1?}, p99 {p99:.1?}, \
         longest {most:.1?}",
        gaps.len()
    );
    let expected = healthy * WATCHED.as_millis() as usize / INTERVAL.as_millis() as usize;
    assert!(gaps.len() * 10 >= expected * 8, "{} probes where {expected} were due", gaps.len());
    assert!(p99 < INTERVAL * 2, "p99 is {p99:?}: probes come later than their interval");
}

/// How many mounts `liege status --json` gives this state.
fn states(emperor: &Emperor, state: &str) -> usize {
    let words = ["status", "--json", "--control"].map(OsStr::new);
    let (status, said) = run_liege(&[words[0], words[1], words[2], emperor.control.as_os_str()]);
    assert_eq!(status, 0, "{said}");
    let view: serde_json::Value = serde_json::from_str(&said).expect("--json is JSON");
    let text = view.to_string();
    text.matches(&format!("\"health\":\"{state}\"")).count()
}

fn probers(emperor: &Emperor) -> Vec<procs::Process> {
    procs::all().into_iter().filter(|process| is_helper(process, emperor.pid)).collect()
}

/// Threads of all probers.
fn threads(emperor: &Emperor) -> usize {
    let tasks = |process: &procs::Process| std::fs::read_dir(format!("/proc/{}/task", process.pid)).map_or(0, Iterator::count);
    probers(emperor).iter().map(tasks).sum()
}
