//! Where no process can be made, the mounts of many owners hang at once and hold every thread and every process that looks. A
//! neighbour's mount that dies then is seen in time all the same: no process serves it any more, and that is seen without asking it.

use std::rc::Rc;
use std::time::{Duration, Instant};

use liege_integration_tests::faults::{Filesystem, Kind, Owner, Pace, Victim};
use liege_integration_tests::groups::PidsGroup;
use liege_integration_tests::story::Host;
use liege_integration_tests::{Emperor, LONG, bar, story, wait_until};
use nix::sys::signal::Signal;

/// The neighbour's.
const CALM: Pace = Pace { interval: 1.0, timeout: 5.0 };

/// How long a hung owner has its mounts be silent: longer than the story lasts.
const FOR_EVER: &str = "mountpoint-check-interval = 0.2\nmountpoint-check-timeout = 600\n";

/// No dead mount may stay unseen for longer.
const SEEN: Duration = Duration::from_secs(5);

/// The uid of the first owner whose mounts hang.
const FIRST: usize = 2101;

/// By what the hung mounts are asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// By a process with their owner's ids. There are four of them.
    Processes,
    /// By the prober's own threads. There are twelve of them.
    Threads,
}

/// So many owners, each with a vassal that watches so many mounts. All of them live.
fn crowd(host: &Host, emperor: &Emperor, owners: usize, mounts: usize, by: By) -> Vec<Filesystem> {
    let mut all = Vec::new();
    for uid in (FIRST..).take(owners) {
        let mut file = format!("[vassal]\nuid = {uid}\ngid = {uid}\ncommand = /bin/sleep 100000\n{FOR_EVER}");
        for n in 0..mounts {
            let filesystem = Filesystem::new(host, &format!("of{uid}-{n}"), Kind::Faultfs, Owner::Root);
            let asked = if by == By::Threads { "--allow-other --owner 0:0".to_owned() } else { format!("--owner {uid}:{uid}") };
            file.push_str(&filesystem.lines().replace("faultfs ", &format!("faultfs {asked} ")));
            file.push_str(&format!("mountpoint-check = {}\n", filesystem.mount.display()));
            all.push(filesystem);
        }
        emperor.write(&format!("owner{uid}.ini"), &file);
    }
    for filesystem in &all {
        emperor.wait_log(&format!("{} is healthy", filesystem.mount.display()));
    }
    all
}

fn order(crowd: &[Filesystem], word: &str) {
    for filesystem in crowd {
        filesystem.faultfs.as_ref().expect("it takes orders").order(word).expect("it obeys");
    }
}

fn emperor(host: &Host, group: &PidsGroup, namespaces: &'static str) -> Rc<Emperor> {
    let words = group.wrapper();
    host.emperor().namespaces(Some(namespaces)).under(&words.each_ref().map(String::as_str)).start()
}

fn a_dead_mount_is_seen(namespaces: &'static str, owner: Owner, owners: usize, mounts: usize, by: By) {
    let group = PidsGroup::new();
    story(|host| {
        let emperor = emperor(host, &group, namespaces);
        let filesystem = Filesystem::new(host, "dying", Kind::FuseZip, owner);
        // Another mount of the same vassal lives on.
        let other = Filesystem::new(host, "other", Kind::Bindfs, owner);
        let dying = Victim::new(host, "dying", filesystem, "", CALM).after(&other.lines());
        emperor.write(&dying.name, &dying.text());
        dying.until_served(Instant::now(), LONG).unwrap_or_else(|why| panic!("{}: {why}", dying.name));
        emperor.wait_log(&format!("{} is healthy", dying.filesystem.mount.display()));
        let crowd = crowd(host, &emperor, owners, mounts, by);
        let daemon = dying.daemon(&dying.vassal(&emperor).expect("it runs")).expect("it runs");
        group.close_for_good();
        order(&crowd, "queue");
        // They hold all there is, or have found nothing left.
        let is_ill = |filesystem: &Filesystem| {
            let said = ["slow", "unknown"].map(|word| format!("{} is {word}", filesystem.mount.display()));
            emperor.log().iter().any(|line| said.iter().any(|said| line.contains(said)))
        };
        wait_until("all looks at them to last or to fail", LONG, || crowd.iter().all(is_ill));
        let early = emperor.log().iter().find(|line| line.contains(&dying.name) && line.contains("mountpoint_dead")).cloned();
        assert_eq!(early, None, "it is not dead yet");

        let (mark, began) = (emperor.mark(), Instant::now());
        daemon.kill(Signal::SIGKILL);
        emperor.wait_cause(mark, &dying.name, "mountpoint_dead");
        assert!(began.elapsed() < bar(SEEN), "seen after {:?}", began.elapsed());
        let killed: Vec<_> =
            emperor.log()[mark..].iter().filter(|line| line.contains("owner2") && line.contains("cause=")).cloned().collect();
        assert_eq!(killed, Vec::<String>::new(), "a mount that is served is not dead");
        group.open();
        order(&crowd, "healthy");
        dying.until_served(Instant::now(), LONG).unwrap_or_else(|why| panic!("{}: {why}", dying.name));
        emperor.put_to_rest();
    });
}

#[test]
fn beside_eight_owners_with_two_mounts_each() {
    a_dead_mount_is_seen("fs,pid", Owner::User, 8, 2, By::Processes);
}

#[test]
fn beside_four_owners_with_six_mounts_each() {
    a_dead_mount_is_seen("fs,pid", Owner::User, 4, 6, By::Processes);
}

#[test]
fn beside_many_owners_a_mount_for_all_in_a_user_namespace() {
    a_dead_mount_is_seen("fs,pid,user", Owner::RootForAll, 12, 2, By::Processes);
}

#[test]
fn beside_owners_whose_mounts_hold_all_threads() {
    a_dead_mount_is_seen("fs,pid", Owner::User, 6, 4, By::Threads);
}
