//! When a uwsgi hears that it is to end.
//!
//! uwsgi passes the order on to its workers by a signal, once. A worker that was forked a moment ago loses it: it has no handlers of its own yet, the
//! app's language may have one (Python has, for SIGINT), and SIGHUP is ignored. Then it goes on, and with it the uwsgi, until it is killed. A
//! master that loads its app reads no order before it has forked its workers, which is the worst moment. So the order is held:
//!
//! 1. until the master has loaded (byte 1). That costs nothing, because it would not read before;
//! 2. then until the first worker accepts (byte 5), at most for a [`MOMENT`]: there may be none before the first request (`cheap`);
//! 3. then while a child of the master would lose the signal, at most for [`BIRTHS`]: further workers, and apps that each worker loads for itself.
//!
//! After a reload in its own process a uwsgi does not say again that it has loaded, so the first two are one, of [`RELOAD`] at most.
//!
//! Deliberately not here: a worker that is forked later, because another one has died. It cannot be told from one that has its handlers.

use std::time::{Duration, Instant};

use liege_plan::AppWord;
use liege_sys::{
    processes::Processes,
    signals::{SIGHUP, SIGINT, SIGTERM},
};

use crate::relay::Order;

/// From the end of the load until the first worker accepts, where nothing but the fork is to be done.
const MOMENT: Duration = Duration::from_secs(1);
/// From then on until no worker is born any more.
const BIRTHS: Duration = Duration::from_secs(5);
/// From the begin of a reload until the first worker accepts.
const RELOAD: Duration = Duration::from_secs(10);
/// Between two looks at what no event tells.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How far a uwsgi has come, and the order that it would not hear yet.
#[derive(Debug, Default)]
pub(crate) struct Hearing {
    /// From this moment on orders are read, and the first worker hears. None: not known yet.
    from: Option<Instant>,
    held: Option<Order>,
    /// A worker was born when it was looked at last.
    again: Option<Instant>,
}

impl Hearing {
    /// It has said something.
    pub(crate) fn said(&mut self, word: AppWord, now: Instant) {
        match word {
            AppWord::Ready => self.from = Some(now + MOMENT),
            AppWord::WantsConfig => self.from = Some(now + RELOAD),
            AppWord::Accepting => self.from = Some(now),
            AppWord::Loyal | AppWord::Heartbeat | AppWord::Leaving | AppWord::Sos | AppWord::Unknown(_) => {}
        }
    }

    /// It has come as far as making workers, once at least. One that has not has done nothing but load.
    pub(crate) fn has_loaded(&self) -> bool {
        self.from.is_some()
    }

    /// To be said as soon as it is heard.
    pub(crate) fn hold(&mut self, order: Order) {
        self.held = Some(order);
    }

    /// When to ask again whether it is heard, if no word of its comes before.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.held.and(self.again.max(self.from))
    }

    /// The order, if it is heard now. `loses`: a worker would lose it.
    pub(crate) fn take(&mut self, now: Instant, loses: impl FnOnce(Order) -> bool) -> Option<Order> {
        let (order, from) = (self.held?, self.from?);
        if now < from {
            return None;
        }
        if now < from + BIRTHS && loses(order) {
            self.again = Some(now + LOOK_AGAIN);
            return None;
        }
        self.held.take()
    }
}

/// Whether a worker of this master would lose the signal of an order. uwsgi ignores SIGTERM from its first line on, and a process that it forks
/// takes a handler for it together with all others; a signal without any handler ends it.
pub(crate) fn is_lost(order: Order, master: i32, processes: &Processes) -> bool {
    let signal = match order {
        Order::Stop => SIGINT,
        Order::StopGracefully | Order::Reload => SIGHUP,
    };
    let children = processes.children_of(master).into_iter().filter_map(|pid| processes.takes(pid));
    children.into_iter().any(|takes| takes.ignores(SIGTERM) && (takes.catches(signal) || takes.ignores(signal)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEARS: fn(Order) -> bool = |_| false;
    const LOSES: fn(Order) -> bool = |_| true;

    fn asked(words: &[AppWord], now: Instant) -> Hearing {
        let mut hearing = Hearing::default();
        words.iter().for_each(|word| hearing.said(*word, now));
        hearing.hold(Order::Stop);
        hearing
    }

    #[test]
    fn it_is_said_at_once_where_the_workers_hear() {
        let now = Instant::now();
        let mut hearing = asked(&[AppWord::Ready, AppWord::Accepting], now);
        assert_eq!((hearing.take(now, HEARS), hearing.take(now, HEARS)), (Some(Order::Stop), None));
        assert_eq!(hearing.due(), None);
    }

    #[test]
    fn it_waits_for_the_load_and_for_the_first_worker() {
        let now = Instant::now();
        let mut hearing = asked(&[], now);
        assert_eq!((hearing.take(now + Duration::from_secs(100), HEARS), hearing.due()), (None, None));
        hearing.said(AppWord::Ready, now);
        assert_eq!((hearing.take(now, HEARS), hearing.due()), (None, Some(now + MOMENT)), "it may never have a worker");
        hearing.said(AppWord::Accepting, now);
        assert_eq!(hearing.take(now, HEARS), Some(Order::Stop));
    }

    #[test]
    fn one_that_makes_no_workers_is_told_after_a_moment() {
        for (word, moment) in [(AppWord::Ready, MOMENT), (AppWord::WantsConfig, RELOAD)] {
            let now = Instant::now();
            let mut hearing = asked(&[AppWord::Ready, AppWord::Accepting, word], now);
            assert_eq!(hearing.take(now + moment - LOOK_AGAIN, HEARS), None);
            assert_eq!(hearing.take(now + moment, HEARS), Some(Order::Stop));
        }
    }

    #[test]
    fn it_waits_for_workers_that_are_being_born_and_not_for_ever() {
        let now = Instant::now();
        let mut hearing = asked(&[AppWord::Accepting], now);
        assert_eq!((hearing.take(now, LOSES), hearing.due()), (None, Some(now + LOOK_AGAIN)));
        assert_eq!(hearing.take(now + BIRTHS, LOSES), Some(Order::Stop));
    }
}
