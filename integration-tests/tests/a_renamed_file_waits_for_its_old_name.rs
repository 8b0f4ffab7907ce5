//! A vassal file under a new name: its vassal starts when the one under the old name has ended, and finds what that one had saved.

use std::fs;
use std::path::PathBuf;
use std::rc::Rc;

use liege_integration_tests::apps::Reporter;
use liege_integration_tests::archive::Archive;
use liege_integration_tests::tools::need;
use liege_integration_tests::{Emperor, Host, LONG, story, wait_until};

const NAMESPACES: [Option<&str>; 2] = [Some("fs,pid"), None];

/// Two monitored directories; under each kind of namespaces the vassal `old.ini` of the first one has written into its archive, then
/// `rename` has its file moved, and what it wrote is still there after another life with it.
fn saves(rename: impl Fn(&Rc<Emperor>, PathBuf) + Send + Sync) {
    need("unzip");
    for namespaces in NAMESPACES {
        story(|host| {
            let archive = Archive::new(host, "app");
            let emperor = start(host, namespaces);
            emperor.write("old.ini", &archive.written_once());
            archive.written(1);
            let second = host.path("second");
            rename(&emperor, second.clone());
            archive.written(2);
            wait_until("one vassal", LONG, || emperor.vassals().len() == 1);
            for file in [emperor.file(""), second].iter().flat_map(|dir| fs::read_dir(dir).unwrap()) {
                fs::remove_file(file.unwrap().path()).unwrap();
            }
            wait_until("the vassal to be down", LONG, || emperor.vassals().is_empty());
            archive.assert_saved(&emperor, namespaces);
            emperor.wait_log("old.ini, which had this file, to end");
        });
    }
}

fn start(host: &Host, namespaces: Option<&str>) -> Rc<Emperor> {
    let second = host.path("second");
    fs::create_dir(&second).unwrap();
    host.emperor().namespaces(namespaces).arg("--emperor").arg(second).start()
}

fn rename(from: PathBuf, to: PathBuf) {
    fs::rename(from, to).unwrap();
}

#[test]
fn in_its_directory() {
    saves(|emperor, _| rename(emperor.file("old.ini"), emperor.file("new.ini")));
}

#[test]
fn into_another_monitored_directory() {
    saves(|emperor, second| rename(emperor.file("old.ini"), second.join("old.ini")));
}

#[test]
fn over_the_file_of_another_vassal() {
    saves(|emperor, second| {
        fs::write(second.join("other.ini"), "[vassal]\nuid = nobody\ncommand = sleep 1003\n").unwrap();
        emperor.wait_log_from(0, &["other.ini", "started (app"]);
        rename(emperor.file("old.ini"), second.join("other.ini"));
    });
}

/// Out of the directory, and back under another name while the vassal still saves.
#[test]
fn by_a_way_around() {
    saves(|emperor, second| {
        let mark = emperor.mark();
        rename(emperor.file("old.ini"), second.join("hidden.off"));
        emperor.wait_log_from(mark, &["stopping"]);
        rename(second.join("hidden.off"), second.join("new.ini"));
    });
}

/// Names of one file that stay run beside each other, and each ends alone.
#[test]
fn names_that_share_a_file_run_beside_each_other() {
    story(|host| {
        let app = Reporter::new(host, "app");
        let emperor = start(host, Some("fs,pid"));
        let target = host.path("target");
        fs::write(&target, app.vassal("")).unwrap();
        fs::hard_link(&target, emperor.file("hard.ini")).unwrap();
        fs::hard_link(&target, host.path("second").join("hard.ini")).unwrap();
        for link in ["one.ini", "two.ini"] {
            std::os::unix::fs::symlink(&target, emperor.file(link)).unwrap();
        }
        let _all = app.started(4);
        emperor.remove("hard.ini");
        emperor.remove("one.ini");
        wait_until("two vassals", LONG, || emperor.vassals().len() == 2);
        fs::remove_file(host.path("second").join("hard.ini")).unwrap();
        assert!(!emperor.log().iter().any(|line| line.contains("which had this file")), "one waited");
    });
}
