//! The app, or an operator in its place, unmounts an archive while the vassal runs. The daemon has closed its device by then and writes for a
//! while. An end that comes meanwhile waits for it: one that is asked for, and one because the check has found the mount gone.

use std::fs;
use std::path::PathBuf;
use std::rc::Rc;

use liege_integration_tests::archive::Archive;
use liege_integration_tests::tools::need;
use liege_integration_tests::{Emperor, Host, LONG, story, wait_until};
use nix::sys::signal::Signal;

const NAMESPACES: [Option<&str>; 2] = [Some("fs,pid"), None];

/// A vassal that unmounts its archive when `go` is there.
struct Unmounts {
    archive: Archive,
    go: PathBuf,
}

impl Unmounts {
    fn new(host: &Host) -> Self {
        need("unzip");
        Self { archive: Archive::new(host, "app"), go: host.open_dir("marks").join("go") }
    }

    fn vassal(&self, more: &str) -> String {
        let (go, mount) = (self.go.display(), self.archive.mount.display());
        // A probe keeps the mount busy for a moment.
        let unmount = format!("until fusermount -u {mount}; do sleep 0.02; done");
        let unmounts = format!("cd /; until test -e {go}; do sleep 0.02; done; {unmount}; exec sleep 1001");
        let command = self.archive.command(&unmounts);
        format!("[vassal]\n{}{}{command}start-limit = 1\n{more}", self.archive.identity(), self.archive.hook())
    }

    fn unmounts(&self) {
        fs::write(&self.go, "").expect("write in our own directory");
    }

    fn check(&self) -> String {
        format!("mountpoint-check = {}\nmountpoint-check-interval = 0.2\n", self.archive.mount.display())
    }
}

/// A vassal of this text has its archive unmounted inside, and its daemon still saves.
fn unmounted(host: &Host, namespaces: Option<&str>, text: impl Fn(&Unmounts) -> String) -> (Unmounts, Rc<Emperor>) {
    let told = Unmounts::new(host);
    let emperor = host.emperor().namespaces(namespaces).start();
    emperor.write("v.ini", &text(&told));
    told.archive.written(1);
    told.unmounts();
    wait_until("the daemon to save", LONG, || saves(&emperor));
    (told, emperor)
}

/// An end that is asked for then waits for it.
fn is_waited_for(text: impl Fn(&Unmounts) -> String + Send + Sync) {
    for namespaces in NAMESPACES {
        story(|host| {
            let (told, emperor) = unmounted(host, namespaces, &text);
            emperor.ask_well(&["stop", "v"]);
            wait_until("the vassal to be down", LONG, || emperor.vassals().is_empty());
            told.archive.assert_saved(&emperor, namespaces);
        });
    }
}

/// Whether the daemon has closed its device and lives.
fn saves(emperor: &Emperor) -> bool {
    let processes = emperor.vassals().into_iter().flat_map(|vassal| vassal.processes());
    processes.filter(|one| one.command_line().starts_with("fuse-zip")).any(|one| {
        let fds = fs::read_dir(format!("/proc/{}/fd", one.pid)).into_iter().flatten().flatten();
        let mut links = fds.filter_map(|fd| fs::read_link(fd.path()).ok());
        one.lives() && !links.any(|link| link.ends_with("fuse"))
    })
}

#[test]
fn an_end_that_is_asked_for_waits_for_it() {
    is_waited_for(|told| told.vassal(""));
}

#[test]
fn so_does_an_end_because_it_is_gone() {
    for namespaces in NAMESPACES {
        story(|host| {
            let told = Unmounts::new(host);
            let emperor = host.emperor().namespaces(namespaces).start();
            emperor.write("v.ini", &told.vassal(&told.check()));
            told.archive.written(1);
            emperor.wait_log("is healthy");
            let mark = emperor.mark();
            told.unmounts();
            emperor.wait_log_from(mark, &["v.ini", "ended after"]);
            let log = emperor.log().split_off(mark);
            assert!(log.iter().any(|line| line.contains("it was unmounted")), "{log:#?}");
            wait_until("the vassal to be down", LONG, || emperor.vassals().is_empty());
            told.archive.assert_saved(&emperor, namespaces);
        });
    }
}

/// The app has mounted it itself, after its start.
#[test]
fn one_that_the_app_has_mounted_is_waited_for() {
    is_waited_for(|told| {
        let hook = told.archive.hook();
        let mounts = hook.strip_prefix("exec-as-user = ").expect("it is a line").trim_end();
        told.vassal("").replace(&hook, "").replace("sh -c '", &format!("sh -c '{mounts}; "))
    });
}

/// One that stays costs stop-timeout, and is told by its name.
#[test]
fn one_that_never_leaves_costs_stop_timeout_and_is_told() {
    for namespaces in NAMESPACES {
        story(|host| {
            let (told, emperor) = unmounted(host, namespaces, |told| told.vassal("stop-timeout = 2\n"));
            let daemon = emperor.vassal("sleep 1001").process("fuse-zip");
            daemon.kill(Signal::SIGSTOP);
            let mark = emperor.mark();
            emperor.ask_well(&["stop", "v"]);
            let line = emperor.wait_log_from(mark, &["what was not written back is lost: fuse-zip (pid "]);
            assert!(
                line.contains(&format!("of {}", told.archive.mount.display())) && line.contains("raise stop-timeout"),
                "{line}"
            );
            wait_until("the vassal to be down", LONG, || emperor.vassals().is_empty());
        });
    }
}
