//! After a reload a uwsgi says "accepting" and never "ready" again: that must be enough, or it dies of its `ready-timeout`.

#[path = "world/specs.rs"]
#[allow(unreachable_pub, reason = "shared with the invariants, where it is a room of its own")]
mod specs;

use std::time::Duration;

use liege_core::{Action, Emperor, Event, Order, Phase, ROOT, Request, Time};
use liege_plan::{AppWord, FromInit};

/// A uwsgi that has said these words, was reloaded, has said those, and an hour has passed.
fn an_hour_after_a_reload(first: &[AppWord], again: &[AppWord]) -> (Phase, bool) {
    let mut emperor = Emperor::new(&specs::emperor(), 2, specs::LIMITS);
    let mut now = Time(0);
    let mut feed = |event| {
        now = now + Duration::from_secs(1); // until a uwsgi that is ready can be reloaded
        emperor.handle(now, Event::Deadline);
        emperor.handle(now, event)
    };
    let told = |report| Event::Reported { vassal: specs::name(0), birth: 1, report };
    let config = specs::config(0, 0).into();
    feed(Event::Config { vassal: specs::name(0), config, directory: "/v".into(), touched: true, file: None });
    feed(Event::Spawned { vassal: specs::name(0), birth: 1, pid: 2 });
    feed(told(FromInit::Started { pid: 2 }));
    first.iter().for_each(|word| drop(feed(told(FromInit::Said(*word)))));
    feed(Event::Asked(Request::Each { order: Order::Reload, by: ROOT }));
    feed(told(FromInit::Started { pid: 2 }));
    again.iter().for_each(|word| drop(feed(told(FromInit::Said(*word)))));
    let mut destroyed = false;
    let end = Time(3_600_000_000);
    while let Some(at) = emperor.next_deadline().filter(|at| *at < end) {
        destroyed |= emperor.handle(at, Event::Deadline).iter().any(|action| matches!(action, Action::Kill { .. }));
        if destroyed {
            break;
        }
    }
    (emperor.view(end).vassals[0].phase, destroyed)
}

#[test]
fn accepting_is_ready() {
    let first = [AppWord::Ready, AppWord::Accepting];
    assert_eq!(an_hour_after_a_reload(&first, &[AppWord::Accepting]), (Phase::Running, false));
    assert_eq!(an_hour_after_a_reload(&first, &[AppWord::Loyal]), (Phase::Running, false));
}

#[test]
fn one_that_never_accepts_is_not_asked_for_it() {
    assert_eq!(an_hour_after_a_reload(&[AppWord::Ready], &[]), (Phase::Running, false));
}

#[test]
fn one_that_hangs_after_its_reload_is_destroyed() {
    assert_eq!(an_hour_after_a_reload(&[AppWord::Ready, AppWord::Accepting], &[]), (Phase::Killing, true));
}
