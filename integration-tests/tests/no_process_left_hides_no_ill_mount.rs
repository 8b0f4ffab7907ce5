//! A look at a tenant's mount is made by a process of its own. Where none can be made any more (`pids.max`, a fork bomb) the prober has
//! some in reserve: a hung and a dead mount are seen in time, also through a private mount and in a user namespace, and an owner whose
//! mounts keep the looks at them gets one of these. Who the owner is no mount says.

use std::rc::Rc;
use std::time::{Duration, Instant};

use liege_integration_tests::apps::USER;
use liege_integration_tests::faults::{Filesystem, Kind, Owner, Pace, Victim};
use liege_integration_tests::groups::PidsGroup;
use liege_integration_tests::procs;
use liege_integration_tests::story::Host;
use liege_integration_tests::vassal::Vassal;
use liege_integration_tests::wait::breathe;
use liege_integration_tests::{Emperor, LONG, bar, story, wait_until};
use nix::sys::signal::Signal;
use nix::unistd::{User, chown};

const QUICK: Pace = Pace { interval: 0.2, timeout: 1.0 };

/// Its daemon may be silent for as long as the story lasts.
const FOR_EVER: Pace = Pace { interval: 0.2, timeout: 600.0 };

/// An owner besides [`USER`].
const OTHER: &str = "games";

/// More mounts of one owner than there are processes in reserve.
const MANY: usize = 5;

/// As many mounts as the prober has threads that are there from the start.
const ALL_THREADS: usize = 12;

/// Between two looks all threads leave that were made for the last one.
const CALM: Pace = Pace { interval: 1.0, timeout: 1.0 };

/// No ill mount may stay unseen for longer.
const SEEN: Duration = Duration::from_secs(10);

/// What a mount is looked at with is used up by none of so many looks.
const LOOKS: u32 = 10;

/// Those whose mounts hang in one vassal: as many as there are processes in reserve.
const CHOSEN: [u32; 4] = [2001, 2002, 2003, 2004];

/// The daemon runs in the group, under these namespaces.
fn emperor(host: &Host, group: &PidsGroup, namespaces: Option<&'static str>) -> Rc<Emperor> {
    let words = group.wrapper();
    host.emperor().namespaces(namespaces).under(&words.each_ref().map(String::as_str)).start()
}

fn until_well(emperor: &Emperor, victim: &Victim) {
    victim.until_served(Instant::now(), LONG).unwrap_or_else(|why| panic!("{}: {why}", victim.name));
    emperor.wait_log(&format!("{} is healthy", victim.filesystem.mount.display()));
}

/// The prober keeps a process in the user namespace of the vassal, where that has one.
fn until_kept_inside(emperor: &Emperor, vassal: &Vassal) {
    let inside = vassal.init.namespace("user");
    let prober = emperor.helpers().remove(0);
    if inside != prober.namespace("user") {
        let is_inside = || procs::descendants(prober.pid).iter().any(|process| process.namespace("user") == inside);
        // Those of single looks are there for less than a millisecond.
        wait_until("a process in its user namespace", LONG, || (0..50).all(|_| is_inside()));
    }
}

/// It is looked at so often that anything which is used up by a look is used up.
fn for_many_looks(emperor: &Emperor, victim: &Victim) {
    let mark = emperor.mark();
    breathe(Duration::from_secs_f64(QUICK.interval) * LOOKS);
    let ill = emperor.log()[mark..].iter().find(|line| line.contains(&victim.name) && line.contains("unknown")).cloned();
    assert_eq!(ill, None, "each look got what it needs");
}

/// What the signal does to the daemon of its mount is known in time.
fn is_seen(emperor: &Emperor, victim: &Victim, daemon: &procs::Process, signal: Signal) {
    let (mark, began) = (emperor.mark(), Instant::now());
    daemon.kill(signal);
    let cause = if signal == Signal::SIGSTOP { "mountpoint_hung" } else { "mountpoint_dead" };
    emperor.wait_cause(mark, &victim.name, cause);
    assert!(began.elapsed() < bar(SEEN), "seen after {:?}", began.elapsed());
}

fn an_ill_mount_is_seen(namespaces: Option<&'static str>, owner: Owner, is_below: bool, signal: Signal) {
    let group = PidsGroup::new();
    story(|host| {
        let emperor = emperor(host, &group, namespaces);
        let filesystem = Filesystem::new(host, "app", Kind::FuseZip, owner);
        let watched = if is_below { filesystem.hello().0 } else { filesystem.mount.clone() };
        let victim = Victim::new(host, "app", filesystem, "", QUICK).watching(Some(&watched));
        emperor.write(&victim.name, &victim.text());
        victim.until_served(Instant::now(), LONG).unwrap_or_else(|why| panic!("{}: {why}", victim.name));
        emperor.wait_log(&format!("{} is healthy", watched.display()));
        let vassal = victim.vassal(&emperor).expect("it runs");
        let daemon = victim.daemon(&vassal).expect("it runs");
        if owner == Owner::RootForAll {
            until_kept_inside(&emperor, &vassal);
        }
        group.close_for_good();
        for_many_looks(&emperor, &victim);

        let mark = emperor.mark();
        is_seen(&emperor, &victim, &daemon, signal);
        group.open();
        if namespaces.is_some() {
            victim.until_served(Instant::now(), LONG).unwrap_or_else(|why| panic!("{}: {why}", victim.name));
        }
        emperor.remove(&victim.name);
        if namespaces.is_none() {
            // Init could make no process to unmount it with. What it leaves on the host goes when the life is over.
            emperor.wait_log_from(mark, &[&format!("{}: gone", victim.name)]);
            let point = format!(" {} ", victim.filesystem.mount.display());
            wait_until("its mount to go from the host", LONG, || !host.mountinfo().contains(&point));
        }
        emperor.put_to_rest();
    });
}

#[test]
fn a_hung_mount_in_namespaces_is_seen() {
    an_ill_mount_is_seen(Some("fs,pid"), Owner::User, false, Signal::SIGSTOP);
}

#[test]
fn a_hung_mount_without_namespaces_is_seen() {
    an_ill_mount_is_seen(None, Owner::User, false, Signal::SIGSTOP);
}

#[test]
fn a_hung_mount_in_a_user_namespace_is_seen() {
    an_ill_mount_is_seen(Some("fs,pid,user"), Owner::User, false, Signal::SIGSTOP);
}

#[test]
fn a_hung_private_mount_on_the_way_is_seen() {
    an_ill_mount_is_seen(Some("fs,pid"), Owner::User, true, Signal::SIGSTOP);
}

#[test]
fn a_dead_private_mount_on_the_way_is_seen() {
    an_ill_mount_is_seen(Some("fs,pid"), Owner::User, true, Signal::SIGKILL);
}

#[test]
fn a_hung_mount_for_all_in_a_user_namespace_is_seen() {
    an_ill_mount_is_seen(Some("fs,pid,user"), Owner::RootForAll, false, Signal::SIGSTOP);
}

#[test]
fn a_dead_mount_for_all_in_a_user_namespace_is_seen() {
    an_ill_mount_is_seen(Some("fs,pid,user"), Owner::RootForAll, false, Signal::SIGKILL);
}

#[test]
fn an_owner_who_names_many_keeps_one_process_of_the_reserve() {
    let group = PidsGroup::new();
    story(|host| {
        let emperor = emperor(host, &group, Some("fs,pid,user"));
        let victim = Victim::new(host, "app", Filesystem::new(host, "app", Kind::FuseZip, Owner::User), "", QUICK);
        let hanging = CHOSEN.map(|uid| (uid, Filesystem::new(host, &format!("of{uid}"), Kind::Faultfs, Owner::Root)));
        let mut crowd = format!(
            "[vassal]\nuid = root\ncommand = /bin/sleep 100000\nmountpoint-check-interval = {}\nmountpoint-check-timeout = {}\n",
            FOR_EVER.interval, FOR_EVER.timeout
        );
        for (uid, filesystem) in &hanging {
            crowd.push_str(&filesystem.lines().replace("faultfs ", &format!("faultfs --owner {uid}:{uid} ")));
            crowd.push_str(&format!("mountpoint-check = {}\n", filesystem.mount.display()));
        }
        emperor.write("crowd.ini", &crowd);
        emperor.write(&victim.name, &victim.text());
        until_well(&emperor, &victim);
        for (_, filesystem) in &hanging {
            emperor.wait_log(&format!("{} is healthy", filesystem.mount.display()));
        }
        let daemon = victim.daemon(&victim.vassal(&emperor).expect("it runs")).expect("it runs");
        group.close_to_the_last();
        for (_, filesystem) in &hanging {
            filesystem.faultfs.as_ref().expect("it takes orders").order("queue").expect("it obeys");
        }
        for_many_looks(&emperor, &victim);

        is_seen(&emperor, &victim, &daemon, Signal::SIGSTOP);
        group.open();
        for (_, filesystem) in &hanging {
            filesystem.faultfs.as_ref().expect("it takes orders").order("healthy").expect("it obeys");
        }
        until_well(&emperor, &victim);
    });
}

#[test]
fn an_owner_whose_mounts_all_hang_keeps_one_process_of_the_reserve() {
    let group = PidsGroup::new();
    story(|host| {
        let emperor = emperor(host, &group, Some("fs,pid"));
        let user = User::from_name(OTHER).ok().flatten().expect("every Debian has a user games");
        let dying = Victim::new(host, "dying", Filesystem::new(host, "dying", Kind::Faultfs, Owner::User), "", QUICK);
        let hanging: Vec<Victim> = (0..MANY)
            .map(|n| {
                let name = format!("hanging{n}");
                let filesystem = Filesystem::new(host, &name, Kind::Faultfs, Owner::User);
                chown(&filesystem.mount, Some(user.uid), Some(user.gid)).expect("chown of our own directory");
                Victim::new(host, &name, filesystem, "", FOR_EVER)
            })
            .collect();
        emperor.write(&dying.name, &dying.text());
        for victim in &hanging {
            emperor.write(&victim.name, &victim.text().replace(USER, OTHER));
        }
        hanging.iter().chain([&dying]).for_each(|victim| until_well(&emperor, victim));
        let daemon = dying.daemon(&dying.vassal(&emperor).expect("it runs")).expect("it runs");
        let mark = emperor.mark();
        group.close_to_the_last();
        for victim in &hanging {
            victim.order("queue").expect("it obeys");
        }
        // All but the one that hangs in a process of the reserve get none, and say so.
        let are_told = |victim: &&Victim| {
            let told = format!("{} is unknown", victim.filesystem.mount.display());
            emperor.log()[mark..].iter().any(|line| line.contains(&told) && line.contains("EAGAIN"))
        };
        wait_until("all but one to be refused", LONG, || hanging.iter().filter(are_told).count() >= MANY - 1);

        is_seen(&emperor, &dying, &daemon, Signal::SIGKILL);
        group.open();
        for victim in &hanging {
            victim.order("healthy").expect("it obeys");
        }
        until_well(&emperor, &dying);
    });
}

/// The daemons of this vassal's mounts stop reading, and the looks at them last.
fn all_hang(hanging: &[Filesystem]) {
    for filesystem in hanging {
        filesystem.faultfs.as_ref().expect("it takes orders").order("queue").expect("it obeys");
    }
}

/// `first`: the mounts hang before no process can be made any more. `asked_by`: words that make a faultfs's mount one that is
/// asked by a process with the owner's ids, or by the prober's own thread.
fn threads_are_left_for_others(asked_by: fn(&User) -> String, hang_first: bool) {
    let group = PidsGroup::new();
    story(|host| {
        let emperor = emperor(host, &group, Some("fs,pid"));
        let user = User::from_name(OTHER).ok().flatten().expect("every Debian has a user games");
        let dying = Victim::new(host, "dying", Filesystem::new(host, "dying", Kind::Faultfs, Owner::User), "", CALM);
        let hanging: Vec<Filesystem> =
            (0..ALL_THREADS).map(|n| Filesystem::new(host, &format!("hanging{n}"), Kind::Faultfs, Owner::Root)).collect();
        let mut crowd = format!(
            "[vassal]\nuid = {OTHER}\ncommand = /bin/sleep 100000\nmountpoint-check-interval = {}\nmountpoint-check-timeout = {}\n",
            FOR_EVER.interval, FOR_EVER.timeout
        );
        for filesystem in &hanging {
            crowd.push_str(&filesystem.lines().replace("faultfs ", &format!("faultfs {} ", asked_by(&user))));
            crowd.push_str(&format!("mountpoint-check = {}\n", filesystem.mount.display()));
        }
        emperor.write("crowd.ini", &crowd);
        emperor.write(&dying.name, &dying.text());
        until_well(&emperor, &dying);
        for filesystem in &hanging {
            emperor.wait_log(&format!("{} is healthy", filesystem.mount.display()));
        }
        let daemon = dying.daemon(&dying.vassal(&emperor).expect("it runs")).expect("it runs");
        if hang_first {
            all_hang(&hanging);
            let prober = emperor.helpers().remove(0);
            let askers =
                || procs::descendants(prober.pid).iter().filter(|process| process.uid() == Some(user.uid.as_raw())).count();
            wait_until("a look to hang in each", LONG, || askers() == ALL_THREADS);
            group.close_for_good();
        } else {
            group.close_for_good();
            all_hang(&hanging);
        }
        for_many_looks(&emperor, &dying);

        is_seen(&emperor, &dying, &daemon, Signal::SIGKILL);
        group.open();
        for filesystem in &hanging {
            filesystem.faultfs.as_ref().expect("it takes orders").order("healthy").expect("it obeys");
        }
        until_well(&emperor, &dying);
    });
}

#[test]
fn an_owner_whose_looks_hung_in_peace_leaves_threads_to_others() {
    threads_are_left_for_others(|user| format!("--owner {}:{}", user.uid, user.gid), true);
}

#[test]
fn an_owner_whose_looks_hang_without_a_process_left_leaves_threads_to_others() {
    threads_are_left_for_others(|_| "--allow-other --owner 0:0".to_owned(), false);
}
