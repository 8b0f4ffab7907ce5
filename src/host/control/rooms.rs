//! How many may be in at once: for visits and for streams, for each user and for all users but root together.
//!
//! Root has rooms of its own, so that no other user can keep it out, and no user can take all the places of the others.

use prometheus_client::metrics::counter::Counter;

use super::asker::Share;
use crate::door::{Room, Size};

/// All rooms.
#[derive(Clone, Debug)]
pub(super) struct Rooms {
    /// A question and its answer.
    visits: Pair,
    /// A connection that stays and listens.
    streams: Pair,
}

#[derive(Clone, Debug)]
struct Pair {
    roots: Room<Share>,
    others: Room<Share>,
}

impl Rooms {
    pub(super) fn new() -> Self {
        let pair = |roots: usize, each: usize| {
            let room = |all, each| Room::new(Size { all, each }.within(16), Counter::default());
            Pair { roots: room(roots, roots), others: room(64, each) }
        };
        Self { visits: pair(64, 8), streams: pair(32, 4) }
    }

    /// Where this user asks.
    pub(super) fn visits(&self, share: Share) -> &Room<Share> {
        self.visits.of(share)
    }

    /// Where he listens.
    pub(super) fn streams(&self, share: Share) -> &Room<Share> {
        self.streams.of(share)
    }
}

impl Pair {
    fn of(&self, share: Share) -> &Room<Share> {
        if share.is_roots() { &self.roots } else { &self.others }
    }
}
