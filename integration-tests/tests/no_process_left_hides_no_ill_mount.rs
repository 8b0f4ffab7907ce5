//! A look at a tenant's mount is made by a process of its own. Where none can be made any more (`pids.max`, a fork bomb) the prober has
//! some in reserve: a hung and a dead mount are seen in time, and an owner whose mounts keep the looks at them gets one of these.

use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use liege_integration_tests::apps::USER;
use liege_integration_tests::faults::{Filesystem, Kind, Owner, Pace, Victim};
use liege_integration_tests::groups::PidsGroup;
use liege_integration_tests::story::Host;
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

/// No ill mount may stay unseen for longer.
const SEEN: Duration = Duration::from_secs(10);

/// The daemon runs in the group, under these namespaces.
fn emperor(host: &Host, group: &PidsGroup, namespaces: Option<&'static str>) -> Rc<Emperor> {
    let words = group.wrapper();
    host.emperor().namespaces(namespaces).under(&words.each_ref().map(String::as_str)).start()
}

fn until_well(emperor: &Emperor, victim: &Victim) {
    victim.until_served(Instant::now(), LONG).unwrap_or_else(|why| panic!("{}: {why}", victim.name));
    emperor.wait_log(&format!("{} is healthy", victim.filesystem.mount.display()));
}

fn a_hung_mount_is_seen(namespaces: Option<&'static str>) {
    let group = PidsGroup::new();
    story(|host| {
        let emperor = emperor(host, &group, namespaces);
        let victim = Victim::new(host, "app", Filesystem::new(host, "app", Kind::FuseZip, Owner::User), "", QUICK);
        emperor.write(&victim.name, &victim.text());
        until_well(&emperor, &victim);
        let daemon = victim.daemon(&victim.vassal(&emperor).expect("it runs")).expect("it runs");
        group.close_to_the_last();

        let (mark, began) = (emperor.mark(), Instant::now());
        daemon.kill(Signal::SIGSTOP);
        emperor.wait_cause(mark, &victim.name, "mountpoint_hung");
        assert!(began.elapsed() < bar(SEEN), "seen after {:?}", began.elapsed());
        group.open();
        if namespaces.is_some() {
            until_well(&emperor, &victim);
        }
        emperor.remove(&victim.name);
        if namespaces.is_none() {
            // It is the host's, and stays. The next life may be about to mount there.
            emperor.wait_log_from(mark, &[&format!("{}: gone", victim.name)]);
            let status = Command::new("umount").arg("-l").arg(&victim.filesystem.mount).status();
            assert!(status.expect("umount is installed").success());
        }
        emperor.put_to_rest();
    });
}

#[test]
fn a_hung_mount_in_namespaces_is_seen() {
    a_hung_mount_is_seen(Some("fs,pid"));
}

#[test]
fn a_hung_mount_without_namespaces_is_seen() {
    a_hung_mount_is_seen(None);
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

        let (mark, began) = (emperor.mark(), Instant::now());
        daemon.kill(Signal::SIGKILL);
        emperor.wait_cause(mark, &dying.name, "mountpoint_dead");
        assert!(began.elapsed() < bar(SEEN), "seen after {:?}", began.elapsed());
        group.open();
        for victim in &hanging {
            victim.order("healthy").expect("it obeys");
        }
        until_well(&emperor, &dying);
    });
}
