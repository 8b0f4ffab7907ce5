//! What is called like a vassal's file and is none (a link that leads nowhere, a directory, a fifo) is told in every view, like a file
//! that cannot be read; and its vassal comes up when a file is there. uWSGI's Emperor passes over all of them without a word.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use liege_integration_tests::scrape::{ANY_PORT, Listener};
use liege_integration_tests::wait::holds_for;
use liege_integration_tests::{Emperor, Host, LONG, story, wait_until};

const SLEEPER: &str = "[vassal]\nuid = root\ncommand = /bin/sleep 100000\n";

fn make_fifo(path: &Path) {
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
}

/// `status NAME` says why.
#[track_caller]
fn wait_reason(emperor: &Emperor, name: &str, why: &str) {
    let said = || emperor.ask(&["status", name]).1.split_whitespace().collect::<Vec<_>>().join(" ");
    wait_until(&format!("{name}: {why}"), LONG, || said().contains(&format!("{name}: {why}")));
}

fn start(host: &Host) -> std::rc::Rc<Emperor> {
    // Nothing is found by chance: no rescan in time.
    host.emperor().arg("--emperor-freq").arg("3600").arg("--emperor-metrics").arg(ANY_PORT).start()
}

#[test]
fn a_link_that_leads_nowhere_is_told_and_taken_when_its_target_appears() {
    story(|host| {
        let emperor = start(host);
        let (daemon, target) = (Listener::of(&emperor), host.path("not/yet/foo.ini"));
        symlink(&target, emperor.file("n.ini")).unwrap();
        let why = format!("links to {}, which is not there", target.display());
        let line = emperor.wait_log(&why);
        assert!(line.contains("n.ini"), "{line}");
        wait_reason(&emperor, "n.ini", &why);
        assert!(emperor.ask_well(&["status"]).contains("bad file"));
        daemon.wait_value("liege_vassal_up{vassal=\"n.ini\"}", LONG, |value| value == 0.0);
        let (status, said) = emperor.ask(&["start", "n.ini"]);
        assert!(status == 1 && said.contains("its file is bad") && said.contains(&why), "{said}");
        // Told once.
        emperor.ask_well(&["rescan"]);
        emperor.write("fence.ini", SLEEPER);
        emperor.wait_log("fence.ini");
        assert_eq!(emperor.log().iter().filter(|line| line.contains(&format!("error: {why}"))).count(), 1);
        emperor.remove("fence.ini");
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(&target, SLEEPER).unwrap();
        daemon.wait_value("liege_vassal_up{vassal=\"n.ini\"}", LONG, |value| value == 1.0);
        // A removal, and a link that is left over.
        fs::remove_file(&target).unwrap();
        wait_until("the vassal to go with its target", LONG, || emperor.vassals().is_empty());
        wait_reason(&emperor, "n.ini", &why);
        emperor.remove("n.ini");
        wait_until("it to be forgotten", LONG, || emperor.ask(&["status", "n.ini"]).0 == 4);
    });
}

#[test]
fn directories_and_fifos_are_told_also_those_from_before_the_start() {
    story(|host| {
        let watched = host.open_dir("vassals");
        fs::create_dir(watched.join("d.ini")).unwrap();
        fs::create_dir(watched.join("d.json")).unwrap();
        make_fifo(&watched.join("f.ini"));
        let emperor = start(host);
        for (name, target) in [("n.ini", "nowhere.ini"), (".#v.ini", "someone@host.4711:1700000000")] {
            symlink(target, emperor.file(name)).unwrap();
        }
        for name in ["d", "f", "n"] {
            symlink(format!("{name}.ini"), emperor.file(&format!("{name}2.ini"))).unwrap();
        }
        for (name, why) in [
            ("n.ini", "links to nowhere.ini, which is not there"),
            ("d.ini", "is a directory, not a regular file"),
            ("f.ini", "is a fifo, not a regular file"),
            ("n2.ini", "links to n.ini, which is not there"),
            ("d2.ini", "links to d.ini, which is a directory"),
            ("f2.ini", "links to f.ini, which is a fifo"),
        ] {
            wait_reason(&emperor, name, why);
        }
        let quiet = || emperor.ask_well(&["status"]).matches("bad file").count() == 6;
        holds_for("an editor's lock is no vassal's file", std::time::Duration::from_millis(500), quiet);
        assert!(!emperor.log().iter().any(|line| line.contains("d.json")));
        // A directory gives its name to a file.
        fs::remove_dir(emperor.file("d.ini")).unwrap();
        emperor.write("d.ini", SLEEPER);
        wait_until("both of its names to run", LONG, || emperor.vassals().len() == 2);
    });
}
