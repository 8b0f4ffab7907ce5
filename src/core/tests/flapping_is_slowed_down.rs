//! A vassal that fails over and over, however long it runs in between, is slowed down, shown as flapping, and given up where that was
//! asked for. One that fails now and then is back at once. In virtual time.

#[path = "world/specs.rs"]
#[allow(unreachable_pub, reason = "shared with the invariants, where it is a room of its own")]
mod specs;

use std::time::Duration;

use liege_core::{Action, Emperor, Event, Health, Mounted, Note, Order, Phase, Probed, ROOT, Request, Time, VassalView};
use liege_plan::{Exit, FromInit};
use liege_spec::VassalConfig;

/// One vassal of a program; births succeed at once.
struct Life {
    emperor: Emperor,
    now: Time,
    birth: u64,
    started: Option<Time>,
    notes: Vec<Note>,
}

impl Life {
    fn new() -> Self {
        Self::with(specs::config(0, 1))
    }

    fn with(config: VassalConfig) -> Self {
        let emperor = Emperor::new(&specs::emperor(), 2, specs::LIMITS);
        let mut life = Self { emperor, now: Time(0), birth: 0, started: None, notes: Vec::new() };
        life.write(config, true);
        life
    }

    fn write(&mut self, config: VassalConfig, touched: bool) {
        self.feed(Event::Config { vassal: specs::name(0), config: config.into(), directory: "/v".into(), touched, file: None });
    }

    fn feed(&mut self, event: Event) {
        for action in self.emperor.handle(self.now, event) {
            match action {
                Action::Spawn { vassal, birth, .. } => {
                    self.birth = birth;
                    self.started = Some(self.now);
                    self.feed(Event::Spawned { vassal: vassal.clone(), birth, pid: 9 });
                    self.feed(Event::Reported { vassal: vassal.clone(), birth, report: FromInit::Started { pid: 2 } });
                    self.probed(Health::Healthy);
                }
                Action::Kill { vassal, birth } => self.feed(Event::Exited { vassal, birth, exit: Exit::Signal(9) }),
                Action::Note(note) => self.notes.push(note),
                _ => {}
            }
        }
    }

    fn probed(&mut self, health: Health) {
        let mount = Some(Mounted { id: 7, device: (0, 50), is_root: true, ..Mounted::default() });
        let probed = Probed { mount, ..Probed::of(health) };
        self.feed(Event::Probed { vassal: specs::name(0), birth: self.birth, path: "/app".into(), probed });
    }

    fn passes(&mut self, span: Duration) {
        let until = self.now + span;
        while let Some(at) = self.emperor.next_deadline().filter(|at| *at <= until) {
            self.now = at;
            self.feed(Event::Deadline);
        }
        self.now = until;
    }

    /// It runs for so long and ends: how long until it runs again, in seconds. None: it was given up.
    fn fails_after(&mut self, millis: u64) -> Option<u64> {
        self.passes(Duration::from_millis(millis));
        let (vassal, birth) = (specs::name(0), self.birth);
        self.started = None;
        let ended = self.now;
        let exit = Exit::Code(3);
        self.feed(Event::Reported { vassal: vassal.clone(), birth, report: FromInit::AppExited { exit, said: None } });
        self.feed(Event::Exited { vassal, birth, exit });
        while self.started.is_none() && self.vassal().phase == Phase::Waiting {
            let next = self.emperor.next_deadline().unwrap();
            self.passes(next - self.now);
        }
        self.started.map(|started| (started - ended).as_secs())
    }

    fn vassal(&self) -> VassalView {
        self.emperor.view(self.now).vassals[0].clone()
    }

    fn order(&mut self, order: Order) {
        self.feed(Event::Asked(Request::One { vassal: specs::name(0), order, by: ROOT }));
    }

    fn told(&self, kind: &str) -> usize {
        self.notes.iter().filter(|note| note.kind() == kind).count()
    }
}

fn limited(limit: u32) -> VassalConfig {
    let mut config = specs::config(0, 1);
    config.fresh.restarts.start_limit = Some(limit);
    config
}

#[test]
fn an_app_that_lives_a_little_longer_than_a_second_is_slowed_down() {
    let mut life = Life::new();
    let delays: Vec<_> = (0..13).map(|_| life.fails_after(1200)).collect();
    assert_eq!(delays, [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 180].map(Some));
    let flapping = life.vassal().flapping.expect("it is flapping while it runs");
    assert_eq!((flapping.failures, life.told("flapping"), life.vassal().state()), (13, 1, "flapping"));
}

#[test]
fn one_run_as_long_as_the_window_ends_it() {
    let mut life = Life::new();
    (0..6).for_each(|_| _ = life.fails_after(1200));
    life.passes(Duration::from_secs(299));
    assert!(life.vassal().flapping.is_some());
    life.passes(Duration::from_secs(1));
    assert_eq!((life.vassal().flapping, life.told("steady")), (None, 1));
    assert_eq!((0..4).map(|_| life.fails_after(1200)).collect::<Vec<_>>(), [Some(0); 4]);
}

#[test]
fn a_mount_that_dies_a_few_times_a_day_is_back_at_once() {
    let mut life = Life::new();
    for _ in 0..50 {
        life.passes(Duration::from_secs(3600));
        life.started = None;
        life.probed(Health::Dead { errno: 107 });
        assert_eq!(life.started, Some(life.now));
    }
    assert_eq!(life.told("flapping"), 0);
}

#[test]
fn orders_and_changes_are_no_failures() {
    let mut life = Life::new();
    for _ in 0..20 {
        life.order(Order::Restart);
        let (vassal, birth) = (specs::name(0), life.birth);
        life.feed(Event::Exited { vassal, birth, exit: Exit::Code(0) });
        life.passes(Duration::from_secs(1));
    }
    assert!(life.vassal().flapping.is_none() && life.vassal().phase == Phase::Running);
}

#[test]
fn with_a_start_limit_it_is_given_up_and_says_so() {
    let mut life = Life::with(limited(6));
    let delays: Vec<_> = (0..6).map(|_| life.fails_after(1200)).collect();
    assert_eq!(delays, [Some(0), Some(0), Some(0), Some(0), Some(1), None]);
    life.passes(Duration::from_secs(100_000));
    let vassal = life.vassal();
    assert_eq!((vassal.phase, vassal.gave_up, vassal.state()), (Phase::Suspended, true, "gave_up"));
    assert!(vassal.flapping.is_none() && life.told("gave_up") == 1);
    assert!(life.notes.iter().any(|note| note.to_string().ends_with("not tried again")), "{:?}", life.notes);
    life.write(limited(6), false);
    assert!(life.vassal().gave_up, "it was only read again");
}

#[test]
fn a_word_or_a_change_begins_anew() {
    let words: [&dyn Fn(&mut Life); 5] = [
        &|life| life.order(Order::Start),
        &|life| life.order(Order::Clear),
        &|life| life.order(Order::Restart),
        &|life| life.write(limited(2), true),
        &|life| life.write(limited(4), true),
    ];
    for (n, word) in words.into_iter().enumerate() {
        let mut life = Life::with(limited(2));
        life.fails_after(1200);
        life.fails_after(1200);
        assert!(life.vassal().gave_up);
        word(&mut life);
        assert_eq!((life.vassal().phase, life.vassal().gave_up), (Phase::Running, false), "word {n}");
        assert_eq!(life.fails_after(1200), Some(0), "word {n}");
    }
}

#[test]
fn a_stop_of_one_that_was_given_up_is_a_stop() {
    let mut life = Life::with(limited(1));
    life.fails_after(1200);
    life.order(Order::Reload);
    assert!(life.vassal().gave_up);
    life.order(Order::Stop);
    assert!(!life.vassal().gave_up);
    life.write(limited(2), true);
    assert_eq!(life.vassal().phase, Phase::Suspended, "a change of its file is no start");
    life.order(Order::Start);
    assert_eq!(life.vassal().phase, Phase::Running);
}
