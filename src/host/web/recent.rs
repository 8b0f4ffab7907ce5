//! What the page shows beside the snapshot: the last ends of vassals, and how long the last checks of each mount took.
//!
//! Told by the loop, read by the listener; the lock is held for as long as a number is written, or as what one page shows is copied.
//! Bounded: so many ends, so many checks of a mount, and what is gone is forgotten.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use liege_core::{Action, Cause, Death, Event, Health, Name, Note};
use liege_plan::LOST;
use serde::Serialize;

/// Ends that are kept of all vassals together.
const ENDS: usize = 50;
/// Checks that are kept of each mount: a minute of them, with the usual interval.
pub(super) const CHECKS: usize = 60;

/// One end.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct End {
    /// Seconds since 1970.
    pub(super) at: f64,
    pub(super) vassal: Name,
    /// The word of the closed list.
    pub(super) cause: &'static str,
    /// A sentence that everybody may read: `Cause::for_everybody`.
    pub(super) what: String,
    /// The vassal failed, or its end has lost something; else it was asked to end.
    pub(super) failed: bool,
    /// Seconds.
    pub(super) lived: f64,
    /// Seconds until it is tried again; null: it is not wanted any more, or was given up.
    pub(super) again_in: Option<f64>,
    pub(super) gave_up: bool,
    /// So many of this kind in a row, of which this is the newest.
    pub(super) count: u32,
    #[serde(skip)]
    detail: Cause,
    #[serde(skip)]
    lost: bool,
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    ends: VecDeque<End>,
    vassals: HashMap<Name, OfVassal>,
}

#[derive(Debug, Default)]
struct OfVassal {
    last_failure: Option<End>,
    /// The end under way has lost something, which is told before it is over.
    loses: bool,
    /// Its newest end has.
    lost: bool,
    /// By path, microseconds each.
    checks: HashMap<String, VecDeque<u64>>,
}

impl Recent {
    /// Something happened, and the core will be told.
    pub(crate) fn see(&self, event: &Event) {
        let Event::Probed { vassal, path, probed, .. } = event else { return };
        if matches!(probed.health, Health::Unknown { .. }) {
            return;
        }
        let mut memory = self.lock();
        // Only those that are watched, not what a life that is over has still to say.
        if let Some(checks) = memory.vassals.get_mut(vassal).and_then(|of| of.checks.get_mut(path)) {
            if checks.len() == CHECKS {
                checks.pop_front();
            }
            checks.push_back(probed.micros);
        }
    }

    /// Why a vassal had last failed in an earlier daemon's life.
    pub(crate) fn recall(&self, vassal: &Name, death: &Death) {
        let end = End {
            at: death.at,
            vassal: vassal.clone(),
            cause: death.detail.word(),
            what: what(&death.detail, !death.unsaved.is_empty()),
            failed: true,
            lived: death.lived,
            again_in: death.again_in,
            gave_up: death.gave_up,
            count: death.count,
            detail: death.detail.clone(),
            lost: !death.unsaved.is_empty(),
        };
        self.lock().vassals.entry(vassal.clone()).or_default().last_failure.get_or_insert(end);
    }

    /// The core says what is to be done.
    pub(crate) fn hear(&self, action: &Action) {
        match action {
            // None are watched while a vassal is rebuilt, which is when one wants to see how they were.
            Action::Watch { vassal, checks, .. } if !checks.is_empty() => {
                let mut memory = self.lock();
                let of = memory.vassals.entry(vassal.clone()).or_default();
                of.checks.retain(|path, _| checks.iter().any(|check| check.path == *path));
                checks.iter().for_each(|check| _ = of.checks.entry(check.path.clone()).or_default());
            }
            Action::Note(Note::Unsaved { vassal, .. }) => {
                self.lock().vassals.entry(vassal.clone()).or_default().loses = true;
            }
            Action::Note(Note::Ended { vassal, cause, lived, again_in, owner: _, gave_up }) => {
                let mut memory = self.lock();
                let of = memory.vassals.entry(vassal.clone()).or_default();
                of.lost = std::mem::take(&mut of.loses);
                let mut end = End {
                    at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
                    vassal: vassal.clone(),
                    cause: cause.word(),
                    what: what(cause, of.lost),
                    failed: cause.is_failure() || of.lost,
                    lived: lived.as_secs_f64(),
                    again_in: again_in.as_ref().map(Duration::as_secs_f64),
                    gave_up: *gave_up,
                    count: 1,
                    detail: cause.clone(),
                    lost: of.lost,
                };
                // The same once more is one line that counts.
                let last = memory.ends.iter().position(|last| last.vassal == *vassal);
                let is_like = |last: &End| last.lost == end.lost && last.detail.is_like(cause);
                if let Some(at) = last.filter(|at| end.failed && is_like(&memory.ends[*at])) {
                    end.count = memory.ends.remove(at).map_or(1, |last| last.count.saturating_add(1));
                }
                if end.failed {
                    memory.vassals.entry(vassal.clone()).or_default().last_failure = Some(end.clone());
                }
                memory.ends.truncate(ENDS - 1);
                memory.ends.push_front(end);
            }
            Action::Note(Note::Gone { vassal }) => drop(self.lock().vassals.remove(vassal)),
            _ => {}
        }
    }

    /// The last ends, the newest first.
    pub(super) fn ends(&self) -> Vec<End> {
        self.lock().ends.iter().cloned().collect()
    }

    /// Why a vassal last failed.
    pub(super) fn last_failure(&self, vassal: &str) -> Option<End> {
        self.lock().vassals.get(vassal)?.last_failure.clone()
    }

    /// Whether the newest end of a vassal has lost something.
    pub(super) fn has_lost(&self, vassal: &str) -> bool {
        self.lock().vassals.get(vassal).is_some_and(|of| of.lost)
    }

    /// How many microseconds the last checks of a mount took, the newest last.
    pub(super) fn checks(&self, vassal: &str, path: &str) -> Vec<u64> {
        let memory = self.lock();
        let checks = memory.vassals.get(vassal).and_then(|of| of.checks.get(path));
        checks.map(|checks| checks.iter().copied().collect()).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an end is told as. The names of what was lost are the words of commands.
fn what(cause: &Cause, lost: bool) -> String {
    let loss = if lost { format!("; {LOST}the log says what") } else { String::new() };
    format!("{}{loss}", cause.for_everybody())
}

#[cfg(test)]
mod tests {
    use liege_core::{Check, Probed};
    use liege_plan::Exit;

    use super::*;

    fn ended(vassal: &str, cause: Cause) -> Action {
        let (vassal, lived, again_in) = (vassal.into(), Duration::from_secs(2), Some(Duration::ZERO));
        Action::Note(Note::Ended { vassal, cause, lived, again_in, owner: None, gave_up: false })
    }

    fn watch(paths: &[&str]) -> Action {
        let second = Duration::from_secs(1);
        let checks = paths.iter().map(|path| Check { path: (*path).to_owned(), interval: second, timeout: second });
        Action::Watch { vassal: "a".into(), birth: 1, checks: checks.collect() }
    }

    fn probed(path: &str, health: Health, micros: u64) -> Event {
        let probed = Probed { micros, ..Probed::of(health) };
        Event::Probed { vassal: "a".into(), birth: 1, path: path.to_owned(), probed }
    }

    #[test]
    fn the_last_ends_are_kept_and_tell_no_secret() {
        let recent = Recent::default();
        (0..60).for_each(|code| recent.hear(&ended("a", Cause::of_app(Exit::Code(code), Some("secret".into())))));
        recent.hear(&ended("b", Cause::HookFailed { what: "exec mysql -psecret (b.ini:3): ENOENT".into() }));
        recent.hear(&ended("b", Cause::ConfigChanged));
        let ends = recent.ends();
        assert_eq!((ends.len(), ends[0].cause, ends[2].what.as_str()), (50, "config_changed", "the app exited with status 59"));
        let last = recent.last_failure("b").unwrap();
        assert_eq!((last.cause, last.what.contains("secret")), ("hook_failed", false), "{last:?}");
        recent.hear(&Action::Note(Note::Gone { vassal: "b".into() }));
        assert_eq!(recent.last_failure("b"), None);
    }

    #[test]
    fn the_last_checks_of_what_is_watched_are_kept() {
        let recent = Recent::default();
        recent.see(&probed("/app", Health::Healthy, 1));
        assert_eq!(recent.checks("a", "/app"), [0; 0], "nobody watches it");
        recent.hear(&watch(&["/app", "/other"]));
        (0..100).for_each(|micros| recent.see(&probed("/app", Health::Healthy, micros)));
        recent.see(&probed("/app", Health::Unknown { errno: 3 }, 7));
        assert_eq!(recent.checks("a", "/app"), (40..100).collect::<Vec<u64>>());
        // While it is rebuilt they are kept; a path that is watched no more is forgotten.
        recent.hear(&watch(&[]));
        recent.hear(&watch(&["/app"]));
        assert_eq!((recent.checks("a", "/app").len(), recent.checks("a", "/other").len()), (CHECKS, 0));
    }
}
