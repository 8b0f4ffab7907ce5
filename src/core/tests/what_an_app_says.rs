//! Lines of an app that say more than that it runs: a reason for its end, a doubt while it runs.

#[path = "world/specs.rs"]
#[allow(unreachable_pub, dead_code, reason = "shared with the invariants, where it is a room of its own")]
mod specs;

use std::time::Duration;

use liege_core::{Action, Emperor, Event, Note, Time};
use liege_plan::{Exit, FromInit, Notice};

struct Running(Emperor, Time);

impl Running {
    fn new() -> Self {
        let mut running = Self(Emperor::new(&specs::emperor(), 2, specs::LIMITS), Time(0));
        let config = specs::config(0, 0).into();
        running.feed(Event::Config { vassal: specs::name(0), config, directory: "/v".into(), touched: true });
        running.feed(Event::Spawned { vassal: specs::name(0), birth: 1, pid: 2 });
        running.report(FromInit::Started { pid: 2 });
        running
    }

    fn feed(&mut self, event: Event) -> Vec<Action> {
        self.1 = self.1 + Duration::from_millis(1);
        self.0.handle(self.1, event)
    }

    fn report(&mut self, report: FromInit) -> Vec<Action> {
        self.feed(Event::Reported { vassal: specs::name(0), birth: 1, report })
    }

    fn says(&mut self, notice: Notice, line: &str) -> Vec<Action> {
        self.report(FromInit::Noticed { notice, line: line.into() })
    }

    fn doubt(&self) -> Option<String> {
        self.0.view(self.1).vassals[0].doubt.clone()
    }

    fn ends_by(&mut self, exit: Exit) -> String {
        self.report(FromInit::AppExited { exit });
        self.feed(Event::Exited { vassal: specs::name(0), birth: 1, exit });
        self.0.view(self.1).vassals[0].last_failure.clone().map(|failure| failure.cause).unwrap_or_default()
    }
}

#[test]
fn an_app_that_failed_and_said_that_an_address_is_taken_has_failed_of_that() {
    for (exit, cause) in [(Exit::Code(1), "address_in_use"), (Exit::Code(0), "exit"), (Exit::Signal(9), "signal")] {
        let mut vassal = Running::new();
        assert!(vassal.says(Notice::AddressInUse, "bind(): Address already in use").is_empty(), "no doubt of one that runs");
        assert_eq!(vassal.ends_by(exit), cause);
    }
}

#[test]
fn a_doubt_is_told_once_and_ends_with_the_run() {
    let mut vassal = Running::new();
    let told = vassal.says(Notice::NoApp, "*** no app loaded ***");
    assert!(matches!(&told[..], [Action::Note(Note::Doubtful { what, .. })] if what.contains("no app loaded")), "{told:?}");
    assert!(vassal.says(Notice::NoApp, "*** no app loaded ***").is_empty());
    assert!(vassal.doubt().is_some_and(|doubt| doubt.starts_with("it may serve nothing")));
    vassal.report(FromInit::Started { pid: 2 });
    assert_eq!(vassal.doubt(), None, "a new app");
}
