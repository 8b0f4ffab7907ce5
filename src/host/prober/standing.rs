//! What is asked of whichever prober there is: it stands until it is done or taken back, and each new prober is told it first.
//!
//! A look is not among it. It belongs to the prober that began it, and the check behind it asks again at its next interval.

use std::collections::HashMap;

use tokio::sync::oneshot;

use super::protocol::{Examined, Instance, ToProber};

/// The orders.
#[derive(Debug, Default)]
pub(super) struct Standing {
    last_id: u64,
    /// Lives whose exits are to be held, by birth.
    secured: HashMap<u64, Secured>,
    /// Lives whose connections are to be ended. Whether that was done nobody says; it stands until the life is over.
    aborted: HashMap<u64, Instance>,
    /// Who waits to hear who holds up an end.
    examining: HashMap<u64, (Instance, oneshot::Sender<Examined>)>,
}

/// A life whose exits are to be held.
#[derive(Debug)]
struct Secured {
    of: Instance,
    /// The last question.
    id: u64,
    /// Who waits for an answer to which question.
    waiting: Vec<(u64, oneshot::Sender<()>)>,
}

impl Standing {
    pub(super) fn secure(&mut self, of: Instance, tell: oneshot::Sender<()>) -> ToProber {
        self.last_id += 1;
        let id = self.last_id;
        let secured = self.secured.entry(of.birth).or_insert_with(|| Secured { of: of.clone(), id, waiting: Vec::new() });
        secured.id = id;
        secured.waiting.push((id, tell));
        ToProber::Secure { id, of }
    }

    /// The exits of a life are held, as far as they could be opened when this was asked.
    pub(super) fn secured(&mut self, birth: u64, id: u64) {
        // A life that is over does not wait any more.
        let Some(secured) = self.secured.get_mut(&birth) else { return };
        secured.waiting.extract_if(.., |(asked, _)| *asked <= id).for_each(|(_, tell)| _ = tell.send(()));
    }

    /// No prober can be started. An end does not wait for one; the next one is asked all the same.
    pub(super) fn give_up_waiting_for_exits(&mut self) {
        for secured in self.secured.values_mut() {
            secured.waiting.drain(..).for_each(|(_, tell)| _ = tell.send(()));
        }
    }

    pub(super) fn abort(&mut self, of: Instance) -> ToProber {
        self.aborted.insert(of.birth, of.clone());
        ToProber::Abort(of)
    }

    pub(super) fn forget(&mut self, of: Instance) -> ToProber {
        self.secured.remove(&of.birth);
        self.aborted.remove(&of.birth);
        ToProber::Forget(of)
    }

    pub(super) fn examine(&mut self, of: Instance, tell: oneshot::Sender<Examined>) -> ToProber {
        self.last_id += 1;
        self.examining.insert(self.last_id, (of.clone(), tell));
        ToProber::Examine { id: self.last_id, of }
    }

    pub(super) fn examined(&mut self, id: u64, found: Examined) {
        // A life that is over does not wait any more.
        self.examining.remove(&id).map(|(_, tell)| tell.send(found).ok());
    }

    /// Somebody waits for an answer.
    pub(super) fn waits(&self) -> bool {
        !self.examining.is_empty() || self.secured.values().any(|secured| !secured.waiting.is_empty())
    }

    /// Nothing stands: without a prober nothing is missing.
    pub(super) fn is_empty(&self) -> bool {
        self.secured.is_empty() && self.aborted.is_empty() && self.examining.is_empty()
    }

    /// For a prober that knows nothing yet.
    pub(super) fn all(&self) -> Vec<ToProber> {
        let secured = self.secured.values().map(|secured| ToProber::Secure { id: secured.id, of: secured.of.clone() });
        let aborted = self.aborted.values().cloned().map(ToProber::Abort);
        let examining = self.examining.iter().map(|(&id, (of, _))| ToProber::Examine { id, of: of.clone() });
        secured.chain(aborted).chain(examining).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(birth: u64) -> Instance {
        Instance { birth, pid: 7, born: 1, inherited: Vec::new() }
    }

    #[test]
    fn the_next_prober_is_asked_everything_that_was_not_answered_and_not_taken_back() {
        let mut standing = Standing::default();
        let (tell, mut found) = oneshot::channel();
        let secure = |standing: &mut Standing, birth| standing.secure(of(birth), oneshot::channel().0);
        let (first, second) = (secure(&mut standing, 1), secure(&mut standing, 2));
        standing.abort(of(2));
        let asked = standing.examine(of(2), tell);
        secure(&mut standing, 3);
        standing.abort(of(3));
        standing.forget(of(3));
        let mut all = standing.all();
        all[..2].sort_by_key(|message| matches!(message, ToProber::Secure { of, .. } if of.birth == 2));
        assert_eq!(all, [first, second, ToProber::Abort(of(2)), asked.clone()]);

        let ToProber::Examine { id, .. } = asked else { panic!("{asked:?}") };
        let somebody = Examined { found: vec!["somebody".into()], is_stuck: true };
        standing.examined(id, somebody.clone());
        assert_eq!(found.try_recv(), Ok(somebody));
        (1..=3).for_each(|birth| standing.secured(birth, u64::MAX));
        assert!(!standing.waits() && !standing.is_empty());
        standing.forget(of(1));
        standing.forget(of(2));
        assert!(standing.is_empty());
    }

    #[test]
    fn an_answer_that_the_exits_are_held_is_for_those_who_asked_before_it() {
        let mut standing = Standing::default();
        let mut asked = || {
            let (tell, secured) = oneshot::channel();
            let ToProber::Secure { id, .. } = standing.secure(of(1), tell) else { panic!("another message") };
            (id, secured)
        };
        let [(_, mut first), (id, mut second), (last, mut third)] = [asked(), asked(), asked()];
        standing.secured(1, id);
        assert_eq!((first.try_recv(), second.try_recv()), (Ok(()), Ok(())));
        assert!(third.try_recv().is_err() && standing.waits());
        assert_eq!(standing.all(), [ToProber::Secure { id: last, of: of(1) }], "the next prober answers it");
        standing.give_up_waiting_for_exits();
        assert_eq!(third.try_recv(), Ok(()));
        assert!(!standing.waits() && standing.all().len() == 1, "it is to be held all the same");
    }
}
