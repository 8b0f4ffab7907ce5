//! An init that was killed and cannot be reaped, because something in its namespace hangs in the kernel, does not hold up the end of the
//! daemon. All others keep the time they have, and while the daemon rules it is waited for.

#[path = "world/specs.rs"]
#[allow(unreachable_pub, reason = "shared with the invariants, where it is a room of its own")]
mod specs;

use std::time::Duration;

use liege_core::{Action, Emperor, Event, Name, Note, Order, Phase, ROOT, Request, Time};
use liege_plan::{Exit, FromInit};

const SECOND: Duration = Duration::from_secs(1);
const CAT: &str = "cat (pid 9, state D, in request_wait_answer)";
/// After its SIGKILL.
const IS_STUCK: Duration = Duration::from_secs(10);
const LINGERS: Duration = Duration::from_secs(30);

/// A daemon with two vassals that run.
struct Daemon {
    emperor: Emperor,
    now: Time,
    /// What holds up the end of the first one; None: nobody can find it out.
    found: Option<(Vec<String>, bool)>,
    actions: Vec<(Time, Action)>,
}

impl Daemon {
    fn new(found: Option<(&str, bool)>) -> Self {
        let found = found.map(|(what, is_stuck)| (vec![what.to_owned()], is_stuck));
        let emperor = Emperor::new(&specs::emperor(), 2, specs::LIMITS);
        let mut daemon = Self { emperor, now: Time(1_000_000), found, actions: Vec::new() };
        for (vassal, birth) in [(0, 1), (1, 2)] {
            let (vassal, config) = (specs::name(vassal), specs::config(0, 1).into());
            daemon.hears(Event::Config { vassal: vassal.clone(), config, directory: "/v".into(), touched: true, file: None });
            daemon.hears(Event::Spawned { vassal: vassal.clone(), birth, pid: 2 });
            daemon.hears(Event::Reported { vassal, birth, report: FromInit::Started { pid: 2 } });
        }
        daemon
    }

    fn hears(&mut self, event: Event) {
        let actions = self.emperor.handle(self.now, event);
        for action in actions {
            self.actions.push((self.now, action.clone()));
            if let (Action::Examine { vassal, birth }, Some((found, is_stuck))) = (action, self.found.clone()) {
                self.hears(Event::Examined { vassal, birth, found, is_stuck });
            }
        }
    }

    fn shuts_down(&mut self) -> Time {
        self.hears(Event::Asked(Request::Shutdown));
        self.now
    }

    fn passes(&mut self, span: Duration) {
        let until = self.now + span;
        while let Some(at) = self.emperor.next_deadline().filter(|at| *at <= until) {
            self.now = at;
            self.hears(Event::Deadline);
        }
        self.now = until;
    }

    fn exits(&mut self, vassal: u8) {
        let birth = u64::from(vassal) + 1;
        self.hears(Event::Exited { vassal: specs::name(vassal), birth, exit: Exit::Signal(9) });
    }

    /// When these were left behind, and with what words.
    fn left(&self) -> Vec<(Time, Name, Vec<String>)> {
        let left = |(at, action): &(Time, Action)| match action {
            Action::LeaveBehind { vassal, found, .. } => Some((*at, vassal.clone(), found.clone())),
            _ => None,
        };
        self.actions.iter().filter_map(left).collect()
    }

    fn killed(&self, vassal: u8) -> Option<Time> {
        let is_it = |action: &Action| matches!(action, Action::Kill { vassal: of, .. } if *of == specs::name(vassal));
        self.actions.iter().find(|(_, action)| is_it(action)).map(|(at, _)| *at)
    }

    fn has_quit(&self) -> bool {
        self.actions.iter().any(|(_, action)| *action == Action::Quit)
    }
}

fn stop_timeout() -> Duration {
    specs::config(0, 1).fresh.timeouts.stop
}

#[test]
fn what_hangs_is_left_behind_and_named() {
    let mut daemon = Daemon::new(Some((CAT, true)));
    let asked = daemon.shuts_down();
    daemon.exits(1);
    daemon.passes(stop_timeout() + IS_STUCK - SECOND);
    assert!(daemon.left().is_empty(), "it may yet die");
    daemon.passes(10 * LINGERS);
    let left = (asked + stop_timeout() + IS_STUCK, specs::name(0), vec![CAT.to_owned()]);
    assert_eq!(daemon.left(), [left], "once");
    assert!(!daemon.has_quit(), "its task ends first");
    daemon.exits(0);
    assert!(daemon.has_quit());
}

#[test]
fn one_that_dies_slowly_is_waited_for_and_one_of_which_nothing_is_known_too() {
    for found in [Some(("java (pid 9, state R)", false)), None] {
        let mut daemon = Daemon::new(found);
        let asked = daemon.shuts_down();
        daemon.exits(1);
        daemon.passes(stop_timeout() + LINGERS - SECOND);
        assert!(daemon.left().is_empty());
        daemon.passes(SECOND);
        assert_eq!(daemon.left().into_iter().map(|(at, ..)| at).collect::<Vec<_>>(), [asked + stop_timeout() + LINGERS]);
    }
}

#[test]
fn all_others_keep_their_time() {
    let mut daemon = Daemon::new(Some((CAT, true)));
    daemon.hears(Event::Asked(Request::One { vassal: specs::name(0), order: Order::Stop, by: ROOT }));
    daemon.passes(stop_timeout() + LINGERS);
    let asked = daemon.shuts_down();
    daemon.passes(IS_STUCK);
    assert_eq!(daemon.left().len(), 1, "it was killed long ago");
    daemon.exits(0);
    assert!(!daemon.has_quit());
    daemon.hears(Event::Reported {
        vassal: specs::name(1),
        birth: 2,
        report: FromInit::Saving { waits_for: vec!["fuse-zip (pid 7) of /app".into()] },
    });
    daemon.passes(stop_timeout().saturating_sub(IS_STUCK + SECOND));
    assert_eq!(daemon.killed(1), None, "it saves");
    daemon.passes(LINGERS);
    assert!(daemon.killed(1).is_some_and(|at| at >= asked + stop_timeout()));
    daemon.exits(1);
    assert!(daemon.has_quit());
}

#[test]
fn while_the_daemon_rules_it_is_waited_for_and_shown() {
    let mut daemon = Daemon::new(Some((CAT, true)));
    daemon.hears(Event::Asked(Request::One { vassal: specs::name(0), order: Order::Restart, by: ROOT }));
    daemon.passes(10 * LINGERS);
    let view = daemon.emperor.view(daemon.now);
    assert_eq!((view.vassals[0].phase, &*view.vassals[0].leftovers), (Phase::Killing, &[CAT.to_owned()][..]));
    assert!(daemon.left().is_empty());
    let held_up = |(_, action): &&(Time, Action)| matches!(action, Action::Note(Note::HeldUp { .. }));
    assert_eq!(daemon.actions.iter().filter(held_up).count(), 1, "told once");
}
