//! A file under a new name starts when the vassal under the old name has ended. Names that share a file wait for nothing.

#[path = "world/specs.rs"]
#[allow(unreachable_pub, reason = "shared with the invariants, where it is a room of its own")]
mod specs;

use std::collections::BTreeMap;
use std::time::Duration;

use liege_core::{Action, Emperor, Event, FileId, InodeId, Name, Note, Phase, ROOT, Request, Time};
use liege_plan::{Exit, FromInit};

const OLD: u8 = 0;
const NEW: u8 = 1;
const OTHER: u8 = 2;

/// A regular file, made at its own time.
fn file(number: u64) -> FileId {
    let inode = InodeId { device: 1, number, made: Some((number, 0)) };
    FileId { entry: inode, target: inode }
}

/// A link to it.
fn link(number: u64, target: u64) -> FileId {
    FileId { entry: file(number).entry, target: file(target).target }
}

#[derive(Debug)]
struct Daemon {
    emperor: Emperor,
    now: Time,
    /// The births that were asked for and have not ended.
    births: BTreeMap<Name, u64>,
    waits: Vec<String>,
}

impl Daemon {
    fn new() -> Self {
        let emperor = Emperor::new(&specs::emperor(), 2, specs::LIMITS);
        Self { emperor, now: Time(0), births: BTreeMap::new(), waits: Vec::new() }
    }

    fn feed(&mut self, event: Event) {
        self.now = self.now + Duration::from_millis(1);
        for action in self.emperor.handle(self.now, event) {
            match action {
                Action::Spawn { vassal, birth, .. } => drop(self.births.insert(vassal, birth)),
                Action::Note(note @ Note::WaitsFor { .. }) => self.waits.push(format!("{} {note}", note.vassal().unwrap())),
                _ => {}
            }
        }
    }

    fn read_as(&mut self, vassal: u8, file: FileId, jail: u8, touched: bool) {
        let config = specs::config(jail, 1).into();
        self.feed(Event::Config { vassal: specs::name(vassal), config, directory: "/v".into(), touched, file: Some(file) });
    }

    fn read(&mut self, vassal: u8, file: FileId) {
        self.read_as(vassal, file, 0, true);
    }

    fn vanishes(&mut self, vassal: u8) {
        self.feed(Event::Vanished { vassal: specs::name(vassal) });
    }

    fn spawned(&mut self, vassal: u8) {
        let (vassal, pid) = (specs::name(vassal), 100 + i32::from(vassal));
        let birth = self.births[&vassal];
        self.feed(Event::Spawned { vassal, birth, pid });
    }

    fn starts(&mut self, vassal: u8) {
        self.spawned(vassal);
        let vassal = specs::name(vassal);
        let birth = self.births[&vassal];
        self.feed(Event::Reported { vassal, birth, report: FromInit::Started { pid: 2 } });
    }

    fn runs(&mut self, vassal: u8, file: FileId) {
        self.read(vassal, file);
        self.starts(vassal);
    }

    fn ends(&mut self, vassal: u8) {
        let vassal = specs::name(vassal);
        let birth = self.births.remove(&vassal).expect("it lives");
        self.feed(Event::Exited { vassal, birth, exit: Exit::Code(0) });
    }

    fn is_asked_for(&self, vassal: u8) -> bool {
        self.births.contains_key(&specs::name(vassal))
    }

    fn phase(&self, vassal: u8) -> Option<Phase> {
        let view = self.emperor.view(self.now);
        view.vassals.iter().find(|view| view.name == specs::name(vassal)).map(|view| view.phase)
    }

    /// What users are told that it waits for.
    fn waits_for(&self, vassal: u8, user: u32) -> Option<String> {
        let view = self.emperor.view_of(self.now, user);
        view.vassals.into_iter().find(|view| view.name == specs::name(vassal))?.waits_for
    }
}

/// The old name runs, and is told to be gone; the new one is known.
fn renamed() -> Daemon {
    let mut daemon = Daemon::new();
    daemon.runs(OLD, file(1));
    daemon.vanishes(OLD);
    daemon.read(NEW, file(1));
    daemon
}

#[test]
fn the_new_name_waits_for_the_old_one_and_tells_it() {
    let mut daemon = renamed();
    assert!(!daemon.is_asked_for(NEW));
    let [old, new] = [OLD, NEW].map(specs::name);
    assert_eq!(daemon.waits, [format!("{new} waits for {old}, which had this file, to end")]);
    assert_eq!((daemon.phase(NEW), daemon.waits_for(NEW, ROOT)), (Some(Phase::Waiting), Some(old.to_string())));
    daemon.ends(OLD);
    assert!(daemon.is_asked_for(NEW));
    assert_eq!(daemon.waits_for(NEW, ROOT), None);
    daemon.starts(NEW);
    assert_eq!((daemon.phase(OLD), daemon.phase(NEW)), (None, Some(Phase::Running)));
}

/// Beside it others start: it takes no place.
#[test]
fn who_waits_holds_up_nobody() {
    let mut daemon = renamed();
    for other in 2..8 {
        daemon.runs(other, file(u64::from(other) + 10));
    }
    assert!(!daemon.is_asked_for(NEW));
}

#[test]
fn an_order_and_an_edit_do_not_hasten_it() {
    let mut daemon = renamed();
    let order = liege_core::Order::Start;
    daemon.feed(Event::Asked(Request::One { vassal: specs::name(NEW), order, by: ROOT }));
    daemon.read_as(NEW, file(9), 1, true);
    assert!(!daemon.is_asked_for(NEW));
    daemon.ends(OLD);
    assert!(daemon.is_asked_for(NEW));
}

#[test]
fn a_file_renamed_twice_waits_for_the_first_name() {
    let mut daemon = renamed();
    daemon.vanishes(NEW);
    assert_eq!(daemon.phase(NEW), None);
    daemon.read(OTHER, file(1));
    assert!(!daemon.is_asked_for(OTHER));
    daemon.ends(OLD);
    assert!(daemon.is_asked_for(OTHER));
}

#[test]
fn back_under_the_old_name_it_starts_again_by_itself() {
    let mut daemon = renamed();
    daemon.vanishes(NEW);
    daemon.read(OLD, file(1));
    daemon.ends(OLD);
    assert!(daemon.is_asked_for(OLD));
}

/// Two names of one file, or two links to it, that are both there.
#[test]
fn names_that_share_a_file_wait_for_nothing() {
    for files in [[file(1), file(1)], [link(2, 1), link(3, 1)], [file(1), link(3, 1)]] {
        let mut daemon = Daemon::new();
        daemon.runs(OLD, files[0]);
        daemon.runs(NEW, files[1]);
        // One of them is rebuilt, and has its file all the while: a third one comes beside it.
        daemon.read_as(OLD, files[0], 1, true);
        assert_eq!(daemon.phase(OLD), Some(Phase::Stopping));
        daemon.runs(OTHER, files[1]);
        daemon.ends(OLD);
        daemon.starts(OLD);
        // One of them is removed, and the other one comes back from a failure at once.
        daemon.vanishes(OLD);
        daemon.ends(NEW);
        assert!(daemon.is_asked_for(NEW) && daemon.waits.is_empty(), "{files:?} {:?}", daemon.waits);
    }
}

/// A link that is made anew under another name leads to the file that the old one led to.
#[test]
fn a_link_made_anew_waits_unless_its_target_is_a_template() {
    let mut daemon = Daemon::new();
    daemon.runs(OLD, link(2, 1));
    daemon.vanishes(OLD);
    daemon.read(NEW, link(3, 1));
    assert!(!daemon.is_asked_for(NEW));
    let mut daemon = Daemon::new();
    daemon.runs(OLD, link(2, 1));
    daemon.runs(OTHER, link(4, 1));
    daemon.vanishes(OLD);
    daemon.read(NEW, link(3, 1));
    assert!(daemon.is_asked_for(NEW), "others go on with it");
    daemon.read(3, link(2, 1));
    assert!(!daemon.is_asked_for(3), "the link itself was renamed");
}

/// The number of a removed file is given to the next one.
#[test]
fn another_file_with_the_number_of_the_removed_one_waits_for_nothing() {
    let mut daemon = Daemon::new();
    daemon.runs(OLD, file(1));
    daemon.vanishes(OLD);
    let inode = InodeId { made: Some((7, 0)), ..file(1).entry };
    daemon.read(NEW, FileId { entry: inode, target: inode });
    assert!(daemon.is_asked_for(NEW));
}

/// An editor's rename: another file under the same name.
#[test]
fn another_file_under_the_same_name_is_a_change() {
    let mut daemon = Daemon::new();
    daemon.runs(OLD, file(1));
    daemon.read_as(OLD, file(2), 1, true);
    assert_eq!(daemon.phase(OLD), Some(Phase::Stopping));
    daemon.ends(OLD);
    assert!(daemon.is_asked_for(OLD) && daemon.waits.is_empty());
    // What it was before is a vassal of its own now: its life with that file is over.
    daemon.read(NEW, file(1));
    assert!(daemon.is_asked_for(NEW));
}

/// The same text in a new file is no change; renamed then, it is the new file that is known again.
#[test]
fn the_newest_file_is_the_one_that_is_known_again() {
    let mut daemon = Daemon::new();
    daemon.runs(OLD, file(1));
    daemon.read_as(OLD, file(2), 0, false);
    daemon.vanishes(OLD);
    daemon.read(NEW, file(2));
    assert!(!daemon.is_asked_for(NEW));
}

#[test]
fn a_file_renamed_over_another_one_waits_with_its_next_life() {
    let mut daemon = Daemon::new();
    daemon.runs(OLD, file(1));
    daemon.read_as(NEW, file(2), 1, true);
    daemon.starts(NEW);
    daemon.vanishes(OLD);
    daemon.read(NEW, file(1));
    daemon.ends(NEW);
    assert!(!daemon.is_asked_for(NEW), "its own end is not the other one's");
    daemon.ends(OLD);
    assert!(daemon.is_asked_for(NEW));
}

#[test]
fn files_that_change_places_wait_for_both() {
    let mut daemon = Daemon::new();
    daemon.runs(OLD, file(1));
    daemon.read_as(NEW, file(2), 1, true);
    daemon.starts(NEW);
    daemon.read_as(OLD, file(2), 1, true);
    daemon.read_as(NEW, file(1), 0, true);
    daemon.ends(OLD);
    assert!(!daemon.is_asked_for(OLD));
    daemon.ends(NEW);
    assert!(daemon.is_asked_for(OLD) && daemon.is_asked_for(NEW));
}

/// The clone of the new name was under way with another file.
#[test]
fn a_clone_under_way_is_no_way_around() {
    let mut daemon = Daemon::new();
    daemon.runs(OLD, file(1));
    daemon.read_as(NEW, file(2), 1, true);
    daemon.vanishes(OLD);
    daemon.read(NEW, file(1));
    daemon.spawned(NEW);
    assert_eq!(daemon.phase(NEW), Some(Phase::Killing));
    daemon.ends(NEW);
    assert!(!daemon.is_asked_for(NEW));
    daemon.ends(OLD);
    assert!(daemon.is_asked_for(NEW));
}

#[test]
fn another_owners_vassal_is_not_named() {
    let mut daemon = Daemon::new();
    for (vassal, uid) in [(OLD, 1001), (NEW, 1002)] {
        let config = specs::owned(uid, specs::config(0, 1)).into();
        let vassal_name = specs::name(vassal);
        daemon.feed(Event::Config { vassal: vassal_name, config, directory: "/v".into(), touched: true, file: Some(file(1)) });
        if vassal == OLD {
            daemon.starts(OLD);
            daemon.vanishes(OLD);
        }
    }
    assert_eq!(daemon.waits_for(NEW, 1002).as_deref(), Some("another vassal"));
    assert_eq!(daemon.waits_for(NEW, ROOT).as_deref(), Some(&*specs::name(OLD)));
    let note = Note::WaitsFor { vassal: specs::name(NEW), other: specs::name(OLD) };
    assert_eq!(daemon.emperor.audience(&note), Some(None));
}

#[test]
fn the_end_of_the_daemon_waits_for_nobody_who_waits() {
    let mut daemon = renamed();
    daemon.feed(Event::Asked(Request::Shutdown));
    assert_eq!(daemon.phase(NEW), None);
    daemon.ends(OLD);
    assert!(!daemon.is_asked_for(NEW));
}
