//! Storms: many vassals fail together because they stand on the same thing, a zip, a root, a directory below a union.
//!
//! When several that share a layer lose their mounts within a few seconds, starting them all again at once would load an ill disk
//! with a thousand daemons, and fail a thousand times. So that is one *incident*: one of them, the canary, goes on trying as it
//! would alone; the others are held until it is well, then return, as fast as there are places to start. Who waits too long
//! tries by himself: an incident delays, it never decides.
//!
//! A lone failure is never delayed: the first few of a storm are not either, they cannot know yet.
//!
//! Layers are the absolute paths in the commands and mounts of a vassal's hooks and attached daemons, the directories these lie in, its
//! root, and what it watches without having mounted it: that is the host's. That two vassals name the same path and fail in the same
//! seconds is what counts, not what the path is; of several the most particular one is named.
//!
//! The directory stands for the device below it: zips that lie side by side lie on one disk. The device itself is not asked for, on
//! purpose. Where a host has one file system all vassals would stand on one layer, and a canary with a trouble of its own would hold the
//! lone failures of all others. For the same reason the directories where everybody's things lie are no layers. What is taken for
//! one layer by mistake (five daemons killed at once, whose zips lie side by side) costs the time until the canary's mount answers.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::Path,
    time::Duration,
};

use liege_spec::{VassalSpec, Verb};

use crate::{Name, Time};

/// Failures this close together may have one cause.
const WINDOW: Duration = Duration::from_secs(5);
/// So many vassals in one window are a storm.
const STORM: usize = 5;
/// How long a vassal is held at most.
pub(crate) const LONGEST_HOLD: Duration = Duration::from_secs(60);
/// How long others are held for one canary.
const LONGEST_INCIDENT: Duration = Duration::from_secs(120);

/// What everybody uses and nobody stands on: programs, devices, the kernel's own.
const EVERYBODYS: [&str; 9] =
    ["/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/usr/local/bin/", "/usr/lib/", "/dev/", "/proc/", "/sys/"];

/// Where everybody's things lie, one beside the other.
const COMMON: [&str; 11] = ["/", "/etc", "/home", "/media", "/mnt", "/opt", "/root", "/run", "/tmp", "/var", "/var/tmp"];

/// What a failed vassal is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As if it were alone.
    Go,
    /// The same, and with it a storm has begun: the layer, and how many have failed so far.
    Canary { layer: String, failed: usize },
    /// Wait for the canary.
    Hold,
}

/// All incidents, and the failures that may become one.
#[derive(Debug, Default)]
pub(crate) struct Storms {
    recent: VecDeque<(Time, Name, BTreeSet<String>)>,
    incidents: BTreeMap<String, Incident>,
    released: Vec<Name>,
}

#[derive(Debug)]
struct Incident {
    began: Time,
    canary: Name,
    held: BTreeSet<Name>,
}

/// An incident that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Over {
    pub(crate) layer: String,
    pub(crate) lasted: Duration,
    pub(crate) held: usize,
}

impl Storms {
    /// A vassal failed; `of_mount`: it lost a mount, which is what storms are made of.
    pub(crate) fn failed(&mut self, now: Time, vassal: &Name, layers: BTreeSet<String>, of_mount: bool) -> Verdict {
        // Failures of another kind are each vassal's own.
        if !of_mount || self.incidents.values().any(|incident| incident.canary == *vassal) {
            return Verdict::Go;
        }
        // A canary that stays ill is one vassal's trouble in the end: who was held has tried by himself long ago.
        self.incidents.retain(|_, incident| now - incident.began < LONGEST_INCIDENT);
        if let Some((_, incident)) = self.incidents.iter_mut().find(|(layer, _)| layers.contains(*layer)) {
            incident.held.insert(vassal.clone());
            return Verdict::Hold;
        }
        self.recent.retain(|(at, name, _)| now - *at < WINDOW && name != vassal);
        self.recent.push_back((now, vassal.clone(), layers.clone()));
        let failed = |layer: &String| self.recent.iter().filter(|(_, _, others)| others.contains(layer)).count();
        match layers.into_iter().map(|layer| (failed(&layer), layer)).max() {
            Some((failed, layer)) if failed >= STORM => {
                let incident = Incident { began: now, canary: vassal.clone(), held: BTreeSet::new() };
                self.incidents.insert(layer.clone(), incident);
                Verdict::Canary { layer, failed }
            }
            _ => Verdict::Go,
        }
    }

    /// A vassal is well: its mount answers, or its run has settled. If it was the canary its incident is over and the held are free.
    pub(crate) fn well(&mut self, now: Time, vassal: &Name) -> Option<Over> {
        let layer = self.incidents.iter().find(|(_, incident)| incident.canary == *vassal)?.0.clone();
        let incident = self.incidents.remove(&layer)?;
        self.recent.clear(); // what comes now is another story
        let over = Over { layer, lasted: now - incident.began, held: incident.held.len() };
        self.released.extend(incident.held);
        Some(over)
    }

    /// A vassal waits no more: it starts, or is gone for ever.
    pub(crate) fn left(&mut self, vassal: &Name) {
        self.incidents.values_mut().for_each(|incident| _ = incident.held.remove(vassal));
    }

    /// A vassal is gone. A canary's part falls to one of the held, who starts at once; without any the incident is forgotten.
    pub(crate) fn gone(&mut self, vassal: &Name) {
        self.left(vassal);
        for incident in self.incidents.values_mut().filter(|incident| incident.canary == *vassal) {
            if let Some(next) = incident.held.pop_first() {
                self.released.push(next.clone());
                incident.canary = next;
            }
        }
        self.incidents.retain(|_, incident| incident.canary != *vassal);
        self.recent.retain(|(_, name, _)| name != vassal);
    }

    /// Those who may start now.
    pub(crate) fn take_released(&mut self) -> Vec<Name> {
        std::mem::take(&mut self.released)
    }
}

/// What a vassal stands on: the paths its hooks and daemons name, without those it mounts and watches, which are its own.
pub(crate) fn layers(spec: &VassalSpec) -> BTreeSet<String> {
    let jail = &spec.jail;
    let mut named = BTreeSet::new();
    let mut points = BTreeSet::new();
    for hook in &jail.hooks {
        match &hook.verb.value {
            Verb::Exec(command) | Verb::SafeExec(command) => named.extend(arguments(command)),
            Verb::Mount { source, data, target, .. } => {
                named.extend(paths(source).chain(paths(data)));
                points.insert(target.clone());
            }
            _ => {}
        }
    }
    spec.app.daemons.iter().for_each(|daemon| named.extend(arguments(&daemon.value.command)));
    let root = jail.pivot_root.as_ref().map(|root| &root.value.new).or(jail.chroot.as_ref().map(|root| &root.value));
    // What is watched, as it is called in the vassal's root and in the host's.
    let watched: Vec<(&String, String)> = spec
        .checks
        .iter()
        .map(|check| &check.path.value)
        .map(|path| (path, root.map_or_else(|| path.clone(), |root| format!("{}{path}", root.trim_end_matches('/')))))
        .collect();
    let is_own = |path: &str| named.iter().chain(&points).any(|point| Path::new(path).starts_with(point));
    let of_the_host = watched.iter().filter(|(inside, outside)| !is_own(inside) && !is_own(outside));
    let mut layers: BTreeSet<String> = of_the_host.map(|(_, outside)| outside.clone()).chain(root.cloned()).collect();
    for path in named.iter().filter(|path| !watched.iter().any(|(inside, outside)| path == inside || *path == outside)) {
        let directory = path.trim_end_matches('/').rsplit_once('/').map_or("/", |(directory, _)| directory);
        if !directory.is_empty() && !COMMON.contains(&directory) {
            layers.insert(directory.to_owned());
        }
        layers.insert(path.clone());
    }
    layers
}

/// The paths of a command line behind its first word, the program.
fn arguments(command: &str) -> impl Iterator<Item = String> + '_ {
    command.trim_start().split_once(' ').into_iter().flat_map(|(_, words)| paths(words))
}

/// `/ns/precise` in `unionfs-fuse -ocow,chroot=/ns /cow/shop=RW:/precise=RO /ufs`.
fn paths(text: &str) -> impl Iterator<Item = String> + '_ {
    let words = text.split(|c: char| c.is_whitespace() || "=:,;&|()\"'".contains(c));
    let is_layer =
        |word: &&str| word.len() > 1 && word.starts_with('/') && !EVERYBODYS.iter().any(|start| word.starts_with(start));
    words.filter(is_layer).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(name: &str) -> BTreeSet<String> {
        BTreeSet::from([name.to_owned()])
    }

    fn name(n: usize) -> Name {
        format!("v{n}").into()
    }

    /// So many failures on one layer, a tenth of a second apart.
    fn failures(storms: &mut Storms, count: usize) -> Vec<Verdict> {
        (0..count).map(|n| storms.failed(Time(n as u64 * 100_000), &name(n), layer("/root"), true)).collect()
    }

    #[test]
    fn the_fifth_is_the_canary_and_whoever_follows_is_held() {
        let mut storms = Storms::default();
        let verdicts = failures(&mut storms, 7);
        assert_eq!(verdicts[..4], [const { Verdict::Go }; 4]);
        assert_eq!(verdicts[4], Verdict::Canary { layer: "/root".into(), failed: 5 });
        assert_eq!(verdicts[5..], [Verdict::Hold, Verdict::Hold]);
        let over = storms.well(Time(1_000_000), &name(4)).unwrap();
        assert_eq!((over.held, over.lasted), (2, Duration::from_millis(600)));
        assert_eq!(storms.take_released(), [name(5), name(6)]);
    }

    #[test]
    fn failures_that_share_nothing_are_no_storm() {
        let mut storms = Storms::default();
        let alone = (0..50).all(|n| storms.failed(Time(n), &name(n as usize), layer(&format!("/{n}")), true) == Verdict::Go);
        assert!(alone);
    }

    #[test]
    fn one_vassal_that_fails_again_and_again_is_no_storm() {
        let mut storms = Storms::default();
        assert!((0..50).all(|n| storms.failed(Time(n), &name(0), layer("/root"), true) == Verdict::Go));
    }

    #[test]
    fn failures_far_apart_are_no_storm() {
        let mut storms = Storms::default();
        assert!((0..50).all(|n| storms.failed(Time(n * 2_000_000), &name(n as usize), layer("/root"), true) == Verdict::Go));
    }

    #[test]
    fn a_canary_that_stays_ill_holds_nobody_any_more() {
        let mut storms = Storms::default();
        failures(&mut storms, 7);
        assert_eq!(storms.failed(Time(60_000_000), &name(8), layer("/root"), true), Verdict::Hold);
        assert_eq!(storms.failed(Time(60_000_000), &name(9), layer("/root"), false), Verdict::Go, "no mount was lost");
        assert_eq!(storms.failed(Time(130_000_000), &name(10), layer("/root"), true), Verdict::Go);
    }

    #[test]
    fn a_canary_that_is_gone_hands_its_part_on() {
        let mut storms = Storms::default();
        failures(&mut storms, 7);
        storms.gone(&name(4));
        assert_eq!(storms.take_released(), [name(5)]);
        assert!(storms.well(Time(9_000_000), &name(5)).is_some());
        assert_eq!(storms.take_released(), [name(6)]);
    }

    #[test]
    fn layers_are_the_paths_of_commands_and_mounts() {
        let found: Vec<_> = paths("unionfs-fuse -ocow,chroot=/ns,max_files=32768 /cow/shop=RW:/precise=RO /ufs").collect();
        assert_eq!(found, ["/ns", "/cow/shop", "/precise", "/ufs"]);
    }
}
