//! What ran before the mounts may be what a FUSE daemon writes back through. It is asked to end after the mounts have gone, and so is what it has
//! started since: a server that its keeper has started anew, the child of one connection. Nothing of the app's belongs to it.

use std::fs;
use std::path::PathBuf;
use std::rc::Rc;

use liege_integration_tests::archive::Archive;
use liege_integration_tests::tools::need;
use liege_integration_tests::{Emperor, Host, LONG, story, wait_until};
use nix::sys::signal::Signal;

const NAMESPACES: [Option<&str>; 2] = [Some("fs,pid"), None];

/// A vassal with a keeper that was started before the mount, and a server of it that says when it was asked to end.
struct Kept {
    archive: Archive,
    up: PathBuf,
    asked: PathBuf,
    text: String,
}

impl Kept {
    /// `keeper` is a script in which SERVER stands for the command line of the server.
    fn new(host: &Host, keeper: &str) -> Self {
        need("unzip");
        let (archive, marks) = (Archive::new(host, "app"), host.open_dir("marks"));
        let [up, asked, go, server, script] = ["up", "asked", "go", "server.sh", "keeper.sh"].map(|name| marks.join(name));
        let mount = archive.mount.display();
        let is_mounted = format!("grep -q \" {mount} \" /proc/self/mountinfo && echo mounted || echo gone");
        let text = format!(
            "trap '({is_mounted}) >> {}; exit 0' TERM\necho $$ >> {}\nwhile :; do sleep 0.05; done\n",
            asked.display(),
            up.display()
        );
        fs::write(&server, text).expect("write in our own directory");
        let run = format!("sh {}", server.display());
        fs::write(&script, keeper.replace("SERVER", &run).replace("GO", &go.to_string_lossy()))
            .expect("write in our own directory");
        let keeper =
            format!("exec-as-user = setsid sh {} & until test -s {}; do sleep 0.02; done\n", script.display(), up.display());
        // The second one is younger than the app.
        let second =
            format!("echo > {}; until test `wc -l < {}` = 2; do sleep 0.02; done; exec sleep 1001", go.display(), up.display());
        let (identity, mount, command) = (archive.identity(), archive.hook(), archive.command(&second));
        Self { archive, up, asked, text: format!("[vassal]\n{identity}{keeper}{mount}{command}") }
    }

    fn runs(&self, host: &Host, namespaces: Option<&str>) -> Rc<Emperor> {
        let emperor = host.emperor().namespaces(namespaces).start();
        emperor.write("v.ini", &self.text);
        self.archive.written(1);
        emperor
    }

    fn ups(&self) -> usize {
        fs::read_to_string(&self.up).map_or(0, |text| text.lines().count())
    }

    /// All servers that lived at the end, and what each saw.
    fn is_asked_afterwards(&self, emperor: &Emperor, namespaces: Option<&str>, servers: usize) {
        emperor.ask_well(&["stop", "v"]);
        wait_until("the vassal to be down", LONG, || emperor.vassals().is_empty());
        self.archive.assert_saved(emperor, namespaces);
        let saw = fs::read_to_string(&self.asked).unwrap_or_default();
        assert_eq!(saw, "gone\n".repeat(servers), "{namespaces:?}");
    }
}

#[test]
fn a_server_that_its_keeper_has_started_anew() {
    for namespaces in NAMESPACES {
        story(|host| {
            let kept = Kept::new(host, "while :; do SERVER; done\n");
            let emperor = kept.runs(host, namespaces);
            let is_server = |one: &liege_integration_tests::procs::Process| one.command_line().contains("server.sh");
            let vassal = emperor.vassals().remove(0);
            let server = vassal.processes().into_iter().find(is_server).expect("a server runs");
            server.kill(Signal::SIGKILL);
            wait_until("another one", LONG, || kept.ups() == 2);
            emperor.wait_log("started");
            kept.is_asked_afterwards(&emperor, namespaces, 1);
        });
    }
}

#[test]
fn the_child_of_a_connection() {
    for namespaces in NAMESPACES {
        story(|host| {
            let kept = Kept::new(host, "SERVER & until test -e GO; do sleep 0.02; done; SERVER & wait; wait\n");
            let emperor = kept.runs(host, namespaces);
            wait_until("the child to be up", LONG, || kept.ups() == 2);
            kept.is_asked_afterwards(&emperor, namespaces, 2);
        });
    }
}

/// Its parent has ended, and its session is the keeper's.
#[test]
fn one_whose_parent_has_ended() {
    for namespaces in NAMESPACES {
        story(|host| {
            let kept = Kept::new(host, "SERVER & until test -e GO; do sleep 0.02; done; (SERVER &); wait\n");
            let emperor = kept.runs(host, namespaces);
            wait_until("the child to be up", LONG, || kept.ups() == 2);
            kept.is_asked_afterwards(&emperor, namespaces, 2);
        });
    }
}

/// A file of the mount that something of the app's holds open has that ended, and nothing else.
#[test]
fn one_beside_a_mount_that_is_busy() {
    for namespaces in NAMESPACES {
        story(|host| {
            let mut kept = Kept::new(host, "SERVER & until test -e GO; do sleep 0.02; done; SERVER & wait; wait\n");
            let busy = format!(
                "setsid -f sh -c \"trap : TERM; exec 3<{}/precious; while :; do sleep 0.1; done\"",
                kept.archive.mount.display()
            );
            kept.text = kept.text.replace("exec sleep 1001", &format!("{busy}; exec sleep 1001"));
            kept.text.push_str("stop-timeout = 6\n");
            let emperor = kept.runs(host, namespaces);
            let holds = |pid: i32| fs::read_link(format!("/proc/{pid}/fd/3")).is_ok_and(|file| file.ends_with("precious"));
            wait_until("the file to be held", LONG, || {
                emperor.vassals().iter().flat_map(|vassal| vassal.processes()).any(|process| holds(process.pid))
            });
            emperor.ask_well(&["stop", "v"]);
            wait_until("the vassal to be down", LONG, || emperor.vassals().is_empty());
            assert!(kept.archive.is_saved(), "{namespaces:?}: lost");
            let saw = fs::read_to_string(&kept.asked).unwrap_or_default();
            assert_eq!(saw, "gone\n".repeat(2), "{namespaces:?}");
        });
    }
}
