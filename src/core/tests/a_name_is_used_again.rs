//! A file is given to another user: what was of the former one's is told to him and root, and to nobody else.

#[path = "world/specs.rs"]
#[allow(unreachable_pub, reason = "shared with the invariants, where it is a room of its own")]
mod specs;

use std::time::Duration;

use liege_core::{Action, Emperor, Event, Phase, Time, VassalView};
use liege_plan::{Exit, FromInit};
use liege_spec::{Asked, Identity, Origin, VassalConfig};

fn of(uid: u32) -> VassalConfig {
    let at = Origin { file: "app.ini".into(), line: 2, column: 1, key: "uid".into() };
    let mut config = specs::config(0, 1);
    let identity = Identity { uid, gid: uid, groups: Vec::new() };
    config.fresh.jail.identity = Some(Asked::new(identity, at));
    config.again.jail.identity.clone_from(&config.fresh.jail.identity);
    config
}

struct Daemon {
    emperor: Emperor,
    now: Time,
    birth: u64,
    /// The kinds of notes, each with who may hear of it.
    heard: Vec<(&'static str, Option<u32>)>,
}

impl Daemon {
    /// Her vassal runs.
    fn with_hers() -> Self {
        let emperor = Emperor::new(&specs::emperor(), 2, specs::LIMITS);
        let mut daemon = Self { emperor, now: Time(0), birth: 0, heard: Vec::new() };
        daemon.write(1001);
        daemon.born();
        daemon
    }

    fn feed(&mut self, event: Event) {
        self.now = self.now + Duration::from_millis(1);
        for action in self.emperor.handle(self.now, event) {
            match action {
                Action::Spawn { birth, .. } => self.birth = birth,
                Action::Note(note) => self.heard.push((note.kind(), self.emperor.audience(&note).flatten())),
                _ => {}
            }
        }
    }

    fn write(&mut self, uid: u32) {
        self.feed(Event::Config {
            vassal: specs::name(0),
            config: of(uid).into(),
            directory: "/v".into(),
            touched: true,
            file: None,
        });
    }

    fn born(&mut self) {
        self.feed(Event::Spawned { vassal: specs::name(0), birth: self.birth, pid: 9 });
        self.feed(Event::Reported { vassal: specs::name(0), birth: self.birth, report: FromInit::Started { pid: 2 } });
    }

    fn dies(&mut self) {
        self.feed(Event::Exited { vassal: specs::name(0), birth: self.birth, exit: Exit::Code(3) });
    }

    fn view(&self) -> VassalView {
        self.emperor.view(self.now).vassals.remove(0)
    }
}

#[test]
fn the_life_is_hers_to_its_end_and_what_comes_is_his() {
    let mut daemon = Daemon::with_hers();
    daemon.heard.clear();
    daemon.write(1002);
    assert_eq!((daemon.view().owner, daemon.view().phase), (Some(1001), Phase::Stopping));
    daemon.dies();
    daemon.born();
    let [hers, his] = [1001, 1002].map(Some);
    // What makes the rebuild quotes his file, and tells of her vassal.
    assert_eq!(daemon.heard, [("rebuilding", None), ("stopping", hers), ("ended", hers), ("started", his)]);
    assert_eq!(daemon.view().owner, his);
}

#[test]
fn the_next_owner_begins_anew() {
    let mut daemon = Daemon::with_hers();
    daemon.dies();
    assert_eq!(daemon.view().restarts, [("exit".to_owned(), 1)]);
    daemon.feed(Event::LeftBehind { vassal: specs::name(0), found: vec!["secret (pid 7)".into()] });
    assert_eq!(daemon.view().leftovers, ["secret (pid 7)"]);
    daemon.born();
    daemon.write(1002);
    daemon.dies();
    daemon.heard.clear();
    let view = daemon.view();
    assert_eq!((view.owner, view.last_cause, view.last_end, view.restarts), (Some(1002), None, None, Vec::new()));
    assert_eq!(view.leftovers, ["1 of a former owner's processes"]);
    daemon.feed(Event::LeftBehind { vassal: specs::name(0), found: vec!["secret (pid 8)".into()] });
    assert_eq!(daemon.heard, [("left_behind", None)]);
    daemon.born();
    daemon.dies();
    assert_eq!(daemon.view().restarts, [("exit".to_owned(), 1)], "his own he is told of");
    assert_eq!(daemon.view().leftovers, ["1 of a former owner's processes"]);
}

#[test]
fn a_birth_for_one_is_no_life_of_the_other() {
    let mut daemon =
        Daemon { emperor: Emperor::new(&specs::emperor(), 2, specs::LIMITS), now: Time(0), birth: 0, heard: Vec::new() };
    daemon.write(1001);
    daemon.write(1002); // its log was opened for her
    daemon.born();
    assert_eq!(daemon.view().phase, Phase::Killing);
}
