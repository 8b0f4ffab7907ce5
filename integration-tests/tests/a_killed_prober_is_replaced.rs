//! The prober is killed. No vassal suffers, and the next dead mount is still found.

use std::rc::Rc;
use std::time::{Duration, Instant};

use liege_integration_tests::apps::ZipApp;
use liege_integration_tests::faults::{Filesystem, Kind, Owner, Pace, Victim};
use liege_integration_tests::gauge::is_helper;
use liege_integration_tests::{Emperor, Host, LONG, SHORT, Vassal, bar, procs, served, story, wait_for, wait_until};
use nix::sys::signal::Signal;

/// No dead mount may stay unseen for longer.
const SEEN: Duration = Duration::from_secs(5);

#[test]
fn a_killed_prober_is_replaced() {
    story(|host| {
        let Watched { app, emperor, vassal, first } = Watched::new(host);

        first.kill(Signal::SIGKILL);
        until_replaced(&emperor, &first);
        assert!(vassal.init.lives(), "a prober's death says nothing about a mount");

        vassal.process("fuse-zip").kill(Signal::SIGKILL);
        emperor.wait_cause(0, "app001.ini", "mountpoint_dead");
        served(app.port, "from the zip", LONG);
    });
}

/// A thread of it waits for a mount beyond SIGKILL, so it cannot end, and its socket stays open.
#[test]
fn one_that_cannot_end_keeps_no_dead_mount_from_being_known() {
    known_at_once("fs,pid", Owner::User);
}

/// A mount for all in a user namespace is asked by a child of the prober's, and that one cannot end.
#[test]
fn nor_does_one_whose_child_cannot() {
    known_at_once("fs,pid,user", Owner::RootForAll);
}

fn known_at_once(namespaces: &'static str, owner: Owner) {
    story(move |host| {
        let pace = Pace { interval: 0.2, timeout: 30.0 };
        let emperor = host.emperor().namespaces(Some(namespaces)).start();
        let [hanging, dying] = ["hanging", "dying"].map(|name| {
            let victim = Victim::new(host, name, Filesystem::new(host, name, Kind::Faultfs, owner), "", pace);
            emperor.write(&victim.name, &victim.text());
            victim.until_served(Instant::now(), SHORT).unwrap_or_else(|why| panic!("{why}"));
            emperor.wait_log(&format!("{} is healthy", victim.filesystem.mount.display()));
            victim
        });
        let first = wait_for("a prober", SHORT, || prober(&emperor));
        hanging.order("swallow").expect("it obeys");
        let faultfs = hanging.filesystem.faultfs.as_ref().expect("it is a faultfs");
        wait_until("a probe beyond SIGKILL", SHORT, || faultfs.swallowed().is_ok_and(|count| count > 0));
        let mark = emperor.mark();

        first.kill(Signal::SIGKILL);
        let _ = dying.order("crash"); // it may be gone before it has answered
        emperor.wait_cause(mark, &dying.name, "mountpoint_dead");
        let silent = emperor.log()[mark..].iter().any(|line| line.contains("was silent for"));
        assert!(!silent, "known only because the killed prober was silent");
        dying.until_served(Instant::now(), LONG).unwrap_or_else(|why| panic!("{why}"));
        hanging.order("healthy").expect("it obeys");
    });
}

/// A process that may kill it may stop it as well. A mount that dies meanwhile is seen as soon as ever.
#[test]
fn a_stopped_prober_is_replaced_too() {
    story(|host| {
        let Watched { app, emperor, vassal, first } = Watched::new(host);

        let began = Instant::now();
        first.kill(Signal::SIGSTOP);
        vassal.process("fuse-zip").kill(Signal::SIGKILL);
        emperor.wait_cause(0, "app001.ini", "mountpoint_dead");
        assert!(began.elapsed() < bar(SEEN), "seen after {:?}", began.elapsed());
        emperor.wait_log("was stopped");
        until_replaced(&emperor, &first);
        served(app.port, "from the zip", LONG);
    });
}

#[test]
fn one_that_is_stopped_while_all_is_well_troubles_no_vassal() {
    story(|host| {
        let Watched { emperor, vassal, first, .. } = Watched::new(host);

        first.kill(Signal::SIGSTOP);
        emperor.wait_log("was stopped");
        until_replaced(&emperor, &first);
        assert!(vassal.init.lives(), "that says nothing about a mount");
    });
}

/// A vassal that is served from its zip, and the prober that looks at that.
struct Watched {
    app: ZipApp,
    emperor: Rc<Emperor>,
    vassal: Vassal,
    first: procs::Process,
}

impl Watched {
    fn new(host: &Host) -> Self {
        let app = ZipApp::new(host, "app", "from the zip");
        let emperor = host.emperor().start();
        emperor.write("app001.ini", &app.checked());
        served(app.port, "from the zip", LONG);
        let vassal = emperor.vassal("app001.ini");
        let first = wait_for("a prober", SHORT, || prober(&emperor));
        Self { app, emperor, vassal, first }
    }
}

fn until_replaced(emperor: &Emperor, first: &procs::Process) {
    wait_until("another prober", LONG, || prober(emperor).is_some_and(|next| next != *first));
}

/// The daemon's child that is the daemon's own program.
fn prober(emperor: &Emperor) -> Option<procs::Process> {
    procs::all().into_iter().find(|process| is_helper(process, emperor.pid))
}
