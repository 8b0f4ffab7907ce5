//! What is counted while the daemon runs: told by the loop, read by whoever scrapes.
//!
//! Everything here is a number behind an atomic or a short lock of its own, so neither side waits for the other.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Instant, SystemTime},
};

use liege_core::{Event, Name, Note, Time};
use liege_plan::FromInit;
use prometheus_client::metrics::{counter::Counter, family::Family, histogram::Histogram};

/// Bounds of the buckets for what takes as long as a program's start, and for what takes as long as a system call.
const OF_STARTS: [f64; 14] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];
const OF_CALLS: [f64; 16] =
    [0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 2.5, 10.0];

type ByWord = Family<[(&'static str, String); 1], Counter>;

/// All counters and histograms.
#[derive(Debug)]
pub(crate) struct Book {
    pub(super) began: (Instant, SystemTime),
    pub(super) ends: ByWord,
    pub(super) mountpoint_changes: ByWord,
    pub(super) config_errors: Counter,
    pub(super) storms: Counter,
    pub(super) held_up: Counter,
    pub(super) unsaved: Counter,
    pub(crate) fuse_aborts: Counter,
    pub(crate) prober_restarts: Counter,
    pub(crate) inotify_overflows: Counter,
    pub(crate) guests_refused: Counter,
    pub(super) start: Histogram,
    pub(super) ready: Histogram,
    pub(super) reload: Histogram,
    pub(super) recovery: Histogram,
    pub(super) check: Histogram,
    pub(super) turn: Histogram,
    failed: Mutex<Failed>,
}

/// Since when who is not well. Only the loop looks in here.
#[derive(Debug, Default)]
struct Failed {
    /// The app of these ended: perhaps because it was asked to.
    app_left: HashMap<Name, Time>,
    /// These failed and are not back.
    down: HashMap<Name, Time>,
}

impl Default for Book {
    fn default() -> Self {
        let [start, ready, reload, recovery] = std::array::from_fn(|_| Histogram::new(OF_STARTS));
        let [check, turn] = std::array::from_fn(|_| Histogram::new(OF_CALLS));
        Self {
            began: (Instant::now(), SystemTime::now()),
            ends: ByWord::default(),
            mountpoint_changes: ByWord::default(),
            config_errors: Counter::default(),
            storms: Counter::default(),
            held_up: Counter::default(),
            unsaved: Counter::default(),
            fuse_aborts: Counter::default(),
            prober_restarts: Counter::default(),
            inotify_overflows: Counter::default(),
            guests_refused: Counter::default(),
            start,
            ready,
            reload,
            recovery,
            check,
            turn,
            failed: Mutex::default(),
        }
    }
}

impl Book {
    /// Something happened, and the core will be told.
    pub(crate) fn see(&self, now: Time, event: &Event) {
        match event {
            // Who is late is told of again and again; how long it took is known with the answer.
            Event::Probed { probed, .. } if probed.late.is_none() => self.check.observe(seconds(probed.micros)),
            Event::Reported { vassal, report: FromInit::AppExited { .. }, .. } => {
                self.failed(|failed| failed.app_left.insert(vassal.clone(), now));
            }
            _ => {}
        }
    }

    /// The core says that something happened. `ready`: whether the vassal it is about is ready now.
    pub(crate) fn hear(&self, now: Time, note: &Note, ready: bool) {
        match note {
            Note::Started { vassal, took, .. } => {
                self.start.observe(took.as_secs_f64());
                if ready {
                    self.is_ready(now, vassal, *took);
                }
            }
            Note::Reloaded { vassal, took } => {
                self.reload.observe(took.as_secs_f64());
                if ready {
                    self.is_ready(now, vassal, *took);
                }
            }
            Note::Ready { vassal, took } => self.is_ready(now, vassal, *took),
            Note::Destroying { vassal, why, .. } if why.is_failure() => {
                self.failed(|failed| _ = failed.down.entry(vassal.clone()).or_insert(now));
            }
            Note::Ended { vassal, cause, .. } => {
                self.ends.get_or_create(&[("cause", cause.word().to_owned())]).inc();
                self.failed(|failed| {
                    let known = failed.app_left.remove(vassal).unwrap_or(now);
                    if cause.is_failure() {
                        failed.down.entry(vassal.clone()).or_insert(known);
                    } else {
                        failed.down.remove(vassal);
                    }
                });
            }
            // Whoever starts it again ends no failure.
            Note::Suspended { vassal } | Note::GaveUp { vassal, .. } | Note::Gone { vassal } => {
                self.failed(|failed| _ = failed.down.remove(vassal))
            }
            Note::Mount { state, .. } => _ = self.mountpoint_changes.get_or_create(&[("state", state.clone())]).inc(),
            Note::BadConfig { .. } => _ = self.config_errors.inc(),
            Note::Storm { .. } => _ = self.storms.inc(),
            Note::HeldUp { .. } => _ = self.held_up.inc(),
            Note::Unsaved { .. } => _ = self.unsaved.inc(),
            _ => {}
        }
    }

    /// A turn of the loop is over.
    pub(crate) fn turned(&self, began: Instant) {
        self.turn.observe(began.elapsed().as_secs_f64());
    }

    fn is_ready(&self, now: Time, vassal: &Name, took: std::time::Duration) {
        self.ready.observe(took.as_secs_f64());
        if let Some(since) = self.failed(|failed| failed.down.remove(vassal)) {
            self.recovery.observe((now - since).as_secs_f64());
        }
    }

    fn failed<T>(&self, change: impl FnOnce(&mut Failed) -> T) -> T {
        change(&mut self.failed.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Microseconds as the unit of the exposition.
#[allow(clippy::cast_precision_loss, reason = "exact for 285 years")]
pub(super) fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use liege_core::Cause;
    use liege_plan::Exit;

    use super::*;

    fn at(millis: u64) -> Time {
        Time(millis * 1000)
    }

    fn ended(cause: Cause) -> Note {
        Note::Ended { vassal: "a.ini".into(), cause, lived: Duration::ZERO, again_in: None, owner: None, gave_up: false }
    }

    fn started() -> Note {
        Note::Started { vassal: "a.ini".into(), pid: 2, took: Duration::from_millis(5) }
    }

    /// How often, and how long together in milliseconds.
    fn recovered(book: &Arc<Book>) -> (u64, u64) {
        let text = crate::metrics::exposition(&Arc::default(), book);
        let of = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("liege_recovery_duration_seconds_{name} ")));
            line.unwrap().parse::<f64>().unwrap()
        };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
        (of("count") as u64, (of("sum") * 1000.0).round() as u64)
    }

    #[test]
    fn a_recovery_lasts_from_what_was_known_first_to_ready() {
        let book = Arc::<Book>::default();
        let dead = || Cause::MountpointDead { path: "/app".into(), errno: 107, daemon: None, seen: None, called: None };
        book.hear(at(10), &started(), true);
        assert_eq!(recovered(&book), (0, 0), "a first start is none");
        book.hear(at(100), &Note::Destroying { vassal: "a.ini".into(), why: dead(), lived: Duration::ZERO, owner: None }, false);
        book.hear(at(110), &ended(dead()), false);
        book.hear(at(120), &started(), false);
        assert_eq!(recovered(&book).0, 0, "it runs and is not ready");
        // It fails once more on its way back.
        book.hear(at(130), &ended(Cause::ReadyTimeout), false);
        book.hear(at(150), &started(), false);
        book.hear(at(160), &Note::Ready { vassal: "a.ini".into(), took: Duration::from_millis(15) }, true);
        assert_eq!(recovered(&book), (1, 60));
    }

    #[test]
    fn an_app_that_leaves_is_down_from_then_on_unless_it_was_asked_to() {
        let book = Arc::<Book>::default();
        let left = |time, code| {
            let report = FromInit::AppExited { exit: Exit::Code(code), said: None };
            book.see(time, &Event::Reported { vassal: "a.ini".into(), birth: 1, report });
        };
        left(at(100), 0);
        book.hear(at(400), &ended(Cause::ConfigChanged), false);
        book.hear(at(500), &started(), true);
        assert_eq!(recovered(&book), (0, 0));
        left(at(600), 1);
        book.hear(at(650), &ended(Cause::Exit { code: 1, at_reload: false, said: None, about: None }), false);
        book.hear(at(700), &started(), true);
        assert_eq!(recovered(&book), (1, 100));
        // One that was stopped while it waited is started when somebody wants it.
        book.hear(at(710), &ended(Cause::Exit { code: 1, at_reload: false, said: None, about: None }), false);
        book.hear(at(720), &Note::Suspended { vassal: "a.ini".into() }, false);
        book.hear(at(790), &started(), true);
        // One that is gone never comes back.
        book.hear(at(800), &ended(Cause::Exit { code: 1, at_reload: false, said: None, about: None }), false);
        book.hear(at(800), &Note::Gone { vassal: "a.ini".into() }, false);
        book.hear(at(900), &started(), true);
        assert_eq!(recovered(&book).0, 1);
    }
}
