//! How many may be in at once: for visits and for streams, for each user and for all users but root together.
//!
//! Root has rooms of its own, so that no other user can keep it out, and no user can take all the places of the others.

use liege_core::ROOT;
use prometheus_client::metrics::counter::Counter;

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
    roots: Room<u32>,
    others: Room<u32>,
}

impl Rooms {
    pub(super) fn new() -> Self {
        let pair = |roots: usize, each: usize| {
            let room = |all, each| Room::new(Size { all, each }, Counter::default());
            Pair { roots: room(roots, roots), others: room(64, each) }
        };
        Self { visits: pair(64, 8), streams: pair(32, 4) }
    }

    /// Where this user asks.
    pub(super) fn visits(&self, uid: u32) -> &Room<u32> {
        self.visits.of(uid)
    }

    /// Where he listens.
    pub(super) fn streams(&self, uid: u32) -> &Room<u32> {
        self.streams.of(uid)
    }
}

impl Pair {
    fn of(&self, uid: u32) -> &Room<u32> {
        if uid == ROOT { &self.roots } else { &self.others }
    }
}
