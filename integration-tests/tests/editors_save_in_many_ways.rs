//! Whatever way a file is saved in, the end state equals the directory.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::rc::Rc;
use std::time::Duration;

use liege_integration_tests::apps::Reporter;
use liege_integration_tests::wait::{breathe, holds_for};
use liege_integration_tests::{Emperor, Host, SHORT, story, wait_until};

/// A daemon and one vassal that tells which round of its file it was started from.
struct Desk<'h> {
    host: &'h Host,
    emperor: Rc<Emperor>,
    reporter: Reporter,
}

impl<'h> Desk<'h> {
    fn new(host: &'h Host) -> Self {
        Self { host, emperor: host.emperor().start(), reporter: Reporter::new(host, "app") }
    }

    fn text(&self, round: &str) -> String {
        self.reporter.vassal(&format!("env = ROUND={round}\n"))
    }

    #[track_caller]
    fn runs(&self, round: &str) {
        let newest = || self.reporter.starts().last().is_some_and(|start| start["environment"]["ROUND"] == round);
        wait_until(&format!("round {round} to run"), SHORT, newest);
        wait_until("exactly one app", SHORT, || self.emperor.vassals().len() == 1);
    }
}

#[test]
fn truncated_and_written_in_pieces() {
    story(|host| {
        let desk = Desk::new(host);
        desk.emperor.write("v.ini", &desk.text("one"));
        desk.runs("one");
        let text = desk.text("two");
        let (head, tail) = text.split_at(text.len() / 2);
        let mut file = File::create(desk.emperor.file("v.ini")).unwrap();
        file.write_all(head.as_bytes()).unwrap();
        breathe(Duration::from_millis(150)); // a slow editor
        file.write_all(tail.as_bytes()).unwrap();
        drop(file);
        desk.runs("two");
    });
}

#[test]
fn written_beside_and_renamed_over() {
    story(|host| {
        let desk = Desk::new(host);
        for round in ["one", "two", "three"] {
            let beside = desk.emperor.file(".v.ini.swp");
            fs::write(&beside, desk.text(round)).unwrap();
            fs::rename(&beside, desk.emperor.file("v.ini")).unwrap();
            desk.runs(round);
        }
    });
}

#[test]
fn moved_to_a_backup_and_written_anew() {
    story(|host| {
        let desk = Desk::new(host);
        desk.emperor.write("v.ini", &desk.text("one"));
        desk.runs("one");
        fs::rename(desk.emperor.file("v.ini"), desk.emperor.file("v.ini~")).unwrap();
        desk.emperor.write("v.ini", &desk.text("two"));
        fs::remove_file(desk.emperor.file("v.ini~")).unwrap();
        desk.runs("two");
    });
}

#[test]
fn the_data_link_of_a_config_map_is_swapped() {
    story(|host| {
        let desk = Desk::new(host);
        let generation = |round: &str| {
            let dir = desk.emperor.file(&format!("..{round}"));
            fs::create_dir(&dir).unwrap();
            fs::write(dir.join("v.ini"), desk.text(round)).unwrap();
            symlink(format!("..{round}"), desk.emperor.file("..data_tmp")).unwrap();
            fs::rename(desk.emperor.file("..data_tmp"), desk.emperor.file("..data")).unwrap();
        };
        generation("one");
        symlink("..data/v.ini", desk.emperor.file("v.ini")).unwrap();
        desk.runs("one");
        generation("two");
        fs::remove_dir_all(desk.emperor.file("..one")).unwrap();
        desk.runs("two");
    });
}

#[test]
fn the_same_size_with_the_same_time_stamp() {
    story(|host| {
        let desk = Desk::new(host);
        desk.emperor.write("v.ini", &desk.text("one"));
        desk.runs("one");
        let stamp = fs::metadata(desk.emperor.file("v.ini")).unwrap().modified().unwrap();
        let file = File::options().write(true).open(desk.emperor.file("v.ini")).unwrap();
        (&file).write_all(desk.text("two").as_bytes()).unwrap();
        file.set_modified(stamp).unwrap();
        drop(file);
        desk.runs("two");
    });
}

#[test]
fn the_target_of_a_symbolic_link_is_edited_and_exchanged() {
    story(|host| {
        let desk = Desk::new(host);
        let elsewhere = host.open_dir("elsewhere");
        fs::write(elsewhere.join("a"), desk.text("one")).unwrap();
        symlink(elsewhere.join("a"), desk.emperor.file("v.ini")).unwrap();
        desk.runs("one");
        fs::write(elsewhere.join("a"), desk.text("two")).unwrap();
        desk.runs("two");
        fs::write(elsewhere.join("b"), desk.text("three")).unwrap();
        symlink(elsewhere.join("b"), desk.emperor.file(".v")).unwrap();
        fs::rename(desk.emperor.file(".v"), desk.emperor.file("v.ini")).unwrap();
        desk.runs("three");
        fs::remove_file(elsewhere.join("b")).unwrap();
        wait_until("the vassal of a dangling link to go", SHORT, || desk.emperor.vassals().is_empty());
    });
}

#[test]
fn what_editors_leave_lying_about_is_no_vassal() {
    story(|host| {
        let desk = Desk::new(host);
        for litter in ["v.ini~", ".v.ini.swp", "#v.ini#", "4913", "v.ini.bak", "notes.txt"] {
            desk.emperor.write(litter, &desk.text("litter"));
        }
        symlink("someone@host.4711:1700000000", desk.emperor.file(".#v.ini")).unwrap(); // emacs: dangling
        fs::create_dir(desk.emperor.file("directory.ini")).unwrap();
        desk.emperor.write("v.ini", &desk.text("one"));
        desk.runs("one");
        holds_for("only the one file is a vassal", Duration::from_millis(500), || desk.emperor.vassals().len() <= 1);
        assert_eq!(desk.reporter.starts().len(), 1, "in {}", desk.host.dir().display());
    });
}
