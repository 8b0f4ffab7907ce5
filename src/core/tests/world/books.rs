//! The world's own books: what the machine must have decided, worked out a second time and more simply.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use liege_core::{Action, Cause, Event, Health, Name, Note, Order, Request, Time};
use liege_plan::{AppWord, FromInit, ToInit};

use super::specs::{MAX_THROTTLE, THROTTLE};

/// So many within this time are no lone failures.
const MANY: usize = 5;
const TOGETHER: Duration = Duration::from_secs(5);

/// So soon after the host has room again a vassal is tried.
const ROOM_IS_SEEN: Duration = Duration::from_secs(5);

/// So many failures within this time are flapping.
const FAILURES: usize = 5;
const WINDOW: Duration = Duration::from_secs(300);

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    AtMostOneLivePidPerVassal(Name),
    NoSignalAfterReap(Name),
    NoSpawnAfterShutdown(Name),
    VanishedConfigEndsInGone(Name),
    GoneOwnsNothing(Name),
    EveryDeadlineFiresOrIsCancelled,
    BackoffGrowsUntilASettledRun(Name),
    DaemonExitsOnlyWhenNoPidLives,
    BadConfigNeverStopsARunningVassal(Name),
    EveryFileHasAVassal(Name),
    ReadingAgainChangesNothing(Name),
    EveryWishIsMetInCalm(Name),
    StoppedStaysDownUntilStarted(Name),
    EveryRequestIsAnsweredOnce,
    ShutdownEndsTheDaemon,
    ALoneFailureIsNeverDelayed(Name),
    FlappingIsSlowedDown(Name),
    ARareFailureIsHealedAtOnce(Name),
    AShortageOfTheHostsIsNoFailure(Name),
    NothingIsLeftBehindThatMayDie(Name),
}

/// One vassal's failures as an onlooker counts them.
#[derive(Clone, Debug, Default)]
struct Failures {
    last_delay: Option<Duration>,
    /// The failures of the last minutes, since anybody's word.
    recent: Vec<Time>,
    /// Since when the present run counts towards a settled one.
    runs_since: Option<Time>,
    /// How long the last one lasted.
    ran: Duration,
    /// Its mount has answered meanwhile.
    answered: bool,
    /// A new text was written that no life has been given yet: the end of the old one is not its failure.
    unread: bool,
}

impl Failures {
    /// The present run ends, by death or by a new app in its place. Lasted it long enough, the failures before it are forgotten.
    fn end_run(&mut self, now: Time) {
        let Some(since) = self.runs_since.take() else { return };
        self.ran = now - since;
        if self.last_delay.is_some_and(|last| self.ran >= THROTTLE.max(last)) {
            self.last_delay = None;
        }
        if self.ran >= WINDOW {
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.last_delay = None;
        self.recent.clear();
    }
}

#[derive(Debug, Default)]
pub struct Books {
    pub shutdown: bool,
    pub released: BTreeSet<u64>,
    /// Whom somebody stopped and nobody has started since.
    pub stopped: BTreeSet<Name>,
    failures: BTreeMap<Name, Failures>,
    written: BTreeMap<Name, std::sync::Arc<liege_spec::VassalConfig>>,
    /// Mounts that were lost in the last seconds: when, by which vassal, of which owner.
    lost: Vec<(Time, Name, u32)>,
    /// The uid of each life's file.
    owners: BTreeMap<Name, u32>,
    /// The event at hand says again what was said before, of a file nobody touched.
    nothing_new: bool,
}

impl Books {
    pub fn before(&mut self, now: Time, event: &Event) {
        self.nothing_new = false;
        match event {
            Event::Asked(request) | Event::ReadAndAsked { request, .. } => self.asked(request),

            Event::Config { vassal, config, touched, .. } => {
                let same = self.written.insert(vassal.clone(), config.clone()).as_ref() == Some(config);
                self.nothing_new = same && !touched;
                // A new text gives a new chance; the old one in another world does not.
                if !same && *touched {
                    let failures = self.failures.entry(vassal.clone()).or_default();
                    failures.forget();
                    failures.unread = true;
                }
            }
            Event::Vanished { vassal } => {
                self.failures.remove(vassal);
                self.written.remove(vassal);
                self.stopped.remove(vassal);
            }
            Event::Reported { vassal, report, .. } => {
                let failures = self.failures.entry(vassal.clone()).or_default();
                match report {
                    FromInit::Started { .. } => {
                        failures.end_run(now);
                        (failures.runs_since, failures.ran, failures.answered) = (Some(now), Duration::ZERO, false);
                    }
                    FromInit::Said(AppWord::Loyal) => failures.last_delay = None,
                    FromInit::Entered { .. }
                    | FromInit::Identified { .. }
                    | FromInit::Walked
                    | FromInit::Kept
                    | FromInit::Failed { .. }
                    | FromInit::Said(_)
                    | FromInit::AppExited { .. }
                    | FromInit::HooksSaid { .. }
                    | FromInit::MountsChanged { .. }
                    | FromInit::Writable { .. }
                    | FromInit::OnHost { .. }
                    | FromInit::Daemon { .. }
                    | FromInit::Saving { .. }
                    | FromInit::Unsaved { .. }
                    | FromInit::Noticed { .. }
                    | FromInit::OrphanDied { .. }
                    | FromInit::OrphansDied { .. } => {}
                }
            }
            // A late answer about a life that is over says nothing of the present one.
            Event::Probed { vassal, birth, probed, .. } if !self.released.contains(birth) => {
                if let Some(failures) = self.failures.get_mut(vassal) {
                    let began = Time(now.0.saturating_sub(probed.micros));
                    let counts = failures.runs_since.is_some_and(|since| began >= since);
                    failures.answered |= counts && probed.health == Health::Healthy && probed.mount.is_some();
                }
            }
            Event::Probed { .. }
            | Event::BadConfig { .. }
            | Event::Unread { .. }
            | Event::Unanswered { .. }
            | Event::Spawned { .. }
            | Event::Mounted { .. }
            | Event::SpawnFailed { .. }
            | Event::Garbled { .. }
            | Event::OomKilled { .. }
            | Event::Exited { .. }
            | Event::Secured { .. }
            | Event::Examined { .. }
            | Event::LeftBehind { .. }
            | Event::Deadline
            | Event::DirectoryHeld { .. }
            | Event::DirectoryReleased { .. }
            | Event::Listening { .. } => {}
        }
    }

    fn asked(&mut self, request: &Request) {
        match request {
            Request::Shutdown => self.shutdown = true,
            Request::One { vassal, order, .. } => self.ordered(vassal, *order),
            Request::Each { order, .. } => {
                let all: Vec<Name> = self.written.keys().cloned().collect();
                // A restart of all is not for those that were stopped.
                let meant = all.iter().filter(|name| *order != Order::Restart || !self.stopped.contains(*name));
                meant.cloned().collect::<Vec<_>>().iter().for_each(|name| self.ordered(name, *order));
            }
            Request::Rescan | Request::Believe => {}
        }
    }

    fn ordered(&mut self, vassal: &Name, order: Order) {
        if !self.written.contains_key(vassal) {
            return; // nobody's name, or one that ends for ever
        }
        let forgives = match order {
            Order::Start | Order::Restart => {
                self.stopped.remove(vassal);
                true
            }
            Order::Clear => true,
            Order::Stop => {
                self.stopped.insert(vassal.clone());
                false
            }
            Order::Reload => false,
        };
        if forgives {
            self.failures.entry(vassal.clone()).or_default().forget();
        }
    }

    pub fn after(&mut self, now: Time, event: &Event, actions: &[Action]) -> Result<(), Broken> {
        if let Event::BadConfig { vassal, .. } = event {
            let harmless = actions.iter().all(|a| matches!(a, Action::Note(Note::BadConfig { .. })));
            if !harmless {
                return Err(Broken::BadConfigNeverStopsARunningVassal(vassal.clone()));
            }
        }
        let answers = actions.iter().filter(|a| matches!(a, Action::Answer(_))).count();
        if answers != usize::from(matches!(event, Event::Asked(_) | Event::ReadAndAsked { .. })) {
            return Err(Broken::EveryRequestIsAnsweredOnce);
        }
        if let Event::Config { vassal, .. } = event
            && self.nothing_new
            && !actions.is_empty()
        {
            return Err(Broken::ReadingAgainChangesNothing(vassal.clone()));
        }
        for action in actions {
            if let Action::Tell { vassal, message: ToInit::Walk(_) | ToInit::Reload(_), .. } = action {
                let failures = self.failures.entry(vassal.clone()).or_default();
                failures.end_run(now);
                failures.unread = false;
                let identity = self.written.get(vassal).and_then(|config| config.fresh.jail.identity.as_ref());
                self.owners.insert(vassal.clone(), identity.map_or(0, |identity| identity.value.uid));
            }
            if let Action::Spawn { vassal, .. } = action {
                self.failures.entry(vassal.clone()).or_default().ran = Duration::ZERO;
            }
            // Whoever reaps it may take a while.
            if let Action::Note(Note::Destroying { vassal, .. }) = action {
                self.failures.entry(vassal.clone()).or_default().end_run(now);
            }
            if let Action::Note(Note::Ended { vassal, cause, again_in: Some(delay), .. }) = action {
                // Where it was killed before, that is the cause.
                let is_short = matches!(event, Event::SpawnFailed { errno: 11, .. }) && cause.to_string().contains("EAGAIN");
                if is_short && (!cause.is_shortage() || *delay > ROOM_IS_SEEN) {
                    return Err(Broken::AShortageOfTheHostsIsNoFailure(vassal.clone()));
                }
                self.ended(now, vassal, cause.is_failure() && !cause.is_shortage(), *delay)?;
                if cause.is_of_mount() {
                    self.lost.retain(|(at, other, _)| now - *at < TOGETHER && other != vassal);
                    self.lost.push((now, vassal.clone(), self.owners.get(vassal).copied().unwrap_or_default()));
                }
            }
        }
        Ok(())
    }

    /// Whether the failure just told is neither one of five vassals of its owner nor one of five owners.
    pub fn is_lone(&self, vassal: &Name, cause: &Cause) -> bool {
        let lost = self.lost.iter().find(|(_, name, _)| name == vassal && cause.is_of_mount());
        let Some((_, _, owner)) = lost else { return true };
        let own = self.lost.iter().filter(|(_, _, other)| other == owner).count();
        let owners: BTreeSet<u32> = self.lost.iter().map(|(_, _, owner)| *owner).collect();
        own < MANY && owners.len() < MANY
    }

    fn ended(&mut self, now: Time, vassal: &Name, failure: bool, delay: Duration) -> Result<(), Broken> {
        let failures = self.failures.entry(vassal.clone()).or_default();
        failures.end_run(now);
        if !failure || failures.unread {
            return Ok(());
        }
        // No run has settled since: the delay must have grown.
        if let Some(last) = failures.last_delay {
            let least = if last.is_zero() { THROTTLE } else { (last * 2).min(MAX_THROTTLE) };
            if delay < least {
                return Err(Broken::BackoffGrowsUntilASettledRun(vassal.clone()));
            }
        }
        failures.recent.retain(|at| now - *at < WINDOW);
        failures.recent.push(now);
        if failures.recent.len() >= FAILURES && delay < THROTTLE {
            return Err(Broken::FlappingIsSlowedDown(vassal.clone()));
        }
        if failures.ran >= WINDOW && failures.answered && !delay.is_zero() {
            return Err(Broken::ARareFailureIsHealedAtOnce(vassal.clone()));
        }
        failures.last_delay = Some(delay);
        Ok(())
    }
}
