//! What is asked of whichever prober there is: it stands until it is done or taken back, and each new prober is told it first.
//!
//! A look is not among it. It belongs to the prober that began it, and the check behind it asks again at its next interval.

use std::collections::HashMap;

use tokio::sync::oneshot;

use super::protocol::{Instance, ToProber};

/// The orders.
#[derive(Debug, Default)]
pub(super) struct Standing {
    last_id: u64,
    /// Lives whose exits are to be held, by birth.
    secured: HashMap<u64, Instance>,
    /// Lives whose connections are to be ended. Whether that was done nobody says; it stands until the life is over.
    aborted: HashMap<u64, Instance>,
    /// Who waits to hear who holds up an end.
    examining: HashMap<u64, (Instance, oneshot::Sender<Vec<String>>)>,
}

impl Standing {
    pub(super) fn secure(&mut self, of: Instance) -> ToProber {
        self.secured.insert(of.birth, of.clone());
        ToProber::Secure(of)
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

    pub(super) fn examine(&mut self, of: Instance, tell: oneshot::Sender<Vec<String>>) -> ToProber {
        self.last_id += 1;
        self.examining.insert(self.last_id, (of.clone(), tell));
        ToProber::Examine { id: self.last_id, of }
    }

    pub(super) fn examined(&mut self, id: u64, found: Vec<String>) {
        // A life that is over does not wait any more.
        self.examining.remove(&id).map(|(_, tell)| tell.send(found).ok());
    }

    /// Somebody waits for an answer.
    pub(super) fn waits(&self) -> bool {
        !self.examining.is_empty()
    }

    /// Nothing stands: without a prober nothing is missing.
    pub(super) fn is_empty(&self) -> bool {
        self.secured.is_empty() && self.aborted.is_empty() && self.examining.is_empty()
    }

    /// For a prober that knows nothing yet.
    pub(super) fn all(&self) -> Vec<ToProber> {
        let secured = self.secured.values().cloned().map(ToProber::Secure);
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
        standing.secure(of(1));
        standing.secure(of(2));
        standing.abort(of(2));
        let asked = standing.examine(of(2), tell);
        standing.secure(of(3));
        standing.abort(of(3));
        standing.forget(of(3));
        let mut all = standing.all();
        all[..2].sort_by_key(|message| matches!(message, ToProber::Secure(of) if of.birth == 2));
        assert_eq!(all, [ToProber::Secure(of(1)), ToProber::Secure(of(2)), ToProber::Abort(of(2)), asked]);

        standing.examined(1, vec!["somebody".into()]);
        assert_eq!(found.try_recv(), Ok(vec!["somebody".to_owned()]));
        assert!(!standing.waits() && !standing.is_empty());
        standing.forget(of(1));
        standing.forget(of(2));
        assert!(standing.is_empty());
    }
}
