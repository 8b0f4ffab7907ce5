//! Vassals that were asked to end, until they have.
//!
//! Told what the snapshots say, it says what became of whom; asking and waiting are the caller's.

use liege_core::{Name, Phase, VassalView, View};

use crate::rolling::find;

/// Those that have not ended yet.
#[derive(Debug, Default)]
pub struct Stopping {
    under_way: Vec<Asked>,
}

#[derive(Debug)]
struct Asked {
    name: Name,
    /// Of the instance that is to go.
    pid: Option<i32>,
}

impl Stopping {
    /// It was asked; `before` is from before that. False: there was nothing to wait for.
    pub fn asked(&mut self, name: &Name, before: &View) -> bool {
        let vassal = find(before, name);
        let waits = vassal.is_some_and(|vassal| vassal.phase != Phase::Suspended);
        if waits {
            self.under_way.push(Asked { name: name.clone(), pid: vassal.and_then(|vassal| vassal.pid) });
        }
        waits
    }

    /// What has become of those under way; `view` is from after they were asked.
    pub fn look(&mut self, view: &View) -> Vec<(Name, Result<(), String>)> {
        let mut outcomes = Vec::new();
        self.under_way.retain(|Asked { name, pid }| match judge(find(view, name), *pid) {
            None => true,
            Some(outcome) => {
                outcomes.push((name.clone(), outcome));
                false
            }
        });
        outcomes
    }

    /// Who is under way.
    pub fn under_way(&self) -> impl Iterator<Item = &Name> {
        self.under_way.iter().map(|asked| &asked.name)
    }

    /// Nobody is under way.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.under_way.is_empty()
    }
}

/// None: not decided yet.
fn judge(vassal: Option<&VassalView>, before: Option<i32>) -> Option<Result<(), String>> {
    // One whose file is gone has ended as well.
    let Some(vassal) = vassal else { return Some(Ok(())) };
    match vassal.phase {
        Phase::Suspended | Phase::Gone => Some(Ok(())),
        Phase::Spawning | Phase::Stopping | Phase::Killing => None,
        Phase::Preparing | Phase::Running | Phase::Reloading if vassal.pid == before => None,
        Phase::Waiting | Phase::Preparing | Phase::Running | Phase::Reloading => {
            Some(Err("somebody has started it again".to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::vassal;

    fn view(phase: Phase, pid: i32) -> View {
        View { vassals: vec![VassalView { phase, pid: Some(pid), ..vassal("a") }], ..View::default() }
    }

    #[test]
    fn it_is_over_when_it_has_ended_or_is_gone() {
        for end in [view(Phase::Suspended, 1), View::default()] {
            let mut stopping = Stopping::default();
            assert!(stopping.asked(&"a".into(), &view(Phase::Running, 1)));
            for phase in [Phase::Running, Phase::Stopping, Phase::Killing] {
                assert!(stopping.look(&view(phase, 1)).is_empty() && !stopping.is_over());
            }
            assert_eq!(stopping.look(&end), [("a".into(), Ok(()))]);
            assert!(stopping.is_over());
        }
    }

    #[test]
    fn one_that_runs_anew_has_not_stopped() {
        let mut stopping = Stopping::default();
        stopping.asked(&"a".into(), &view(Phase::Running, 1));
        assert!(stopping.look(&view(Phase::Running, 2))[0].1.is_err() && stopping.is_over());
    }

    #[test]
    fn one_that_is_stopped_is_not_waited_for() {
        assert!(!Stopping::default().asked(&"a".into(), &view(Phase::Suspended, 1)));
        assert!(!Stopping::default().asked(&"b".into(), &view(Phase::Running, 1)));
    }
}
