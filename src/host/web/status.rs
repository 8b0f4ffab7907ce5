//! What the page is told: totals, those vassals that need eyes first, the last ends. Bounded, however many vassals there are.

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use liege_core::{Health, MountView, Phase, VassalView, View};
use serde::Serialize;

use super::recent::{End, Recent};

/// Vassals shown. Who needs eyes comes first.
pub(super) const ROWS: usize = 200;
/// Mounts shown of each.
const MOUNTS: usize = 8;

/// One look.
#[derive(Debug, Serialize)]
pub(super) struct Status<'a> {
    /// Seconds since 1970.
    at: f64,
    /// Seconds since the daemon started.
    uptime: f64,
    version: &'static str,
    shutting_down: bool,
    /// Vassals that are kept although their directory was unmounted, replaced or is gone.
    held: usize,
    /// Directories that cannot be read, of which no vassal is known.
    unread: usize,
    /// Vassals there are, and files that never were usable.
    vassals: usize,
    up: usize,
    /// Those that are down and not because somebody stopped them; a file that never was usable is.
    down: usize,
    /// Those that fail over and over.
    flapping: usize,
    /// Those whose app runs and is doubted.
    doubtful: usize,
    /// Vassals that need eyes, each once, files that never were usable, and directories that cannot be read.
    ill: usize,
    /// Watched mounts, and those of them that are not healthy.
    mounts: usize,
    mounts_ill: usize,
    phases: BTreeMap<&'static str, usize>,
    /// Files with mistakes, with and without a vassal that runs.
    bad_files: Vec<&'a str>,
    rows: Vec<Row<'a>>,
    /// Vassals that are not among the rows.
    hidden: usize,
    ends: Vec<End>,
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    name: &'a str,
    phase: &'static str,
    /// Its phase, or `flapping`, `gave_up`, `doubtful`.
    state: &'static str,
    /// It needs eyes.
    ill: bool,
    ready: bool,
    /// Seconds it has been in its phase.
    since: f64,
    /// Seconds until it is tried again.
    retry_in: Option<f64>,
    failures: u32,
    /// Of one that is flapping, since it began to.
    flapped: Option<u32>,
    ends: u64,
    bad_file: bool,
    reload_given_up: bool,
    runs_as_root: bool,
    last_failure: Option<End>,
    mounts: Vec<Mount<'a>>,
    mounts_hidden: usize,
}

#[derive(Debug, Serialize)]
struct Mount<'a> {
    path: &'a str,
    state: &'static str,
    /// None before the first answer.
    micros: Option<u64>,
    /// The last checks, in microseconds; left out where the page knows them.
    #[serde(skip_serializing_if = "Option::is_none")]
    recent: Option<Vec<u64>>,
}

/// The look as JSON. `whole`: with the checks from before, for a page that has just been opened.
pub(super) fn json(view: &View, recent: &Recent, whole: bool) -> String {
    serde_json::to_string(&status(view, recent, whole)).unwrap_or_default() // no key in it is anything but a text
}

fn status<'a>(view: &'a View, recent: &Recent, whole: bool) -> Status<'a> {
    let mut phases = BTreeMap::new();
    view.vassals.iter().for_each(|vassal| *phases.entry(vassal.phase.word()).or_default() += 1);
    let mounts = || view.vassals.iter().flat_map(|vassal| &vassal.mounts);
    let with_vassal = view.vassals.iter().filter(|vassal| vassal.config_error.is_some()).map(|vassal| &*vassal.name);
    let without = view.unusable.iter().filter(|(name, _)| !view.unread.contains(name));
    let bad_files = with_vassal.chain(without.map(|(name, _)| &**name)).take(ROWS).collect();
    let mut shown: Vec<&VassalView> = view.vassals.iter().collect();
    shown.sort_by_cached_key(|vassal| (order(vassal, recent), &vassal.name));
    let hidden = shown.len().saturating_sub(ROWS);
    Status {
        at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
        uptime: (view.now - liege_core::Time(0)).as_secs_f64(),
        version: env!("CARGO_PKG_VERSION"),
        shutting_down: view.shutting_down,
        held: view.held.iter().map(|held| held.vassals).sum(),
        unread: view.held.iter().filter(|held| held.is_unread()).count(),
        vassals: view.vassals.len() + view.unusable.len(),
        up: view.vassals.iter().filter(|vassal| is_up(vassal)).count(),
        down: view.vassals.iter().filter(|vassal| is_down(vassal)).count() + view.unusable.len(),
        flapping: view.vassals.iter().filter(|vassal| vassal.flapping.is_some()).count(),
        doubtful: view.vassals.iter().filter(|vassal| vassal.doubt.is_some()).count(),
        ill: view.vassals.iter().filter(|vassal| needs_eyes(vassal, recent)).count()
            + view.unusable.len()
            + view.held.iter().filter(|held| held.is_unread()).count(),
        mounts: mounts().count(),
        mounts_ill: mounts().filter(|mount| is_ill(mount)).count(),
        phases,
        bad_files,
        rows: shown.into_iter().take(ROWS).map(|vassal| row(view, vassal, recent, whole)).collect(),
        hidden,
        ends: recent.ends(),
    }
}

fn row<'a>(view: &View, vassal: &'a VassalView, recent: &Recent, whole: bool) -> Row<'a> {
    let mounts = vassal.mounts.iter().take(MOUNTS).map(|mount| Mount {
        path: &mount.path,
        state: mount.word(),
        micros: mount.health.map(|_| mount.micros),
        recent: whole.then(|| recent.checks(&vassal.name, &mount.path)),
    });
    Row {
        name: &vassal.name,
        phase: vassal.phase.word(),
        state: vassal.state(),
        ill: needs_eyes(vassal, recent),
        ready: vassal.ready,
        since: (view.now - vassal.since).as_secs_f64(),
        retry_in: vassal.retry_at.map(|at| (at - view.now).as_secs_f64()),
        failures: vassal.failures,
        flapped: vassal.flapping.map(|flapping| flapping.failures),
        ends: vassal.restarts.iter().map(|(_, count)| count).sum(),
        bad_file: vassal.config_error.is_some(),
        reload_given_up: vassal.reload_given_up.is_some(),
        runs_as_root: vassal.runs_as_root,
        last_failure: recent.last_failure(&vassal.name),
        mounts: mounts.collect(),
        mounts_hidden: vassal.mounts.len().saturating_sub(MOUNTS),
    }
}

/// What needs eyes comes first. One that is tried again and again keeps its place: it depends on how it does, not on its phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    Failing,
    Ill,
    Well,
}

fn order(vassal: &VassalView, recent: &Recent) -> Order {
    let fails = vassal.failures > 0 || vassal.flapping.is_some() || vassal.gave_up || !vassal.leftovers.is_empty();
    let ill = vassal.is_in_doubt() || has_ended_with_a_loss(vassal, recent) || vassal.mounts.iter().any(is_ill);
    match (fails, ill) {
        (true, _) => Order::Failing,
        (false, true) => Order::Ill,
        (false, false) => Order::Well,
    }
}

fn needs_eyes(vassal: &VassalView, recent: &Recent) -> bool {
    is_down(vassal) || order(vassal, recent) < Order::Well
}

/// It was stopped, and its end has lost something.
fn has_ended_with_a_loss(vassal: &VassalView, recent: &Recent) -> bool {
    vassal.phase == Phase::Suspended && recent.has_lost(&vassal.name)
}

fn is_down(vassal: &VassalView) -> bool {
    match vassal.phase {
        Phase::Waiting | Phase::Stopping | Phase::Killing => true,
        Phase::Spawning | Phase::Preparing => vassal.failures > 0 || vassal.flapping.is_some(),
        Phase::Suspended => vassal.gave_up,
        Phase::Running | Phase::Reloading | Phase::Gone => false,
    }
}

fn is_up(vassal: &VassalView) -> bool {
    matches!(vassal.phase, Phase::Running | Phase::Reloading)
}

/// One that nobody has asked yet is not.
fn is_ill(mount: &MountView) -> bool {
    mount.health.is_some_and(|health| health != Health::Healthy)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use liege_core::{Flapping, Time};

    use super::*;
    use crate::testing::vassal;

    #[test]
    fn those_who_need_eyes_come_first() {
        let mut ill = vassal("a-hung.ini", Phase::Running);
        ill.mounts = vec![MountView { health: Some(Health::Hung), ..MountView::new("/app") }, MountView::new("/new")];
        let mut bad = vassal("c-bad.ini", Phase::Running);
        bad.config_error = Some("c-bad.ini:3:7: \"secret\" is no option".into());
        let mut doubtful = vassal("d-doubtful.ini", Phase::Running);
        doubtful.doubt = Some("it may serve nothing, its uwsgi says: \"secret\"".into());
        let mut down = vassal("z-down.ini", Phase::Waiting);
        // It counts as down, as flapping, and once among the ill.
        down.flapping = Some(Flapping { since: Time(0), failures: 5, steady_after: Duration::from_secs(600) });
        (down.failures, down.retry_at, down.restarts) = (3, Some(Time(9_000_000)), vec![("exit".into(), 2), ("oom".into(), 1)]);
        let view = View {
            now: Time(7_000_000),
            vassals: vec![ill, vassal("b-well.ini", Phase::Running), bad, doubtful, down],
            unusable: vec![("never.ini".into(), "never.ini:1:1: \"secret\"".into())],
            ..View::default()
        };
        let text = json(&view, &Recent::default(), true);
        assert!(!text.contains("secret"), "{text}");
        let look: serde_json::Value = serde_json::from_str(&text).unwrap();
        let names: Vec<&str> = look["rows"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["z-down.ini", "a-hung.ini", "c-bad.ini", "d-doubtful.ini", "b-well.ini"]);
        let ill: Vec<bool> = look["rows"].as_array().unwrap().iter().map(|row| row["ill"].as_bool().unwrap()).collect();
        assert_eq!(ill, [true, true, true, true, false]);
        for (key, number) in [
            ("vassals", 6),
            ("up", 4),
            ("down", 2),
            ("flapping", 1),
            ("doubtful", 1),
            ("ill", 5),
            ("mounts", 2),
            ("mounts_ill", 1),
            ("hidden", 0),
        ] {
            assert_eq!(look[key], number, "{key}: {text}");
        }
        assert_eq!((&look["rows"][3]["state"], &look["rows"][3]["phase"]), (&"doubtful".into(), &"running".into()));
        assert_eq!(look["bad_files"], serde_json::json!(["c-bad.ini", "never.ini"]));
        assert_eq!((&look["rows"][0]["retry_in"], &look["rows"][0]["ends"]), (&2.0.into(), &3.into()));
        assert_eq!(look["rows"][1]["mounts"][0]["recent"], serde_json::json!([]));
        let short: serde_json::Value = serde_json::from_str(&json(&view, &Recent::default(), false)).unwrap();
        assert!(short["rows"][1]["mounts"][0].get("recent").is_none());
    }

    #[test]
    fn a_stopped_one_needs_eyes_where_its_end_has_lost_something() {
        let recent = Recent::default();
        let stopped = View { vassals: vec![vassal("a.ini", Phase::Suspended)], ..View::default() };
        let look = |view: &View| serde_json::from_str::<serde_json::Value>(&json(view, &recent, false)).unwrap();
        let ended = |loses: bool| {
            let name: liege_core::Name = "a.ini".into();
            let killed = vec!["exec redis --requirepass secret (pid 9)".to_owned()];
            let unsaved = liege_core::Note::Unsaved { vassal: name.clone(), killed, stop: None, owner: None };
            let (cause, lived) = (liege_core::Cause::Requested, std::time::Duration::ZERO);
            let ended = liege_core::Note::Ended { vassal: name, cause, lived, again_in: None, owner: None, gave_up: false };
            loses.then_some(unsaved).into_iter().chain([ended]).for_each(|note| recent.hear(&liege_core::Action::Note(note)));
        };
        ended(false);
        assert_eq!((&look(&stopped)["rows"][0]["ill"], &look(&stopped)["ends"][0]["failed"]), (&false.into(), &false.into()));
        ended(true);
        let told = look(&stopped);
        assert!(!told.to_string().contains("secret"), "{told}");
        assert_eq!((&told["rows"][0]["ill"], &told["ends"][0]["failed"]), (&true.into(), &true.into()));
        let what = "it was asked to; what was not written back is lost: the log says what";
        assert_eq!((&told["rows"][0]["last_failure"]["what"], &told["ends"][0]["what"]), (&what.into(), &what.into()));
        assert_eq!(told["ends"].as_array().map(Vec::len), Some(2), "one that lost nothing is another kind of end");
        // The failure is remembered, as any other; it is well again.
        let runs = look(&View { vassals: vec![vassal("a.ini", Phase::Running)], ..View::default() });
        assert_eq!((&runs["rows"][0]["ill"], &runs["rows"][0]["last_failure"]["what"]), (&false.into(), &what.into()));
        ended(false);
        assert_eq!(look(&stopped)["rows"][0]["ill"], false);
    }

    #[test]
    fn a_look_stays_small_however_many_there_are() {
        let view =
            View { vassals: (0..10_000).map(|n| vassal(&format!("v{n:05}.ini"), Phase::Running)).collect(), ..View::default() };
        let text = json(&view, &Recent::default(), true);
        assert!(text.len() < 100_000, "{}", text.len());
        let look: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&look["vassals"], &look["hidden"]), (&10_000.into(), &(10_000 - ROWS).into()));
    }
}
