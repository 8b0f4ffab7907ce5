//! A reload: its steps, then the app in its own process where that is enough, else a new one; the jail stays as it is.
#![allow(missing_docs)]

mod world;

use liege_plan::{Act, Exit, FromInit, Phase, Place, Step, ToInit};
use liege_sys::wait::Ended;
use world::*;

#[test]
fn a_reload_signal_goes_to_an_app_that_stays_the_same() {
    let mut app = shell("trap 'echo reloaded' HUP; echo up; while :; do sleep infinity & wait; done");
    app.reload_signal = Some(1);
    let mut vassal = Vassal::start(plan(app.clone()));
    let pid = vassal.started();
    assert_eq!(vassal.line(), "up");
    vassal.reload(vec![exec("echo step")], app);
    assert_eq!(vassal.line(), "step");
    assert_eq!(vassal.line(), "reloaded");
    assert_eq!(vassal.started(), pid);
}

#[test]
fn an_app_without_a_reload_signal_is_replaced() {
    let app = shell("trap 'echo bye; exit' TERM; echo up; sleep infinity & wait");
    let mut vassal = Vassal::start(plan(app.clone()));
    let first = vassal.started();
    assert_eq!(vassal.line(), "up");
    vassal.reload(vec![], app);
    assert_ne!(vassal.started(), first);
    assert_eq!(vassal.line(), "bye");
    assert_eq!(vassal.line(), "up");
}

#[test]
fn other_words_replace_an_app_that_has_a_reload_signal() {
    let mut app = shell("echo first; sleep infinity");
    app.reload_signal = Some(1);
    let mut vassal = Vassal::start(plan(app.clone()));
    let first = vassal.started();
    assert_eq!(vassal.line(), "first");
    app.program = liege_plan::Program::Shell("echo second; sleep infinity".into());
    vassal.reload(vec![], app);
    assert_ne!(vassal.started(), first);
    assert_eq!(vassal.line(), "second");
}

#[test]
fn an_app_that_ignores_its_stop_signal_is_killed_with_its_group() {
    let mut app = shell("trap '' TERM; echo up; sleep infinity & wait; wait");
    app.stop_timeout_ms = 50;
    let mut vassal = Vassal::start(plan(app));
    vassal.started();
    assert_eq!(vassal.line(), "up");
    vassal.reload(vec![], idle());
    // The sleep of the old one's group dies with it, as an orphan of ours, before or after the new one starts.
    let (mut orphan, mut started) = (None, false);
    vassal.hears_until(|message| {
        match message {
            FromInit::OrphanDied { exit, .. } => orphan = Some(*exit),
            FromInit::Started { .. } => started = true,
            _ => {}
        }
        (orphan.is_some() && started).then_some(())
    });
    assert_eq!(orphan, Some(Exit::Signal(9)));
}

#[test]
fn a_replaced_app_hands_over_its_port_and_leaves_no_word_of_its_end() {
    let mut vassal = Vassal::start(plan(idle()));
    vassal.started();
    vassal.reload(vec![], shell("exit 5"));
    vassal.started();
    assert_eq!(vassal.app_exited(), Exit::Code(5), "the end that is told is the new one's");
    assert_eq!(vassal.ends(), Ended::Code(5));
}

#[test]
fn a_failed_step_of_a_reload_leaves_the_app_as_it_was() {
    let app = shell("trap 'exit 8' TERM; echo up; sleep infinity & wait");
    let mut vassal = Vassal::start(plan(app.clone()));
    let first = vassal.started();
    assert_eq!(vassal.line(), "up");
    vassal.reload(vec![surroundings(&["A=new"]), exec("exit 4"), exec("echo never")], idle());
    let detail = "exited with status 4".to_owned();
    assert_eq!(vassal.failed(), FromInit::Failed { at: Place::Step(1), errno: 0, detail, fatal: false });
    vassal.hears_until(|message| matches!(message, FromInit::Kept).then_some(()));
    // The next one is a reload like any other, of what was there before.
    vassal.reload(vec![exec("echo A=$A")], shell("echo \"second $A\"; sleep infinity"));
    assert_eq!(vassal.line(), "A=");
    assert_ne!(vassal.started(), first);
    assert_eq!(vassal.line(), "second ");
}

#[test]
fn what_the_file_tells_no_more_is_gone_at_the_next_app() {
    let app = shell("echo \"app $A $(umask)\"; sleep infinity");
    let mut walk = plan(app.clone());
    walk.steps.push(Step::root(Phase::Asap, Act::Surroundings { env: vec!["A=told".into()], umask: Some(0o77) }));
    let mut vassal = Vassal::start(walk);
    vassal.started();
    assert_eq!(vassal.line(), "app told 0077");
    vassal.reload(vec![surroundings(&[])], app);
    assert_eq!(vassal.line(), "app  0022");
}

fn surroundings(env: &[&str]) -> Step {
    Step::root(Phase::Asap, Act::Surroundings { env: env.iter().map(|pair| (*pair).to_owned()).collect(), umask: None })
}

#[test]
fn a_stop_during_a_reload_ends_the_running_app() {
    let mut vassal = Vassal::start(plan(shell("trap 'exit 8' TERM; echo up; sleep infinity & wait")));
    vassal.started();
    assert_eq!(vassal.line(), "up");
    vassal.reload(vec![exec("echo step; sleep infinity")], idle());
    assert_eq!(vassal.line(), "step");
    vassal.tell(&ToInit::Stop);
    assert_eq!(vassal.app_exited(), Exit::Code(8));
    assert_eq!(vassal.ends(), Ended::Code(8));
}

#[test]
fn an_app_that_dies_during_a_reload_is_told_and_ends_the_vassal() {
    let mut vassal = Vassal::start(plan(shell("read x < /proc/1/cmdline; echo up; sleep infinity")));
    let app = vassal.started();
    assert_eq!(vassal.line(), "up");
    vassal.reload(vec![exec(&format!("kill -9 {app}; sleep infinity"))], idle());
    assert_eq!(vassal.app_exited(), Exit::Signal(9));
    assert_eq!(vassal.ends(), Ended::Code(137));
}

#[test]
fn the_steps_of_the_end_are_those_of_the_last_reload() {
    let mut plan = plan(idle());
    plan.at_exit.push(exec("echo old"));
    let mut vassal = Vassal::start(plan);
    vassal.started();
    let reload = liege_plan::Reload {
        steps: vec![],
        base: liege_plan::Base::default(),
        app: shell("exit 0"),
        at_exit: vec![exec("echo new")],
        at_exit_timeout_ms: 1000,
        log: None,
    };
    vassal.tell(&ToInit::Reload(Box::new(reload)));
    assert_eq!(vassal.ends(), Ended::Code(0));
    assert_eq!(vassal.printed(), "new\n");
}
