//! Storms: many vassals fail together because they stand on the same thing, a zip, a root, a directory below a union.
//!
//! When several that share a layer lose their mounts within a few seconds, starting them all again at once would load an ill disk
//! with a thousand daemons, and fail a thousand times. So that is one *incident*: one of them, the canary, goes on trying as it
//! would alone. The others are held until it is well and then return, as fast as there are places to start.
//!
//! An incident has a *reach*, so that one owner cannot hold another's vassals:
//!
//! * Five vassals of one owner are that owner's incident. It holds this owner's vassals only.
//! * Five owners with a lost mount each are everybody's incident.
//!
//! An owner is the uid a vassal runs as; all that run as root count as one. Where only the vassal's own root knows the name of its user,
//! the same name in the same root is the same owner: neither is more than what its file says, and a file may as well say any number.
//!
//! **A lone failure is never delayed.** A failure is held only where it is itself one of five in the same five seconds, on one of
//! its own layers. The first few of a storm are not held either, they cannot know yet. The bound for a tenant that has five uids or
//! more: it can make an incident that reaches a neighbour on the same layer which fails in those five seconds. The neighbour then waits
//! for a canary's patience at most for each owner that is tried before it, and never longer than the longest hold.
//!
//! A canary may have a trouble of its own, or may not want to get well. At its second failure, or when its patience is over, the part
//! goes to the next of the held: first to an owner that has not had it, then to the vassal with the fewest failures. Each of the held
//! tries by itself after the longest hold. So an incident delays, it never decides.
//!
//! Calls: `failed` for each loss, `due` when a hold is over, `well`, `left` and `gone` as they happen. `take_released` after each of them.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use liege_spec::{Account, VassalSpec};

use crate::{Name, ROOT, Time, layers};

/// Failures this close together may have one cause.
const WINDOW: Duration = Duration::from_secs(5);
/// So many vassals of one owner, or so many owners, in one window are a storm.
const STORM: usize = 5;
/// How long a vassal is held at most.
const LONGEST_HOLD: Duration = Duration::from_secs(60);
/// How long the others wait for one canary.
const PATIENCE: Duration = Duration::from_secs(10);

/// The owner a loss is counted for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    Uid(u32),
    /// A name that only this root knows.
    Name {
        root: String,
        user: String,
    },
}

/// A vassal that failed.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) vassal: Name,
    pub(crate) owner: Owner,
    pub(crate) layers: BTreeSet<String>,
    /// It lost a mount, which is what storms are made of.
    pub(crate) of_mount: bool,
    /// Failures in a row.
    pub(crate) in_a_row: u32,
    /// The delay it has earned by itself.
    pub(crate) delay: Duration,
}

/// What a failed vassal is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As if it were alone.
    Go,
    /// The same, and with it a storm has begun: the layer, and how many vassals have failed so far.
    Canary { layer: String, failed: usize },
    /// Wait until then, and ask again.
    Hold { layer: String, until: Time },
}

/// Whose vassals an incident holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    Everybody,
    Of(Owner),
}

/// All incidents, and the failures that may become one.
#[derive(Debug, Default)]
pub(crate) struct Storms {
    recent: VecDeque<(Time, Failure)>,
    incidents: BTreeMap<(Reach, String), Incident>,
    released: Vec<Name>,
}

#[derive(Debug)]
struct Incident {
    began: Time,
    /// When the last one failed of which this is made.
    last: Time,
    /// Those that try, and how long each has until the next one does.
    canaries: BTreeMap<Name, Time>,
    /// The owners that have tried.
    tried: BTreeSet<Owner>,
    held: BTreeMap<Name, Held>,
}

#[derive(Clone, Debug)]
struct Held {
    since: Time,
    owner: Owner,
    in_a_row: u32,
    /// When its own delay is over.
    earned: Time,
}

/// An incident that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Over {
    pub(crate) layer: String,
    pub(crate) lasted: Duration,
    pub(crate) held: usize,
}

impl Incident {
    fn new(now: Time) -> Self {
        Self { began: now, last: now, canaries: BTreeMap::new(), tried: BTreeSet::new(), held: BTreeMap::new() }
    }

    /// Until when the held wait for a canary, if there is one with patience left.
    fn tries_until(&self, now: Time) -> Option<Time> {
        self.canaries.values().max().copied().filter(|until| *until > now)
    }

    fn try_with(&mut self, vassal: Name, owner: Owner, may_start: Time) {
        self.canaries.insert(vassal, may_start + PATIENCE);
        self.tried.insert(owner);
    }

    /// The part of the canary goes to the best of the held, where nothing else is tried.
    fn next(&mut self, now: Time) -> Option<Name> {
        if self.tries_until(now).is_some() {
            return None;
        }
        let worth = |held: &Held| (self.tried.contains(&held.owner), held.in_a_row, held.earned, held.since);
        let vassal = self.held.iter().min_by_key(|(_, held)| worth(held))?.0.clone();
        let Held { owner, earned, .. } = self.held.remove(&vassal)?;
        self.try_with(vassal.clone(), owner, now.max(earned));
        Some(vassal)
    }

    fn is_over(&self, now: Time) -> bool {
        self.held.is_empty() && self.tries_until(now).is_none() && now - self.last >= WINDOW
    }
}

impl Storms {
    /// A vassal failed.
    pub(crate) fn failed(&mut self, now: Time, failure: Failure) -> Verdict {
        self.no_canary(now, &failure.vassal);
        self.incidents.retain(|_, incident| !incident.is_over(now));
        // Failures of another kind are each vassal's own.
        if !failure.of_mount {
            return Verdict::Go;
        }
        self.recent.retain(|(at, other)| now - *at < WINDOW && other.vassal != failure.vassal);
        self.recent.push_back((now, failure.clone()));
        for reach in [Reach::Everybody, Reach::Of(failure.owner.clone())] {
            let stormy: BTreeSet<(usize, &String)> = failure
                .layers
                .iter()
                .map(|layer| (self.parties(&reach, layer), layer))
                .filter(|(parties, _)| *parties >= STORM)
                .collect();
            let Some((_, most)) = stormy.last() else { continue };
            let known =
                stormy.iter().map(|(_, layer)| (reach.clone(), (*layer).clone())).find(|key| self.incidents.contains_key(key));
            let is_new = known.is_none();
            let key = known.unwrap_or_else(|| (reach.clone(), (*most).clone()));
            return self.join(now, key, failure, is_new);
        }
        Verdict::Go
    }

    /// To an incident, or to a new one as its canary.
    fn join(&mut self, now: Time, key: (Reach, String), failure: Failure, is_new: bool) -> Verdict {
        let failed = self.of(&key.0, &key.1).count();
        let layer = key.1.clone();
        let incident = self.incidents.entry(key).or_insert_with(|| Incident::new(now));
        incident.last = now;
        let Failure { vassal, owner, in_a_row, delay, .. } = failure;
        let earned = now + delay;
        let Some(until) = incident.tries_until(now) else {
            incident.try_with(vassal, owner, earned);
            return if is_new { Verdict::Canary { layer, failed } } else { Verdict::Go };
        };
        incident.held.insert(vassal, Held { since: now, owner, in_a_row, earned });
        Verdict::Hold { layer, until: until.min(now + LONGEST_HOLD).max(earned) }
    }

    /// The failures of the window that count for this reach and layer.
    fn of<'a>(&'a self, reach: &'a Reach, layer: &'a str) -> impl Iterator<Item = &'a Failure> {
        let counts = move |failure: &&Failure| match reach {
            Reach::Everybody => failure.layers.contains(layer),
            Reach::Of(owner) => failure.owner == *owner && failure.layers.contains(layer),
        };
        self.recent.iter().map(|(_, failure)| failure).filter(counts)
    }

    /// How many these are: owners for an incident of everybody's, vassals for one owner's.
    fn parties(&self, reach: &Reach, layer: &str) -> usize {
        match reach {
            Reach::Everybody => self.of(reach, layer).map(|failure| &failure.owner).collect::<BTreeSet<&Owner>>().len(),
            Reach::Of(_) => self.of(reach, layer).count(),
        }
    }

    /// The hold of a vassal is over for now: None lets it start, a time has it wait on.
    pub(crate) fn due(&mut self, now: Time, vassal: &Name) -> Option<Time> {
        let incident = self.incidents.values_mut().find(|incident| incident.held.contains_key(vassal))?;
        let next = incident.next(now);
        if next.as_ref() == Some(vassal) {
            return None;
        }
        self.released.extend(next);
        let held = incident.held.get(vassal)?;
        let last = held.earned.max(held.since + LONGEST_HOLD);
        let until = incident.tries_until(now).map_or(last, |until| until.min(last)).max(held.earned);
        if until > now {
            return Some(until);
        }
        incident.held.remove(vassal);
        None
    }

    /// A vassal is well: its mount answers, or its run has settled. If it was a canary its incident is over and the held are free.
    pub(crate) fn well(&mut self, now: Time, vassal: &Name) -> Option<Over> {
        let key = self.incidents.iter().find(|(_, incident)| incident.canaries.contains_key(vassal))?.0.clone();
        let incident = self.incidents.remove(&key)?;
        let (reach, layer) = key;
        // What comes now on this layer is another story.
        let is_part = |failure: &Failure| match &reach {
            Reach::Everybody => failure.layers.contains(&layer),
            Reach::Of(owner) => failure.owner == *owner && failure.layers.contains(&layer),
        };
        self.recent.retain(|(_, failure)| !is_part(failure));
        let over = Over { layer, lasted: now - incident.began, held: incident.held.len() };
        self.released.extend(incident.held.into_keys());
        Some(over)
    }

    /// A vassal waits no more: it starts, or is gone for ever.
    pub(crate) fn left(&mut self, vassal: &Name) {
        self.incidents.values_mut().for_each(|incident| _ = incident.held.remove(vassal));
    }

    /// A vassal is gone. A canary's part falls to one of the held.
    pub(crate) fn gone(&mut self, now: Time, vassal: &Name) {
        self.left(vassal);
        self.no_canary(now, vassal);
        self.recent.retain(|(_, failure)| failure.vassal != *vassal);
    }

    /// A canary has failed once more, or is gone: what it tried says nothing for those that wait.
    fn no_canary(&mut self, now: Time, vassal: &Name) {
        for incident in self.incidents.values_mut() {
            if incident.canaries.remove(vassal).is_some() {
                self.released.extend(incident.next(now));
            }
        }
    }

    /// Those that need not wait for others any more.
    pub(crate) fn take_released(&mut self) -> Vec<Name> {
        std::mem::take(&mut self.released)
    }
}

/// The owner a vassal's losses are counted for.
pub(crate) fn owner(spec: &VassalSpec) -> Owner {
    let jail = &spec.jail;
    match (&jail.identity, &jail.names) {
        (Some(identity), _) => Owner::Uid(identity.value.uid),
        (None, Some(names)) => match &names.value.user {
            Account::Number(uid) => Owner::Uid(*uid),
            Account::Name(user) => {
                let root = layers::root(spec).cloned().unwrap_or_default();
                Owner::Name { root, user: user.clone() }
            }
        },
        (None, None) => Owner::Uid(ROOT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn name(n: usize) -> Name {
        format!("v{n}").into()
    }

    fn lost(n: usize, owner: u32, layer: &str) -> Failure {
        Failure {
            vassal: name(n),
            owner: Owner::Uid(owner),
            layers: BTreeSet::from([layer.to_owned()]),
            of_mount: true,
            in_a_row: 1,
            delay: Duration::ZERO,
        }
    }

    /// So many failures on one layer, a tenth of a second apart; the owner of each.
    fn failures(storms: &mut Storms, owners: &[u32]) -> Vec<Verdict> {
        let of = |(n, owner): (usize, &u32)| (Time(n as u64 * SECOND / 10), lost(n, *owner, "/root"));
        owners.iter().enumerate().map(of).map(|(now, failure)| storms.failed(now, failure)).collect()
    }

    fn is_held(verdict: &Verdict) -> bool {
        matches!(verdict, Verdict::Hold { .. })
    }

    #[test]
    fn the_fifth_is_the_canary_and_those_that_follow_are_held() {
        let mut storms = Storms::default();
        let verdicts = failures(&mut storms, &[7; 7]);
        assert_eq!(verdicts[..4], [const { Verdict::Go }; 4]);
        assert_eq!(verdicts[4], Verdict::Canary { layer: "/root".into(), failed: 5 });
        assert!(verdicts[5..].iter().all(is_held), "{verdicts:?}");
        let over = storms.well(Time(SECOND), &name(4)).unwrap();
        assert_eq!((over.held, over.lasted), (2, Duration::from_millis(600)));
        assert_eq!(storms.take_released(), [name(5), name(6)]);
    }

    #[test]
    fn one_owners_storm_is_no_neighbours() {
        let mut storms = Storms::default();
        let verdicts = failures(&mut storms, &[7, 7, 7, 7, 7, 7, 8, 9, 8]);
        assert!(is_held(&verdicts[5]) && verdicts[6..] == [const { Verdict::Go }; 3], "{verdicts:?}");
    }

    #[test]
    fn five_owners_are_everybodys_storm() {
        let mut storms = Storms::default();
        let verdicts = failures(&mut storms, &[1, 1, 2, 3, 4, 5, 6, 1]);
        assert_eq!(verdicts[5], Verdict::Canary { layer: "/root".into(), failed: 6 });
        assert!(verdicts[6..].iter().all(is_held), "{verdicts:?}");
    }

    #[test]
    fn the_same_name_is_the_same_owner_in_the_same_root_only() {
        let named = |root: &str, n: usize| Failure {
            owner: Owner::Name { root: root.into(), user: "app".into() },
            ..lost(n, 0, "/root")
        };
        let held = |of: &dyn Fn(usize) -> Failure| {
            let mut storms = Storms::default();
            (0..7).map(|n| storms.failed(Time(n as u64), of(n))).filter(is_held).count()
        };
        assert_eq!(held(&|n| named("/a", n)), 2);
        assert_eq!(held(&|n| named(if n < 4 { "/a" } else { "/b" }, n)), 0);
        assert_eq!(held(&|n| named(&format!("/{n}"), n)), 2, "five owners");
    }

    #[test]
    fn failures_that_share_nothing_are_no_storm() {
        let mut storms = Storms::default();
        let alone = (0..50).all(|n| storms.failed(Time(n), lost(n as usize, 7, &format!("/{n}"))) == Verdict::Go);
        assert!(alone);
    }

    #[test]
    fn one_vassal_that_fails_again_and_again_is_no_storm() {
        let mut storms = Storms::default();
        assert!((0..50).all(|n| storms.failed(Time(n), lost(0, 7, "/root")) == Verdict::Go));
    }

    #[test]
    fn failures_far_apart_are_no_storm_and_one_after_a_storm_is_not_held() {
        let mut storms = Storms::default();
        assert!((0..50).all(|n| storms.failed(Time(n * 2 * SECOND), lost(n as usize, 7, "/root")) == Verdict::Go));
        let mut storms = Storms::default();
        failures(&mut storms, &[7; 8]);
        assert_eq!(storms.failed(Time(6 * SECOND), lost(20, 7, "/root")), Verdict::Go);
    }

    #[test]
    fn a_canary_that_fails_again_hands_its_part_to_another_owner() {
        let mut storms = Storms::default();
        failures(&mut storms, &[1, 2, 3, 4, 5, 5, 5, 6]);
        let verdict = storms.failed(Time(SECOND), Failure { in_a_row: 2, ..lost(4, 5, "/root") });
        assert_eq!(storms.take_released(), [name(7)], "the sixth owner's");
        assert!(is_held(&verdict), "{verdict:?}");
        assert!(storms.well(Time(2 * SECOND), &name(7)).is_some());
        assert_eq!(storms.take_released(), [name(4), name(5), name(6)]);
    }

    #[test]
    fn a_canary_that_never_gets_well_is_waited_for_once() {
        let mut storms = Storms::default();
        let verdicts = failures(&mut storms, &[1, 2, 3, 4, 5, 6, 7]);
        let Verdict::Hold { until, .. } = verdicts[5] else { panic!("{verdicts:?}") };
        assert_eq!(until, Time(10_400_000), "the patience with the canary");
        assert_eq!(storms.due(until, &name(5)), None, "it is the next");
        let until = storms.due(until, &name(6)).expect("it waits on");
        assert_eq!(until, Time(20_400_000));
        assert_eq!(storms.due(until, &name(6)), None);
        assert!(storms.well(until, &name(4)).is_some(), "the first may still end it");
    }

    #[test]
    fn the_part_goes_to_those_that_failed_least_and_not_by_name() {
        let mut storms = Storms::default();
        failures(&mut storms, &[1, 2, 3, 4, 5]);
        storms.failed(Time(SECOND), Failure { in_a_row: 9, delay: Duration::from_secs(2), ..lost(10, 6, "/root") });
        storms.failed(Time(SECOND), lost(11, 7, "/root"));
        let until = Time(10_400_000);
        assert_eq!(storms.due(until, &name(10)), Some(Time(20_400_000)));
        assert_eq!(storms.take_released(), [name(11)]);
    }

    #[test]
    fn a_canary_that_is_gone_hands_its_part_on() {
        let mut storms = Storms::default();
        failures(&mut storms, &[7; 7]);
        storms.gone(Time(SECOND), &name(4));
        assert_eq!(storms.take_released(), [name(5)]);
        assert!(storms.well(Time(9 * SECOND), &name(5)).is_some());
        assert_eq!(storms.take_released(), [name(6)]);
    }

    #[test]
    fn a_failure_of_another_kind_is_not_held() {
        let mut storms = Storms::default();
        failures(&mut storms, &[7; 7]);
        assert_eq!(storms.failed(Time(SECOND), Failure { of_mount: false, ..lost(9, 7, "/root") }), Verdict::Go);
    }
}
