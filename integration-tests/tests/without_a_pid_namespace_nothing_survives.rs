//! Without `pid` in `emperor-use-clone` no namespace takes the descendants along: init must do it, whatever they do.

use liege_integration_tests::apps::Reporter;
use liege_integration_tests::{LONG, procs, story, wait_until};
use nix::sys::signal::Signal;

/// Both ends: the file goes, and init is killed. Daemons in sessions of their own, breeders, and swallowers of signals.
fn survives(namespaces: Option<&'static str>, end: impl Fn(&liege_integration_tests::Emperor) + Send) {
    story(move |host| {
        let reporter = Reporter::new(host, "app");
        let pids = host.open_dir("pids");
        let (daemoniser, breeder) = (host.helper("daemoniser"), host.helper("breeder"));
        let emperor = host.emperor().namespaces(namespaces).start();
        let hooks = format!(
            "stop-timeout = 1\nhook-pre-jail = exec:{} {}\nhook-pre-jail = exec:{} {} &\n",
            daemoniser.display(),
            pids.join("daemon").display(),
            breeder.display(),
            pids.join("breeder").display()
        );
        emperor.write("wild.ini", &reporter.vassal(&hooks));
        let _started = reporter.started(1);
        let litter = || std::fs::read_to_string(pids.join("breeder")).unwrap_or_default().lines().count();
        wait_until("a full litter", LONG, || litter() >= 15);
        let before: Vec<_> = procs::descendants(emperor.pid)
            .into_iter()
            .filter(|p| ["daemoniser", "breeder", "report"].contains(&p.name.as_str()))
            .collect();
        assert!(before.len() >= 17, "{}", procs::describe(&before));
        end(&emperor);
        wait_until("every one of them to be gone", LONG, || before.iter().all(|process| !process.lives()));
        emperor.remove_if_there("wild.ini");
        wait_until("no breeder at all", LONG, || {
            procs::all().iter().all(|p| p.name != "breeder" || !p.command_line().contains(&*pids.to_string_lossy()))
        });
    });
}

#[test]
fn a_removed_file_without_a_pid_namespace() {
    survives(Some("fs"), |emperor| emperor.remove("wild.ini"));
}

#[test]
fn a_removed_file_without_any_namespace() {
    survives(None, |emperor| emperor.remove("wild.ini"));
}

#[test]
fn a_killed_init_without_a_pid_namespace() {
    survives(Some("fs"), |emperor| emperor.vassal("reports/app").init.kill(Signal::SIGKILL));
}

#[test]
fn a_removed_file_with_a_pid_namespace() {
    survives(Some("fs,pid"), |emperor| emperor.remove("wild.ini"));
}
