//! A rolling restart: so many at a time, the next one when one is ready again, and no further after the first that fails. One that is
//! ready and doubted has failed.
//!
//! What a uwsgi has said comes through its log, so the doubt may come a moment after the byte by which it accepts: one that seems well is
//! looked at twice.
//!
//! Told what the snapshots say, it says who is next and what became of whom; asking and waiting are the caller's.

use std::{collections::VecDeque, time::Duration};

use liege_core::{Name, Phase, VassalView, View};

use crate::words::first_line;

/// How far it has come.
#[derive(Debug)]
pub struct Rolling {
    waiting: VecDeque<Name>,
    under_way: Vec<UnderWay>,
    parallel: usize,
    keep_going: bool,
    /// A program that cannot say that it is ready must run for so long.
    settle: Duration,
    failed: bool,
}

/// One that was asked, or is about to be.
#[derive(Debug)]
struct UnderWay {
    name: Name,
    /// Of the instance that is to go.
    pid: Option<i32>,
    /// It seemed well at the last look.
    seems_well: bool,
}

/// What became of one.
pub type Outcome = (Name, Result<(), String>);

impl Rolling {
    /// Nobody is asked yet. `keep_going`: also after failures. `settle`: how long a program must run that cannot say that it accepts.
    #[must_use]
    pub fn new(names: Vec<Name>, parallel: usize, keep_going: bool, settle: Duration) -> Self {
        Self { waiting: names.into(), under_way: Vec::new(), parallel: parallel.max(1), keep_going, settle, failed: false }
    }

    /// Who is to be asked now; `view` is from before that.
    pub fn next(&mut self, view: &View) -> Option<Name> {
        if self.failed && !self.keep_going || self.under_way.len() >= self.parallel {
            return None;
        }
        let name = self.waiting.pop_front()?;
        let pid = find(view, &name).and_then(|vassal| vassal.pid);
        self.under_way.push(UnderWay { name: name.clone(), pid, seems_well: false });
        Some(name)
    }

    /// It was asked and refused.
    pub fn refused(&mut self, name: &Name) {
        self.failed = true;
        self.under_way.retain(|other| other.name != *name);
    }

    /// It is up again, and its end has lost something: that is a failure as well.
    pub fn lost(&mut self) {
        self.failed = true;
    }

    /// What has become of those under way; `view` is from after they were asked.
    pub fn look(&mut self, view: &View) -> Vec<Outcome> {
        let (mut outcomes, settle) = (Vec::new(), self.settle);
        let has_settled =
            |vassal: &VassalView| vassal.accepting || vassal.up_since.is_some_and(|since| view.now.since(since) >= settle);
        self.under_way.retain_mut(|one| {
            let vassal = find(view, &one.name);
            let outcome = judge(vassal, one.pid, has_settled);
            let was_well = std::mem::replace(&mut one.seems_well, matches!(outcome, Some(Ok(()))));
            if !was_well && one.seems_well && vassal.is_some_and(|vassal| vassal.accepting) {
                return true;
            }
            outcomes.extend(outcome.clone().map(|outcome| (one.name.clone(), outcome)));
            outcome.is_none()
        });
        self.failed |= outcomes.iter().any(|(_, outcome)| outcome.is_err());
        outcomes
    }

    /// Who is under way.
    pub fn under_way(&self) -> impl Iterator<Item = &Name> {
        self.under_way.iter().map(|one| &one.name)
    }

    /// Nobody is under way and nobody will be.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.under_way.is_empty() && (self.waiting.is_empty() || self.failed && !self.keep_going)
    }

    /// Who was not asked.
    #[must_use]
    pub fn left(&self) -> usize {
        self.waiting.len()
    }

    /// At least one has failed.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed
    }
}

/// The vassal of this name.
pub(crate) fn find<'a>(view: &'a View, name: &Name) -> Option<&'a VassalView> {
    view.vassals.iter().find(|vassal| vassal.name == *name)
}

/// None: not decided yet. A restart has forgotten the failures of before, so one that is counted is new.
fn judge(
    vassal: Option<&VassalView>,
    before: Option<i32>,
    has_settled: impl Fn(&VassalView) -> bool,
) -> Option<Result<(), String>> {
    let Some(vassal) = vassal else { return Some(Err("its file is gone".to_owned())) };
    if vassal.failures > 0 {
        let failure = vassal.last_failure.as_ref().map(|failure| failure.what.clone());
        return Some(Err(failure.or_else(|| vassal.last_cause.clone()).unwrap_or_else(|| "it failed".to_owned())));
    }
    match vassal.phase {
        Phase::Running if vassal.ready && vassal.pid != before && has_settled(vassal) => {
            Some(match (&vassal.config_error, &vassal.doubt) {
                (None, None) => Ok(()),
                (None, Some(doubt)) => Err(format!("up again, but doubtful: {doubt}")),
                (Some(mistake), _) => {
                    Err(format!("up again, but its file is bad and the last good one runs: {}", first_line(mistake)))
                }
            })
        }
        Phase::Suspended if vassal.gave_up => Some(Err("it was given up (start-limit)".to_owned())),
        Phase::Suspended => Some(Err("somebody has stopped it".to_owned())),
        Phase::Gone => Some(Err("its file is gone".to_owned())),
        Phase::Waiting
        | Phase::Spawning
        | Phase::Preparing
        | Phase::Running
        | Phase::Reloading
        | Phase::Stopping
        | Phase::Killing => None,
    }
}

#[cfg(test)]
mod tests {
    use liege_core::Failure;

    use super::*;
    use crate::testing::vassal;

    fn view(pids: &[(&str, i32, bool)]) -> View {
        let of = |&(name, pid, ready): &(&str, i32, bool)| VassalView { pid: Some(pid), ready, ..vassal(name) };
        View { vassals: pids.iter().map(of).collect(), ..View::default() }
    }

    fn names(names: &[&str]) -> Vec<Name> {
        names.iter().map(|name| Name::from(*name)).collect()
    }

    #[test]
    fn the_next_is_asked_when_one_is_ready_again() {
        let before = view(&[("a", 1, true), ("b", 2, true), ("c", 3, true)]);
        let mut rolling = Rolling::new(names(&["a", "b", "c"]), 2, false, Duration::ZERO);
        assert_eq!(
            (rolling.next(&before), rolling.next(&before), rolling.next(&before)),
            (Some("a".into()), Some("b".into()), None)
        );
        assert!(rolling.look(&before).is_empty(), "the old ones are ready, but they are not the ones to wait for");
        let after = view(&[("a", 1, true), ("b", 12, true), ("c", 3, true)]);
        assert_eq!(rolling.look(&after), [("b".into(), Ok(()))]);
        assert_eq!(rolling.next(&after), Some("c".into()));
        let last = view(&[("a", 11, true), ("b", 12, true), ("c", 13, false)]);
        assert_eq!(rolling.look(&last), [("a".into(), Ok(()))]);
        assert!(!rolling.is_over());
        let ready = view(&[("c", 13, true)]);
        assert_eq!((rolling.look(&ready), rolling.is_over()), (vec![("c".into(), Ok(()))], true));
    }

    #[test]
    fn the_first_failure_ends_it_unless_told_to_keep_going() {
        for keep_going in [false, true] {
            let mut rolling = Rolling::new(names(&["a", "b"]), 1, keep_going, Duration::ZERO);
            let mut view = view(&[("a", 1, true), ("b", 2, true)]);
            rolling.next(&view);
            // The failure is what is told, also where an end that was asked for came after it.
            let broke = Failure { cause: "exit".into(), what: "it broke".into(), ago: 1.0 };
            let asked = Some("it was asked to".into());
            view.vassals[0] = VassalView { failures: 1, last_failure: Some(broke), last_cause: asked, ..view.vassals[0].clone() };
            assert_eq!(rolling.look(&view), [("a".into(), Err("it broke".into()))]);
            assert_eq!((rolling.next(&view).is_some(), rolling.is_over(), rolling.has_failed()), (keep_going, !keep_going, true));
        }
    }

    #[test]
    fn a_loss_is_a_failure() {
        for keep_going in [false, true] {
            let mut rolling = Rolling::new(names(&["a", "b"]), 1, keep_going, Duration::ZERO);
            rolling.next(&view(&[("a", 1, true), ("b", 2, true)]));
            let after = view(&[("a", 11, true), ("b", 2, true)]);
            assert_eq!(rolling.look(&after), [("a".into(), Ok(()))]);
            rolling.lost();
            assert_eq!(
                (rolling.next(&after).is_some(), rolling.is_over(), rolling.has_failed()),
                (keep_going, !keep_going, true)
            );
        }
    }

    #[test]
    fn one_that_is_doubted_has_failed_also_where_the_doubt_comes_a_moment_later() {
        for is_late in [false, true] {
            let mut rolling = Rolling::new(names(&["a", "b"]), 1, false, Duration::ZERO);
            rolling.next(&view(&[("a", 1, true), ("b", 2, true)]));
            let mut after = view(&[("a", 11, true), ("b", 2, true)]);
            after.vassals[0].accepting = true;
            if is_late {
                assert_eq!(rolling.look(&after), []);
            }
            after.vassals[0].doubt = Some("it may serve nothing".into());
            assert_eq!(rolling.look(&after), [("a".into(), Err("up again, but doubtful: it may serve nothing".into()))]);
            assert!(rolling.is_over() && rolling.has_failed());
        }
    }

    #[test]
    fn one_that_is_gone_or_stopped_meanwhile_has_failed() {
        let mut rolling = Rolling::new(names(&["a", "b"]), 2, true, Duration::ZERO);
        let mut view = view(&[("a", 1, true), ("b", 2, true)]);
        assert!(rolling.next(&view).is_some() && rolling.next(&view).is_some());
        view.vassals.remove(0);
        view.vassals[0].phase = Phase::Suspended;
        let outcomes = rolling.look(&view);
        assert!(outcomes.len() == 2 && outcomes.iter().all(|(_, outcome)| outcome.is_err()), "{outcomes:?}");
    }

    #[test]
    fn a_program_has_to_run_for_a_while_and_a_bad_file_is_no_success() {
        let mut rolling = Rolling::new(names(&["a", "b", "c"]), 3, true, Duration::from_secs(1));
        let mut view = view(&[("a", 1, true), ("b", 1, true), ("c", 1, true)]);
        while rolling.next(&view).is_some() {}
        for (vassal, pid) in view.vassals.iter_mut().zip(2..) {
            (vassal.pid, vassal.up_since) = (Some(pid), Some(view.now));
        }
        view.vassals[1].accepting = true; // a uwsgi says so itself
        assert_eq!(rolling.look(&view), []);
        assert_eq!(rolling.look(&view), [("b".into(), Ok(()))]);
        view.now = view.now + Duration::from_millis(1001);
        view.vassals[2].config_error = Some("c:1:1: no".into());
        let outcomes = rolling.look(&view);
        assert_eq!(outcomes[0], ("a".into(), Ok(())));
        assert!(outcomes[1].1.as_ref().is_err_and(|why| why.contains("c:1:1: no")), "{outcomes:?}");
        assert!(rolling.is_over() && rolling.has_failed());
    }
}
