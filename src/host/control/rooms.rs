//! How many may be in at once: for visits and for streams, for each user and for all users but root together.
//!
//! Root has rooms of its own, so that no other user can keep it out, and no user can take all the places of the others.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use liege_core::ROOT;

/// So many places.
#[derive(Clone, Copy, Debug)]
struct Size {
    root: usize,
    each: usize,
    others: usize,
}

/// A question and its answer.
const VISITS: Size = Size { root: 64, each: 8, others: 64 };
/// A connection that stays and listens.
const STREAMS: Size = Size { root: 32, each: 4, others: 64 };

/// Both rooms.
#[derive(Clone, Debug)]
pub(super) struct Rooms {
    pub(super) visits: Room,
    pub(super) streams: Room,
}

impl Rooms {
    pub(super) fn new() -> Self {
        Self { visits: Room::new(VISITS), streams: Room::new(STREAMS) }
    }
}

/// One room.
#[derive(Clone, Debug)]
pub(super) struct Room {
    size: Size,
    taken: Arc<Mutex<HashMap<u32, usize>>>,
}

/// A place in a room, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    uid: u32,
    taken: Arc<Mutex<HashMap<u32, usize>>>,
}

impl Room {
    fn new(size: Size) -> Self {
        Self { size, taken: Arc::default() }
    }

    /// A place for this user; None: his are all taken, or everybody's.
    pub(super) fn enter(&self, uid: u32) -> Option<Place> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = taken.get(&uid).copied().unwrap_or_default();
        let others: usize = taken.iter().filter(|(of, _)| **of != ROOT).map(|(_, count)| count).sum();
        let is_free = if uid == ROOT { mine < self.size.root } else { mine < self.size.each && others < self.size.others };
        is_free.then(|| {
            taken.insert(uid, mine + 1);
            Place { uid, taken: Arc::clone(&self.taken) }
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.uid) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.uid); // users come and go
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_the_places_of_another() {
        let room = Room::new(Size { root: 2, each: 2, others: 5 });
        let enter = |uid, count: usize| -> Vec<Place> { (0..count).filter_map(|_| room.enter(uid)).collect() };
        let first = enter(1001, 9);
        let (second, third) = (enter(1002, 9), enter(1003, 9));
        assert_eq!((first.len(), second.len(), third.len()), (2, 2, 1));
        assert_eq!(enter(0, 9).len(), 2);
        drop(first);
        assert_eq!(enter(1003, 9).len(), 1);
        drop((second, third));
        assert!(room.taken.lock().unwrap().is_empty());
    }
}
