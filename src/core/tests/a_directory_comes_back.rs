//! While a vassals' directory is away nothing can be started in it. When it is back nothing waits any longer for that. In virtual time.

#[path = "world/specs.rs"]
#[allow(unreachable_pub, reason = "shared with the invariants, where it is a room of its own")]
mod specs;

use std::time::Duration;

use liege_core::{Action, Emperor, Event, Phase, Time};
use liege_plan::{Exit, FromInit, Place};

struct Life {
    emperor: Emperor,
    now: Time,
    /// Its directory is away: a birth fails.
    is_away: bool,
}

impl Life {
    fn feed(&mut self, event: Event) {
        for action in self.emperor.handle(self.now, event) {
            let Action::Spawn { vassal, birth, .. } = action else { continue };
            self.feed(Event::Spawned { vassal: vassal.clone(), birth, pid: 100 });
            let detail = "chdir /v: the directory of the vassal's file".into();
            let failed = FromInit::Failed { at: Place::Init, errno: 2, detail, fatal: true };
            let report = if self.is_away { failed } else { FromInit::Started { pid: 2 } };
            self.feed(Event::Reported { vassal: vassal.clone(), birth, report });
            if self.is_away {
                self.feed(Event::Exited { vassal, birth, exit: Exit::Code(1) });
            }
        }
    }

    fn passes(&mut self, seconds: u64) {
        let until = self.now + Duration::from_secs(seconds);
        while let Some(at) = self.emperor.next_deadline().filter(|at| *at <= until) {
            self.now = at;
            self.feed(Event::Deadline);
        }
        self.now = until;
    }

    fn phase(&self) -> Phase {
        self.emperor.view(self.now).vassals[0].phase
    }

    /// Two vassals' directories; the vassal's is away and fails for so long.
    fn away_for(seconds: u64) -> Self {
        let emperor = Emperor::new(&specs::emperor(), 2, specs::LIMITS);
        let mut life = Self { emperor, now: Time(0), is_away: true };
        for directory in ["/v", "/other"] {
            let (directory, why) = (directory.into(), "it is gone".into());
            life.feed(Event::DirectoryHeld { directory, vassals: 1, why, believed_in: None });
        }
        let (vassal, config) = (specs::name(0), specs::config(0, 1).into());
        life.feed(Event::Config { vassal, config, directory: "/v".into(), touched: true, file: None });
        life.passes(seconds);
        assert_eq!(life.phase(), Phase::Waiting);
        life.is_away = false;
        life
    }

    fn comes_back(&mut self, directory: &str) {
        self.feed(Event::DirectoryReleased { directory: directory.into(), believed: false });
    }
}

#[test]
fn what_failed_without_it_starts_at_once() {
    let mut life = Life::away_for(300);
    life.comes_back("/other");
    assert_eq!(life.phase(), Phase::Waiting, "it is another one's");
    life.comes_back("/v");
    assert_eq!(life.phase(), Phase::Running);
    assert_eq!(life.emperor.view(life.now).vassals[0].failures, 0, "that was none of its own");
}
