//! The OOM killer leaves a SIGKILL. Where its counter moved just before, it is the cause; at any other time it is not.

#[path = "world/specs.rs"]
#[allow(unreachable_pub, reason = "shared with the invariants, where it is a room of its own")]
mod specs;

use std::time::Duration;

use liege_core::{Action, Cause, Emperor, Event, Health, Note, Probed, Time};
use liege_plan::{DaemonNews, Exit, FromInit, Place};

/// A running vassal whose OOM kills were told so long before `then`; the cause of its end.
fn cause(before: Option<Duration>, then: &[Event]) -> Cause {
    let mut emperor = Emperor::new(&specs::emperor(), 2, specs::LIMITS);
    let now = Time(1_000_000);
    let config = specs::config(0, 1).into();
    emperor.handle(now, Event::Config { vassal: specs::name(0), config, directory: "/v".into(), touched: true, file: None });
    emperor.handle(now, Event::Spawned { vassal: specs::name(0), birth: 1, pid: 2 });
    emperor.handle(now, told(FromInit::Started { pid: 2 }));
    if before.is_some() {
        emperor.handle(now, Event::OomKilled { vassal: specs::name(0), birth: 1, kills: 1, around: None });
    }
    let then_at = now + before.unwrap_or_default();
    let ends = then.iter().chain([&exited()]).flat_map(|event| emperor.handle(then_at, event.clone())).collect::<Vec<_>>();
    let ended = ends.into_iter().find_map(|action| match action {
        Action::Note(Note::Ended { cause, .. }) => Some(cause),
        _ => None,
    });
    ended.expect("it ended")
}

fn told(report: FromInit) -> Event {
    Event::Reported { vassal: specs::name(0), birth: 1, report }
}

fn exited() -> Event {
    Event::Exited { vassal: specs::name(0), birth: 1, exit: Exit::Signal(9) }
}

fn app(exit: Exit) -> Event {
    told(FromInit::AppExited { exit, said: None })
}

const NOW: Option<Duration> = Some(Duration::from_millis(1));

#[test]
fn a_sigkill_right_after_it_is_its_work() {
    let oom = Cause::Oom { what: "the app was killed by SIGKILL".into() };
    assert_eq!(cause(NOW, &[app(Exit::Signal(9))]), oom);
    assert_eq!(cause(NOW, &[]).word(), "oom", "init itself");
    assert_eq!(cause(NOW, &[app(Exit::Code(137))]).word(), "oom", "a shell tells of its child");
    let dead = Probed::of(Health::Dead { errno: 107 });
    let mount = Event::Probed { vassal: specs::name(0), birth: 1, path: "/app".into(), probed: dead };
    assert_eq!(cause(NOW, &[mount]).word(), "oom", "the daemon of a mount");
}

#[test]
fn without_it_or_long_after_it_or_by_something_else_it_is_not() {
    assert_eq!(cause(None, &[app(Exit::Signal(9))]), Cause::Signal { signal: 9, at_reload: false, said: None });
    assert_eq!(
        cause(Some(Duration::from_secs(60)), &[app(Exit::Signal(9))]),
        Cause::Signal { signal: 9, at_reload: false, said: None }
    );
    assert_eq!(cause(NOW, &[app(Exit::Code(1))]), Cause::Exit { code: 1, at_reload: false, said: None, about: None });
    assert_eq!(cause(NOW, &[app(Exit::Signal(11))]), Cause::Signal { signal: 11, at_reload: false, said: None });
}

/// Of a vassal without a group of its own it is known only that the OOM killer was at work around it.
#[test]
fn at_work_around_it_a_sigkill_is_its_work_and_says_where() {
    let around = Event::OomKilled { vassal: specs::name(0), birth: 1, kills: 1, around: Some("in the group /x".into()) };
    let oom = Cause::Oom { what: "in the group /x: the app was killed by SIGKILL".into() };
    assert_eq!(cause(None, &[around.clone(), app(Exit::Signal(9))]), oom);
    assert_eq!(cause(None, &[around.clone(), app(Exit::Signal(11))]).word(), "signal");
    let dead = Probed::of(Health::Dead { errno: 107 });
    let mount = Event::Probed { vassal: specs::name(0), birth: 1, path: "/app".into(), probed: dead };
    assert_eq!(cause(None, &[around.clone(), mount.clone()]).word(), "mountpoint_dead", "whose daemon it took is not known");

    let orphan = |exit| told(FromInit::OrphanDied { pid: 5, exit, name: Some("fuse-zip".into()) });
    let died = cause(None, &[around.clone(), orphan(Exit::Signal(9)), mount.clone()]);
    let Cause::Oom { what } = died else { panic!("{died}") };
    assert!(
        what.starts_with("in the group /x: the mount at /app is dead: ENOTCONN") && what.contains("fuse-zip (pid 5"),
        "{what}"
    );
    assert_eq!(cause(None, &[around.clone(), orphan(Exit::Signal(11)), mount]).word(), "mountpoint_dead", "it crashed");

    let hook = |detail: &str| told(FromInit::Failed { at: Place::Step(0), errno: 0, detail: detail.into(), fatal: true });
    for (detail, word) in
        [("killed by SIGKILL", "oom"), ("exited with status 137", "oom"), ("exited with status 1", "hook_failed")]
    {
        assert_eq!(cause(None, &[around.clone(), hook(detail)]).word(), word, "{detail}");
    }
    let daemon = |exit| {
        let news = DaemonNews::Ended { exit: Some(exit), again_in_ms: None, said: None };
        told(FromInit::Daemon { index: 0, news })
    };
    assert_eq!(cause(None, &[around.clone(), daemon(Exit::Signal(9))]).word(), "oom");
    assert_eq!(cause(None, &[around, daemon(Exit::Code(1))]).word(), "daemon_ended");
}
