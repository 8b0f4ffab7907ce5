//! Whoever loses his parent near the daemon is adopted by it (as by every pid 1 of a container), also when he is no vassal's: the
//! sweep after a vassal without a pid namespace ends all of that vassal, and nobody else.

use std::fs;

use liege_integration_tests::apps::Reporter;
use liege_integration_tests::procs::Process;
use liege_integration_tests::{SHORT, story, wait_for, wait_until};
use nix::sys::signal::Signal;

#[test]
fn a_foreign_orphan_is_left_alone() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let pids = host.open_dir("pids");
        let (go, foreign, fled) = (host.path("go"), pids.join("foreign"), pids.join("fled"));
        nix::unistd::mkfifo(&go, nix::sys::stat::Mode::S_IRWXU).unwrap();
        // A child of whoever became the daemon; what it leaves behind is born long after the vassal.
        let helper = format!("(read go < {}; sleep 1001 & echo $! > {}) & exec \"$0\" \"$@\"", go.display(), foreign.display());
        let emperor = host.emperor().namespaces(None).under(&["sh", "-c", &helper]).start_unheard();
        emperor.wait_log("the emperor is ready");
        // Of the vassal's one flees as far as a tenant can: another session, no environment.
        let flight = format!("hook-pre-jail = exec:setsid env -i {} {}\n", host.helper("daemoniser").display(), fled.display());
        emperor.write("v.ini", &reporter.vassal(&flight));
        let app = reporter.started(1)["pid"].as_i64().unwrap();
        let parent = |pid: i32| Process::read(pid).map(|process| process.parent);
        let pid_in = |file: &std::path::Path| fs::read_to_string(file).ok()?.trim().parse::<i32>().ok();
        let fled = Process::read(wait_for("the one that flees", SHORT, || pid_in(&fled))).unwrap();
        fs::write(&go, "\n").unwrap();
        let foreign = Process::read(wait_for("the foreigner", SHORT, || pid_in(&foreign))).unwrap();
        wait_until("the foreigner to be an orphan of the daemon's", SHORT, || parent(foreign.pid) == Some(emperor.pid));

        // Its init is killed, so that all it had comes to the daemon.
        let init = Process::read(parent(i32::try_from(app).unwrap()).unwrap()).unwrap();
        init.kill(Signal::SIGKILL);
        let _again = reporter.started(2);
        wait_until("all of the vassal's to be gone", SHORT, || !fled.lives());
        assert!(foreign.lives(), "it was no vassal's");
        emperor.remove("v.ini");
        emperor.wait_log("v.ini: gone");
        assert!(foreign.lives(), "it was no vassal's");
        foreign.kill(Signal::SIGKILL);
        wait_until("the daemon to bury it", SHORT, || !foreign.lives());
    });
}
