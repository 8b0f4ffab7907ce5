//! So many places, and a share of them for each who comes: whoever is of no use has to leave when one is wanted.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Context,
    time::Duration,
};

use prometheus_client::metrics::counter::Counter;
use tokio::{sync::oneshot, time::Instant};

/// Whoever has left his answer unread for less is a reader like any other.
const SLOW: Duration = Duration::from_secs(1);

/// How many places there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) all: usize,
    /// Of one who comes.
    pub(crate) each: usize,
}

/// A room; `W` is who comes: several connections may be one's.
#[derive(Clone, Debug)]
pub(crate) struct Room<W> {
    size: Size,
    /// In the order they came.
    seats: Arc<Mutex<Vec<Seat<W>>>>,
    /// Counts those for whom there was no place, whether they had to leave or were turned away.
    refused: Counter,
}

#[derive(Debug)]
struct Seat<W> {
    who: W,
    idle: Arc<Mutex<Option<Idle>>>,
    /// Dropped, he has to leave.
    stays: oneshot::Sender<()>,
}

/// Of what use a guest is not. The first of them has to leave first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Idle {
    /// His question is not whole; since when he is here.
    Unasked(Instant),
    /// Something that is written waits to be read; since when.
    Unread(Instant),
}

/// A place, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    idle: Arc<Mutex<Option<Idle>>>,
    /// None: he was told.
    put_out: Option<oneshot::Receiver<()>>,
}

/// But some in any case.
const FEWEST: usize = 4;

impl Size {
    /// The same, or less where the daemon may have few descriptors: these connections take one of so many, and no more.
    pub(crate) fn within(self, one_of: u64) -> Self {
        let descriptors = liege_sys::limits::nofile().map_or(u64::MAX, |(soft, _)| soft);
        let most = usize::try_from(descriptors / one_of).unwrap_or(usize::MAX).max(FEWEST);
        let all = self.all.min(most);
        // In the same proportion.
        Self { all, each: (self.each * all).div_ceil(self.all.max(1)).min(all) }
    }
}

impl<W: Copy + Eq> Room<W> {
    pub(crate) fn new(size: Size, refused: Counter) -> Self {
        Self { size, seats: Arc::default(), refused }
    }

    /// A place, if need be that of somebody of no use; None: all there are are used, or all of his.
    pub(crate) fn enter(&self, who: W) -> Option<Place> {
        self.enter_at(who, Instant::now())
    }

    fn enter_at(&self, who: W, now: Instant) -> Option<Place> {
        let mut seats = lock(&self.seats);
        seats.retain(|seat| !seat.stays.is_closed());
        let has_share = seats.iter().filter(|seat| seat.who == who).count() < self.size.each;
        if !has_share || seats.len() >= self.size.all {
            self.refused.inc();
            let may_go = |seat: &Seat<W>| has_share || seat.who == who;
            let idle = seats.iter().enumerate().filter(|(_, seat)| may_go(seat));
            let (_, first) = idle.filter_map(|(index, seat)| Some((seat.idle(now)?, index))).min()?;
            seats.remove(first);
        }
        let (stays, put_out) = oneshot::channel();
        let place = Place { idle: Arc::new(Mutex::new(Some(Idle::Unasked(now)))), put_out: Some(put_out) };
        seats.push(Seat { who, idle: Arc::clone(&place.idle), stays });
        Some(place)
    }
}

impl<W> Seat<W> {
    fn idle(&self, now: Instant) -> Option<Idle> {
        lock(&self.idle).filter(|idle| match idle {
            Idle::Unasked(_) => true,
            Idle::Unread(since) => now - *since > SLOW,
        })
    }
}

impl Place {
    /// Of what use the guest is not, from now on.
    pub(super) fn set(&self, idle: Option<Idle>) {
        *lock(&self.idle) = idle;
    }

    /// Whether he has to leave. Who asks is woken when it comes to be so.
    pub(super) fn is_lost(&mut self, cx: &mut Context<'_>) -> bool {
        let is_lost = self.put_out.as_mut().is_none_or(|put_out| Future::poll(std::pin::Pin::new(put_out), cx).is_ready());
        if is_lost {
            self.put_out = None;
        }
        is_lost
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn room(all: usize, each: usize) -> Room<u32> {
        Room::new(Size { all, each }, Counter::default())
    }

    /// So many who have all asked.
    fn busy(room: &Room<u32>, who: u32, count: usize) -> Vec<Place> {
        let places = (0..count).filter_map(|_| {
            let place = room.enter(who)?;
            place.set(None);
            Some(place)
        });
        places.collect()
    }

    fn is_lost(place: &mut Place) -> bool {
        place.is_lost(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn nobody_takes_the_places_of_another() {
        let room = room(5, 2);
        let first = busy(&room, 1001, 9);
        let (second, third) = (busy(&room, 1002, 9), busy(&room, 1003, 9));
        assert_eq!((first.len(), second.len(), third.len()), (2, 2, 1));
        assert_eq!(room.refused.get(), 7 + 7 + 8);
        drop(first);
        assert_eq!(busy(&room, 1003, 9).len(), 1);
        drop((second, third));
        assert_eq!(busy(&room, 1004, 9).len(), 2);
    }

    #[test]
    fn who_is_of_no_use_leaves_for_whoever_comes() {
        let (room, start) = (room(3, 3), Instant::now());
        let after = |millis| start + Duration::from_millis(millis);
        let mut deaf = busy(&room, 2, 2);
        deaf[1].set(Some(Idle::Unread(after(0))));
        deaf[0].set(Some(Idle::Unread(after(1000))));
        let mut silent = room.enter_at(1, after(1000)).unwrap();
        let mut came = Vec::new();
        let mut comes = |millis| {
            let place = room.enter_at(3, after(millis))?;
            place.set(None);
            came.push(place);
            Some(())
        };
        assert!(comes(1500).is_some() && is_lost(&mut silent), "who has not asked first, though others are deaf for longer");
        assert!(comes(1500).is_some() && is_lost(&mut deaf[1]) && !is_lost(&mut deaf[0]), "then who is so for longest");
        assert!(comes(2000).is_none(), "a moment is not slow");
        assert!(comes(2001).is_some() && is_lost(&mut deaf[0]) && is_lost(&mut deaf[0]));
        assert!(comes(9000).is_none() && !came.iter_mut().any(is_lost), "all others ask and read");
    }

    #[test]
    fn whose_share_is_full_puts_out_his_own_only() {
        let room = room(4, 2);
        let mut foreign = room.enter(1).unwrap();
        let mut own = [room.enter(2).unwrap(), room.enter(2).unwrap()];
        let newest = room.enter(2).unwrap();
        assert_eq!((is_lost(&mut foreign), own.each_mut().map(is_lost)), (false, [true, false]));
        drop(newest);
    }
}
