//! The prober wears tenants' identities, so a tenant may kill it. No vassal suffers, and the next dead mount is still found.

use liege_integration_tests::apps::ZipApp;
use liege_integration_tests::gauge::is_helper;
use liege_integration_tests::{Emperor, LONG, SHORT, procs, served, story, wait_for, wait_until};
use nix::sys::signal::Signal;

#[test]
fn a_killed_prober_is_replaced() {
    story(|host| {
        let app = ZipApp::new(host, "app", "from the zip");
        let emperor = host.emperor().start();
        emperor.write("app001.ini", &app.checked());
        served(app.port, "from the zip", LONG);
        let vassal = emperor.vassal("app001.ini");
        let first = wait_for("a prober", SHORT, || prober(&emperor));

        first.kill(Signal::SIGKILL);
        wait_until("another prober", LONG, || prober(&emperor).is_some_and(|next| next != first));
        assert!(vassal.init.lives(), "a prober's death says nothing about a mount");

        vassal.process("fuse-zip").kill(Signal::SIGKILL);
        emperor.wait_cause(0, "app001.ini", "mountpoint_dead");
        served(app.port, "from the zip", LONG);
    });
}

/// Whoever may kill it may stop it as well; that is silence, not an end.
#[test]
fn a_stopped_prober_is_replaced_too() {
    story(|host| {
        let app = ZipApp::new(host, "app", "from the zip");
        let emperor = host.emperor().start();
        emperor.write("app001.ini", &app.checked());
        served(app.port, "from the zip", LONG);
        let vassal = emperor.vassal("app001.ini");
        let first = wait_for("a prober", SHORT, || prober(&emperor));

        first.kill(Signal::SIGSTOP);
        emperor.wait_log("was silent for");
        wait_until("another prober", LONG, || prober(&emperor).is_some_and(|next| next != first));
        assert!(vassal.init.lives(), "a prober's silence says nothing about a mount");
        vassal.process("fuse-zip").kill(Signal::SIGKILL);
        emperor.wait_cause(0, "app001.ini", "mountpoint_dead");
        served(app.port, "from the zip", LONG);
    });
}

/// The daemon's child that is the daemon's own program.
fn prober(emperor: &Emperor) -> Option<procs::Process> {
    procs::all().into_iter().find(|process| is_helper(process, emperor.pid))
}
