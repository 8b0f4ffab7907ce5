//! What the host was told last of what the end waits for.
//!
//! The host takes what it was told last for lost, if init leaves or is killed before it says anything else. So what was told must be taken back
//! when it has ended: also where that was told while the step under way was ended, before the end was begun.

use std::time::{Duration, Instant};

use crate::clock;

/// So many are told by name: a tenant can have thousands, which end one by one.
const NAMED: usize = 20;
/// A longer list is not told more often.
const APART: Duration = Duration::from_millis(250);

/// A list as long as it may be told; one more entry says how many it leaves out.
pub(super) fn cut<T>(list: &mut Vec<T>, more: impl FnOnce(String) -> T) {
    if list.len() > NAMED {
        let left_out = list.split_off(NAMED).len();
        list.push(more(format!("{left_out} more")));
    }
}

#[derive(Debug, Default)]
pub(super) struct Told {
    /// None: nothing since the end was begun.
    last: Option<Vec<String>>,
    /// When the last long list was told.
    long: Option<Instant>,
    /// The list before was not empty, and the host may have heeded it.
    was_named: bool,
}

impl Told {
    /// What is told from now on is of the end. During a reload the host heeds no list, so all of it is told again.
    pub(super) fn begin(&mut self) {
        self.was_named = self.last.take().is_some_and(|last| !last.is_empty());
    }

    /// What the host must hear, taken for told. Nothing need not be said, but to a host that waits for it, because it kills then, or that knows
    /// of processes.
    pub(super) fn news(&mut self, mut waits_for: Vec<String>, kills_then: bool) -> Option<Vec<String>> {
        if waits_for.len() > NAMED {
            if self.long.is_some_and(|at| at.elapsed() < APART) {
                return None;
            }
            self.long = Some(clock::now());
            cut(&mut waits_for, |more| more);
        }
        let is_heard_first = kills_then || self.was_named || !waits_for.is_empty();
        let is_news = self.last.as_ref().map_or(is_heard_first, |last| *last != waits_for);
        is_news.then(|| self.last.insert(waits_for).clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Vec<String> = Vec::new();

    #[test]
    fn what_was_told_is_taken_back_when_it_ends_before_the_end_is_begun() {
        let mut told = Told::default();
        let sshfs = || vec!["sshfs (pid 3) of /app".to_owned()];
        assert!(told.news(sshfs(), false).is_some(), "the step under way is ended, and its daemon is seen");
        assert!(told.news(sshfs(), false).is_none(), "it was told");
        told.begin();
        assert!(told.news(NOTHING, false).is_some(), "the host takes it for lost");
        assert!(told.news(NOTHING, true).is_none(), "it was taken back");
        assert!(told.news(sshfs(), false).is_some(), "the host does not know of it");
    }

    #[test]
    fn nothing_is_told_only_to_a_host_that_waits_for_it() {
        let mut told = Told::default();
        told.begin();
        assert!(told.news(NOTHING, false).is_none());
        assert!(told.news(NOTHING, true).is_some());
    }

    #[test]
    fn a_long_list_is_cut_and_not_told_at_each_end() {
        let many = |n: usize| (0..n).map(|n| format!("evil (pid {n})")).collect::<Vec<_>>();
        let mut told = Told::default();
        let first = told.news(many(5000), false).unwrap();
        assert_eq!((first.len(), first[NAMED].as_str()), (NAMED + 1, "4980 more"));
        assert_eq!(told.news(many(4999), false), None);
        assert_eq!(told.news(many(NAMED), false).unwrap().len(), NAMED);
    }
}
