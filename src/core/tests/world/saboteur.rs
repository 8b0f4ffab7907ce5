//! Cores broken on purpose, one for each named invariant: the same machine, but something of what it hears or says is bent.
//! A property test that lets one of them pass would prove nothing.

use liege_core::{Action, Answer, Emperor, Event, Note, Order, ROOT, Request, Time, View};

use liege_plan::{AppWord, FromInit};
use liege_spec::VassalConfig;

use super::Machine;
use super::specs::MAX_THROTTLE;

#[derive(Clone, Copy, Debug)]
pub enum Sabotage {
    /// Starts a second life beside the first.
    SpawnsTwice,
    /// Kills whoever has just been reaped.
    KillsTheReaped,
    /// Starts one more when it is told to end.
    SpawnsInShutdown,
    /// Does not hear that a file is gone.
    DeafToVanished,
    /// Never lets go of a life that is over.
    ReleasesNothing,
    /// Sleeps through its deadlines.
    SleepsThroughDeadlines,
    /// Forgives every failure at once.
    ForgivesEverything,
    /// Leaves as soon as it is asked to.
    QuitsAtOnce,
    /// Takes a mistake for a removal.
    MistakesAreRemovals,
    /// Takes a file that was only read again for one that was touched.
    TakesAReadingForATouch,
    /// Forgets what was to start.
    LosesFiles,
    /// Takes a touch of a stopped one for a start.
    TakesATouchForAStart,
    /// Leaves whoever asks without an answer.
    SaysNothing,
    /// Does not hear a start.
    DeafToStarts,
    /// Forgets the failures of one that has served a request.
    TakesLoyalForSteady,
    /// Tells a delay for every failure.
    NeverForgets,
    /// Takes what the host lacks for the vassal's own failure.
    ChargesShortages,
    /// Takes the vassals of all owners for one owner's.
    TakesAllForOneOwner,
    /// Leaves behind whatever it kills.
    LeavesBehindAtOnce,
    /// Waits for ever for what does not die.
    LeavesNothingBehind,
}

pub struct Saboteur {
    inner: Emperor,
    how: Sabotage,
}

impl Saboteur {
    pub fn new(inner: Emperor, how: Sabotage) -> Self {
        Self { inner, how }
    }
}

impl Machine for Saboteur {
    fn handle(&mut self, now: Time, event: Event) -> Vec<Action> {
        match (self.how, event) {
            (Sabotage::SpawnsTwice, event) => {
                let mut actions = self.inner.handle(now, event);
                if let Some(Action::Spawn { vassal, birth, namespaces, cgroups, log_to, owner, points, watches }) =
                    actions.iter().find(|a| matches!(a, Action::Spawn { .. })).cloned()
                {
                    let birth = birth + 1_000_000;
                    actions.push(Action::Spawn { vassal, birth, namespaces, cgroups, log_to, owner, points, watches });
                }
                actions
            }
            (Sabotage::KillsTheReaped, Event::Exited { vassal, birth, exit }) => {
                let mut actions = self.inner.handle(now, Event::Exited { vassal: vassal.clone(), birth, exit });
                actions.push(Action::Kill { vassal, birth });
                actions
            }
            (Sabotage::SpawnsInShutdown, Event::Asked(Request::Shutdown)) => {
                let mut actions = self.inner.handle(now, Event::Asked(Request::Shutdown));
                let namespaces = liege_spec::Namespaces::default();
                actions.push(Action::Spawn {
                    vassal: "late.ini".into(),
                    birth: 999_999,
                    namespaces,
                    cgroups: liege_spec::Cgroups::default(),
                    log_to: liege_spec::LogTo::default(),
                    owner: None,
                    points: Vec::new(),
                    watches: false,
                });
                actions
            }
            (Sabotage::DeafToVanished, Event::Vanished { .. })
            | (Sabotage::SleepsThroughDeadlines, Event::Deadline)
            | (Sabotage::LosesFiles, Event::Config { .. }) => Vec::new(),
            (Sabotage::ReleasesNothing, event) => {
                let mut actions = self.inner.handle(now, event);
                actions.retain(|a| !matches!(a, Action::Release { .. }));
                actions
            }
            (Sabotage::ForgivesEverything, event) => {
                let mut actions = self.inner.handle(now, Event::Asked(Request::Each { order: Order::Clear, by: ROOT }));
                actions.retain(|action| !matches!(action, Action::Answer(_)));
                actions.extend(self.inner.handle(now, event));
                actions
            }
            (Sabotage::QuitsAtOnce, Event::Asked(Request::Shutdown)) => vec![Action::Quit],
            (Sabotage::MistakesAreRemovals, Event::BadConfig { vassal, .. }) => {
                self.inner.handle(now, Event::Vanished { vassal })
            }
            (Sabotage::TakesAReadingForATouch, Event::Config { vassal, config, directory, file, .. }) => {
                self.inner.handle(now, Event::Config { vassal, config, directory, touched: true, file })
            }
            (Sabotage::TakesATouchForAStart, Event::Config { vassal, config, directory, touched: true, file }) => {
                let start = Request::One { vassal: vassal.clone(), order: Order::Start, by: ROOT };
                let mut actions = self.inner.handle(now, Event::Asked(start));
                actions.retain(|action| !matches!(action, Action::Answer(_)));
                actions.extend(self.inner.handle(now, Event::Config { vassal, config, directory, touched: true, file }));
                actions
            }
            (Sabotage::SaysNothing, event) => {
                let mut actions = self.inner.handle(now, event);
                actions.retain(|action| !matches!(action, Action::Answer(_)));
                actions
            }
            (Sabotage::DeafToStarts, Event::Asked(Request::One { order: Order::Start, .. })) => {
                vec![Action::Answer(Answer::Done)]
            }
            (Sabotage::TakesLoyalForSteady, Event::Reported { vassal, birth, report: FromInit::Said(AppWord::Loyal) }) => {
                let clear = Request::One { vassal: vassal.clone(), order: Order::Clear, by: ROOT };
                let mut actions = self.inner.handle(now, Event::Asked(clear));
                actions.retain(|action| !matches!(action, Action::Answer(_)));
                let report = FromInit::Said(AppWord::Loyal);
                actions.extend(self.inner.handle(now, Event::Reported { vassal, birth, report }));
                actions
            }
            (Sabotage::NeverForgets, event) => {
                let mut actions = self.inner.handle(now, event);
                for action in &mut actions {
                    if let Action::Note(Note::Ended { again_in: Some(delay), .. }) = action {
                        *delay = (*delay).max(MAX_THROTTLE);
                    }
                }
                actions
            }
            (Sabotage::LeavesBehindAtOnce, event) => {
                let mut actions = self.inner.handle(now, event);
                let killed = actions.iter().find_map(|action| match action {
                    Action::Kill { vassal, birth } => Some((vassal.clone(), *birth)),
                    _ => None,
                });
                actions.extend(killed.map(|(vassal, birth)| Action::LeaveBehind { vassal, birth, found: Vec::new() }));
                actions
            }
            (Sabotage::LeavesNothingBehind, event) => {
                let mut actions = self.inner.handle(now, event);
                actions.retain(|action| !matches!(action, Action::LeaveBehind { .. }));
                actions
            }
            (Sabotage::TakesAllForOneOwner, Event::Config { vassal, config, directory, touched, file }) => {
                let config = super::specs::owned(1, VassalConfig::clone(&config)).into();
                self.inner.handle(now, Event::Config { vassal, config, directory, touched, file })
            }
            (Sabotage::ChargesShortages, Event::SpawnFailed { vassal, birth, stage, errno, .. }) => {
                self.inner.handle(now, Event::SpawnFailed { vassal, birth, stage, errno, own_bound: true })
            }
            (_, event) => self.inner.handle(now, event),
        }
    }

    fn next_deadline(&self) -> Option<Time> {
        self.inner.next_deadline()
    }

    fn view(&self, now: Time) -> View {
        self.inner.view(now)
    }
}
