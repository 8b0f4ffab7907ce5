//! Whether the daemon has done what it was started for: everything there was to find was found and given a try.
//!
//! Once ready it stays ready: what comes later, and who fails, is the business of the metrics. It is not ready any more on its way
//! out.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use liege_core::{Phase, View};

/// What is known so far.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    /// Since when the core has heard of every file that the first scans found, but for those that take too long to be read.
    found: OnceLock<Instant>,
    was_ready: AtomicBool,
}

impl Readiness {
    /// The first scans are done, and what they found is before everything the loop is asked from now on.
    pub(crate) fn all_is_found(&self) {
        self.found.set(Instant::now()).ok();
    }

    /// None: ready. Else what is missing, in one sentence. A snapshot that was `asked` for too early knows too little.
    pub(super) fn missing(&self, asked: Instant, view: &View) -> Option<String> {
        if view.shutting_down {
            return Some("the daemon is ending".to_owned());
        }
        if self.was_ready.load(Ordering::Relaxed) {
            return None;
        }
        if self.found.get().is_none_or(|found| *found > asked) {
            return Some("the first scan is not done".to_owned());
        }
        if let Some(unread) = view.held.iter().find(|held| held.is_unread()) {
            return Some(unread.to_string());
        }
        let untried = view.vassals.iter().filter(|vassal| {
            let begins = matches!(vassal.phase, Phase::Waiting | Phase::Spawning | Phase::Preparing);
            begins && vassal.restarts.is_empty()
        });
        match untried.count() {
            0 => {
                self.was_ready.store(true, Ordering::Relaxed);
                None
            }
            untried => Some(format!("{untried} of {} vassals are not started for the first time yet", view.vassals.len())),
        }
    }
}

#[cfg(test)]
mod tests {
    use liege_core::{HeldDirectory, Time};

    use super::*;
    use crate::testing::vassal;

    #[test]
    fn ready_is_who_has_tried_everything_once() {
        let ready = Readiness::default();
        let mut view =
            View { vassals: vec![vassal("a.ini", Phase::Running), vassal("b.ini", Phase::Preparing)], ..View::default() };
        let missing = |view: &View| ready.missing(Instant::now(), view);
        assert_eq!(missing(&View::default()).unwrap(), "the first scan is not done");
        let too_early = Instant::now();
        ready.all_is_found();
        assert_eq!(ready.missing(too_early, &View::default()).unwrap(), "the first scan is not done");
        assert_eq!(missing(&view).unwrap(), "1 of 2 vassals are not started for the first time yet");
        view.vassals[1].phase = Phase::Waiting;
        assert!(missing(&view).is_some());
        let unread = HeldDirectory { directory: "/v".into(), vassals: 0, why: "is missing".into(), since: Time(0), until: None };
        let blind = View { held: vec![unread], ..View::default() };
        assert_eq!(missing(&blind).unwrap(), "/v is missing: its vassals are not known");
        view.vassals[1].restarts.push(("exit".into(), 1));
        assert_eq!(missing(&view), None);
        view.vassals.push(vassal("c.ini", Phase::Waiting));
        assert_eq!(missing(&view), None, "what comes later changes nothing");
        view.shutting_down = true;
        assert!(missing(&view).is_some());
    }
}
