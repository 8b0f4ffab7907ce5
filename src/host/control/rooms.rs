//! How many may be in at once: for visits and for streams, for each user and for all users but root together.
//!
//! Root has rooms of its own, so that no other user can keep it out, and no user can take all the places of the others. Connections
//! that are not believed yet, or never will be, have a small room of their own: however many uids they claim, they take no place of
//! the users who have them.

use liege_core::ROOT;
use prometheus_client::metrics::counter::Counter;

use super::asker::Share;
use crate::door::{Room, Size};

/// All rooms.
#[derive(Clone, Debug)]
pub(super) struct Rooms {
    /// A question and its answer.
    visits: Kind,
    /// A connection that stays and listens.
    streams: Kind,
}

#[derive(Clone, Debug)]
struct Kind {
    roots: Room<Share>,
    users: Room<Share>,
    /// A vassal has a share of this one, and all who are refused have one together.
    unbelieved: Room<Share>,
}

impl Rooms {
    pub(super) fn new() -> Self {
        let kind = |roots: usize, each: usize| {
            let room = |all, each| Room::new(Size { all, each }.within(16), Counter::default());
            Kind { roots: room(roots, roots), users: room(64, each), unbelieved: room(64, each / 2) }
        };
        Self { visits: kind(64, 8), streams: kind(32, 4) }
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

impl Kind {
    fn of(&self, share: Share) -> &Room<Share> {
        match share {
            Share::User(ROOT) => &self.roots,
            Share::User(_) => &self.users,
            Share::Vassal(_) | Share::Refused => &self.unbelieved,
        }
    }
}
