//! What a vassal did lately, in slots of equal length: the daemon only knows how it is now.

use std::collections::VecDeque;

use liege_core::{Time, VassalView};

use crate::words::restarts;

/// So many slots are kept.
const SLOTS: usize = 64;

/// Processor time is measured over at least so many microseconds: snapshots may follow each other closely.
const CPU_OVER: u64 = 1_000_000;

/// One vassal's past, as far as this program has seen it.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// The slowest check of each slot, in microseconds; None: no mount was looked at. The newest last.
    pub(crate) latency: VecDeque<Option<u64>>,
    /// Ends in each slot.
    pub(crate) ends: VecDeque<u64>,
    /// Share of a processor, once two snapshots could be compared.
    pub(crate) cpu: Option<f64>,
    /// All its ends, when it was last seen.
    known: Option<u64>,
    last_latency: Option<u64>,
    worst: Option<u64>,
    ended: u64,
    measured: Option<(Time, f64)>,
}

impl History {
    pub(crate) fn see(&mut self, vassal: &VassalView, now: Time) {
        self.last_latency = vassal.mounts.iter().filter(|mount| mount.health.is_some()).map(|mount| mount.micros).max();
        self.worst = self.worst.max(self.last_latency);
        let ends = restarts(vassal);
        // What happened before we looked is none of these slots.
        self.ended += ends.saturating_sub(self.known.unwrap_or(ends));
        self.known = Some(ends);
        self.measure(vassal.usage.map(|usage| usage.cpu), now);
    }

    #[allow(clippy::cast_precision_loss, reason = "a few seconds in microseconds")]
    fn measure(&mut self, used: Option<f64>, now: Time) {
        let Some(used) = used else {
            (self.cpu, self.measured) = (None, None);
            return;
        };
        match self.measured {
            Some((since, before)) if used >= before => {
                let over = now.0.saturating_sub(since.0);
                if over >= CPU_OVER {
                    self.cpu = Some((used - before) / (over as f64 / 1e6));
                    self.measured = Some((now, used));
                }
            }
            // The first look, or another life.
            Some(_) | None => (self.cpu, self.measured) = (None, Some((now, used))),
        }
    }

    /// Nothing has changed for a while, so nothing was used either.
    pub(crate) fn rest(&mut self) {
        self.cpu = self.measured.map(|_| 0.0);
    }

    /// A slot is over.
    pub(crate) fn next_slot(&mut self) {
        self.latency.push_back(self.worst.max(self.last_latency));
        self.ends.push_back(self.ended);
        (self.worst, self.ended) = (None, 0);
        while self.latency.len() > SLOTS {
            self.latency.pop_front();
            self.ends.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use liege_core::{Health, MountView, Usage};

    use super::*;
    use crate::testing::vassal;

    fn seen(history: &mut History, micros: u64, ends: u64, cpu: f64, second: u64) {
        let of = VassalView {
            mounts: vec![MountView { health: Some(Health::Healthy), micros, ..MountView::new("/app") }],
            restarts: vec![("exit".into(), ends)],
            usage: Some(Usage { processes: 1, rss: 1, cpu }),
            ..vassal("a.ini")
        };
        history.see(&of, Time(second * 1_000_000));
    }

    #[test]
    fn a_slot_has_its_slowest_check_and_all_its_ends() {
        let mut history = History::default();
        seen(&mut history, 40, 7, 0.0, 1);
        seen(&mut history, 900, 8, 0.0, 2);
        seen(&mut history, 30, 10, 0.0, 3);
        history.next_slot();
        history.next_slot(); // nothing was heard: the last answer stands
        assert_eq!(history.latency, [Some(900), Some(30)]);
        assert_eq!(history.ends, [3, 0], "the seven before are not of this slot");
        (0..100).for_each(|_| history.next_slot());
        assert_eq!((history.latency.len(), history.ends.len()), (SLOTS, SLOTS));
    }

    #[test]
    fn processor_time_is_a_share_between_two_looks() {
        let mut history = History::default();
        seen(&mut history, 1, 0, 10.0, 1);
        assert_eq!(history.cpu, None);
        seen(&mut history, 1, 0, 11.0, 3);
        assert_eq!(history.cpu, Some(0.5));
        seen(&mut history, 1, 1, 0.2, 4);
        assert_eq!(history.cpu, None, "another life begins at nothing");
    }
}
