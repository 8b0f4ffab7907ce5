//! An app that leaves where a reload was asked for has reloaded in its way: that is no failure. At any other time it is one.

#[path = "world/specs.rs"]
#[allow(unreachable_pub, reason = "shared with the invariants, where it is a room of its own")]
mod specs;

use std::time::Duration;

use liege_core::{Action, Cause, Emperor, Event, Note, Order, ROOT, Request, Time};
use liege_plan::{Exit, FromInit};

const HUP: i32 = 1;
const STOP: Duration = Duration::from_secs(10);

/// What became of the reload before the app ended.
enum Reload {
    None,
    UnderWay,
    /// It was begun, and the app of this pid runs since then.
    Done {
        pid: i32,
        ago: Duration,
    },
    GivenUp,
}

/// The cause of the end of a command with a reload-signal, and in how many seconds it starts again.
fn end(reload: &Reload, exit: Exit) -> (Cause, Option<Duration>) {
    let mut emperor = Emperor::new(&specs::emperor(), 2, specs::LIMITS);
    let mut now = Time(1_000_000);
    let told = |report| Event::Reported { vassal: specs::name(0), birth: 1, report };
    let mut config = specs::config(0, 1);
    for spec in [&mut config.fresh, &mut config.again] {
        (spec.app.reload_signal, spec.timeouts.stop) = (Some(HUP), STOP);
        spec.checks.clear();
    }
    let mut feed = |now, event| {
        emperor.handle(now, Event::Deadline);
        emperor.handle(now, event)
    };
    feed(now, Event::Config { vassal: specs::name(0), config: config.into(), directory: "/v".into(), touched: true, file: None });
    feed(now, Event::Spawned { vassal: specs::name(0), birth: 1, pid: 2 });
    feed(now, told(FromInit::Started { pid: 2 }));
    now = now + Duration::from_secs(60);
    if !matches!(reload, Reload::None) {
        feed(now, Event::Asked(Request::Each { order: Order::Reload, by: ROOT }));
    }
    match reload {
        Reload::None | Reload::UnderWay => {}
        Reload::Done { pid, ago } => {
            feed(now, told(FromInit::Walked));
            feed(now, told(FromInit::Started { pid: *pid }));
            now = now + *ago;
        }
        Reload::GivenUp => drop(feed(now, told(FromInit::Kept))),
    }
    feed(now, told(FromInit::AppExited { exit, said: None }));
    let ends = feed(now, Event::Exited { vassal: specs::name(0), birth: 1, exit: Exit::Code(0) });
    let ended = ends.into_iter().find_map(|action| match action {
        Action::Note(Note::Ended { cause, again_in, .. }) => Some((cause, again_in)),
        _ => None,
    });
    ended.expect("it ended")
}

const NOW: Reload = Reload::Done { pid: 2, ago: Duration::from_millis(1) };

#[test]
fn an_end_in_order_or_by_the_reloads_own_signal_is_no_failure() {
    for reload in [&NOW, &Reload::UnderWay, &Reload::Done { pid: 2, ago: Duration::from_secs(9) }] {
        for exit in [Exit::Code(0), Exit::Signal(HUP)] {
            let (cause, again_in) = end(reload, exit);
            assert_eq!((cause.word(), cause.is_failure(), again_in), ("reload", false, Some(Duration::ZERO)), "{cause}");
        }
    }
    assert_eq!(end(&NOW, Exit::Code(0)).0.to_string(), "it ended at a reload: the app exited with status 0");
    assert_eq!(end(&NOW, Exit::Signal(HUP)).0.to_string(), "it ended at a reload: the app was killed by SIGHUP");
}

#[test]
fn every_other_end_at_a_reload_is_one_and_says_where_it_came() {
    let replaced = Reload::Done { pid: 3, ago: Duration::ZERO };
    for (reload, exit, says) in [
        (&NOW, Exit::Code(3), "the app exited with status 3 at a reload"),
        (&Reload::UnderWay, Exit::Signal(11), "the app was killed by SIGSEGV at a reload"),
        (&replaced, Exit::Code(0), "the app exited with status 0 at a reload"),
    ] {
        let cause = end(reload, exit).0;
        assert_eq!((cause.to_string().as_str(), cause.is_failure()), (says, true));
    }
}

#[test]
fn without_a_reload_and_long_after_it_an_end_is_the_apps_own() {
    let long_ago = Reload::Done { pid: 2, ago: STOP };
    for reload in [Reload::None, Reload::GivenUp, long_ago] {
        for exit in [Exit::Code(0), Exit::Signal(HUP)] {
            assert_eq!(end(&reload, exit).0, Cause::of_app(exit, None));
        }
    }
}
