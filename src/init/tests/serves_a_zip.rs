//! A user's fuse-zip as a step, with real fusermount: mounted, kept over a reload, unmounted and mounted by a later step.
#![allow(missing_docs)]

mod world;

use std::time::{Duration, Instant};

use liege_plan::{Exit, FromInit, Phase, Plan, Step, ToInit};
use liege_sys::{
    Errno, descendants,
    probe::{ProbeStage, probe},
};
use world::*;

/// A plan whose vassal has a /dev/fuse for everybody and a name for its user, without a change on the host.
fn with_fuse(dir: &Dir) -> Plan {
    let (node, passwd) = (dir.file("fuse"), dir.file("passwd"));
    let mut plan = plan(idle());
    plan.steps.extend([
        exec(&format!("mknod {node} c 10 229 && chmod 666 {node} && mount --bind {node} /dev/fuse")),
        exec(&format!(
            "(cat /etc/passwd; echo tenant:x:{NOBODY}:{NOBODY}::/:/bin/sh) > {passwd} && mount --bind {passwd} /etc/passwd"
        )),
    ]);
    plan
}

fn zip(dir: &Dir) -> (String, String) {
    let (file, zip, app) = (dir.file("hello"), dir.file("app.zip"), dir.file("app"));
    std::fs::write(&file, "from the zip\n").unwrap();
    assert!(std::process::Command::new("zip").args(["-qj", &zip, &file]).status().expect("apt-get install zip").success());
    std::fs::create_dir(&app).unwrap();
    std::os::unix::fs::chown(&app, Some(NOBODY), Some(NOBODY)).unwrap();
    (zip, app)
}

fn as_user(command: &str) -> Step {
    Step { phase: Phase::AsUser, ..exec_as_user(command) }
}

#[test]
fn the_mount_survives_a_reload_and_fusermount_still_works_after_it() {
    let dir = Dir::new("zip");
    let (zip, app) = zip(&dir);
    let mut plan = with_fuse(&dir);
    plan.steps.push(as_user(&format!("fuse-zip -r {zip} {app}")));
    // Said when the file is closed again, else the mount may still be busy when it is heard.
    let mut user = shell(&format!("read line < {app}/hello; echo $line; sleep infinity"));
    user.identity = Some(nobody());
    plan.app = user.clone();
    let mut vassal = Vassal::start(plan);
    vassal.started();
    assert_eq!(vassal.line(), "from the zip");
    let pid = vassal.child.pid;
    let first = probe(pid, &app).unwrap();

    vassal.reload(vec![], user.clone());
    vassal.started();
    assert_eq!(vassal.line(), "from the zip");
    assert_eq!(probe(pid, &app).unwrap(), first);

    // init has given up its rights by now; setuid fusermount must not miss them.
    vassal.reload(vec![as_user(&format!("fusermount -u {app}")), as_user(&format!("fuse-zip -r {zip} {app}"))], user);
    // The old app's sleep is an orphan too, and is killed: the daemon is the one that ends cleanly.
    vassal.hears_until(|m| matches!(m, FromInit::OrphanDied { exit: Exit::Code(0), .. }).then_some(()));
    vassal.started();
    assert_eq!(vassal.line(), "from the zip");
    assert_ne!(probe(pid, &app).unwrap().mount_id, first.mount_id);
}

#[test]
fn the_death_of_the_daemon_is_told_and_the_probe_knows() {
    let dir = Dir::new("zip-dies");
    let (zip, app) = zip(&dir);
    let mut plan = with_fuse(&dir);
    plan.steps.push(as_user(&format!("fuse-zip -r {zip} {app}")));
    let mut vassal = Vassal::start(plan);
    vassal.started();
    let pid = vassal.child.pid;
    probe(pid, &app).unwrap();
    let is_daemon = |pid: &i32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap() == "fuse-zip\n";
    let daemon = descendants::children_of(pid).into_iter().find(is_daemon).unwrap();
    descendants::kill(daemon, 9).unwrap();
    assert_eq!(vassal.orphan_died().1, Exit::Signal(9));
    let error = probe(pid, &app).unwrap_err();
    assert_eq!((error.stage, error.errno), (ProbeStage::Statfs, Errno::ENOTCONN));
}

/// A vassal with an archive for reading and writing, which was asked to end, and the number of the last change it has told of.
fn ends_with_an_archive(dir: &Dir, stop_timeout_ms: u64) -> (Vassal, String, u32) {
    let (zip, app) = zip(dir);
    std::os::unix::fs::chown(&dir.0, Some(NOBODY), Some(NOBODY)).unwrap();
    std::os::unix::fs::chown(&zip, Some(NOBODY), Some(NOBODY)).unwrap();
    let mut plan = with_fuse(dir);
    plan.steps.push(as_user(&format!("fuse-zip {zip} {app}")));
    plan.app.stop_timeout_ms = stop_timeout_ms;
    let mut vassal = Vassal::start(plan);
    let mut last = 0;
    vassal.hears_until(|m| match m {
        FromInit::MountsChanged { own_fuse: true, number, .. } => {
            last = *number;
            None
        }
        FromInit::Started { .. } => Some(()),
        _ => None,
    });
    assert!(last > 0, "the archive was not told");
    vassal.tell(&ToInit::Stop);
    vassal.app_exited();
    (vassal, app, last)
}

#[test]
fn a_mount_stands_until_the_host_holds_its_exit() {
    let dir = Dir::new("zip-waits");
    let (mut vassal, app, number) = ends_with_an_archive(&dir, 20_000);
    vassal.tell(&ToInit::Secured { number: number - 1 });
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(500) {
        probe(vassal.child.pid, &app).expect("it is unmounted, and the host has not answered");
    }
    vassal.tell(&ToInit::Secured { number });
    while let Some(said) = vassal.hears() {
        assert!(!matches!(said, FromInit::Unsaved { .. }), "{said:?}");
    }
    vassal.ends();
}

#[test]
fn a_host_that_never_answers_costs_half_of_the_time_and_nothing_is_lost() {
    let dir = Dir::new("zip-alone");
    let (mut vassal, _, _) = ends_with_an_archive(&dir, 4_000);
    let start = Instant::now();
    while let Some(said) = vassal.hears() {
        assert!(!matches!(said, FromInit::Unsaved { .. }), "{said:?}");
    }
    // With all of the time gone the archive would be lost, and told.
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(1_900), "{took:?}");
    vassal.ends();
}

#[test]
fn a_stop_during_a_step_ends_the_step_by_a_term_and_unmounts() {
    let dir = Dir::new("zip-step");
    let (zip, app) = zip(&dir);
    std::os::unix::fs::chown(&dir.0, Some(NOBODY), Some(NOBODY)).unwrap();
    std::os::unix::fs::chown(&zip, Some(NOBODY), Some(NOBODY)).unwrap();
    let mut plan = with_fuse(&dir);
    let lasts = format!("trap 'echo asked >> {}; exit' TERM; echo there; sleep 1001 & wait", dir.file("asked"));
    plan.steps.extend([as_user(&format!("fuse-zip {zip} {app} && echo precious > {app}/precious")), as_user(&lasts)]);
    plan.at_exit = vec![exec(&format!("touch {}", dir.file("at_exit")))];
    let mut vassal = Vassal::start(plan);
    assert_eq!(vassal.line(), "there");
    vassal.tell(&ToInit::Stop);
    while let Some(said) = vassal.hears() {
        match said {
            FromInit::MountsChanged { own_fuse: true, number, .. } => vassal.tell(&ToInit::Secured { number }),
            FromInit::Unsaved { .. } | FromInit::Failed { .. } => panic!("{said:?}"),
            _ => {}
        }
    }
    vassal.ends();
    assert_eq!(std::fs::read_to_string(dir.file("asked")).unwrap(), "asked\n");
    assert!(!std::fs::exists(dir.file("at_exit")).unwrap(), "the steps of the end are for a root that was not finished");
    let unpacked = std::process::Command::new("unzip").args(["-p", &zip, "precious"]).output().expect("apt-get install unzip");
    assert_eq!(String::from_utf8(unpacked.stdout).unwrap(), "precious\n");
}
