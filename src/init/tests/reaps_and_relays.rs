//! pid 1's duties beside the walk: orphans, signals, the host's end.
#![allow(missing_docs)]

mod world;

use std::time::Instant;

use liege_plan::{Act, Exit, FromInit, Phase, Place, Step, ToInit};
use liege_sys::{descendants, pidfd, wait::Ended};
use world::*;

#[test]
fn an_orphan_is_reaped_and_its_death_is_told() {
    // The subshell's child loses its parent, ends when it is told to, and belongs to pid 1 then.
    let mut plan = plan(shell("read go; exec sleep infinity"));
    plan.steps.push(exec("( ( exit 9 ) & )"));
    let mut vassal = Vassal::start(plan);
    let (pid, exit) = vassal.orphan_died();
    assert!(pid > 1);
    assert_eq!(exit, Exit::Code(9));
}

#[test]
fn an_orphan_that_dies_while_a_hook_runs_is_told_before_the_hook_ends() {
    let dir = Dir::new("fifo");
    let fifo = dir.file("go");
    let mut plan = plan(idle());
    plan.steps
        .push(exec(&format!("mkfifo {fifo}; ( ( kill -9 $(exec sh -c 'echo $PPID') ) & ) ; ( ( exit 5 ) & ); read go < {fifo}")));
    let mut vassal = Vassal::start(plan);
    let mut exits = vec![vassal.orphan_died().1, vassal.orphan_died().1];
    exits.sort_by_key(|e| format!("{e:?}"));
    assert_eq!(exits, [Exit::Code(5), Exit::Signal(9)]);
    std::fs::write(&fifo, "\n").unwrap();
    vassal.started();
}

#[test]
fn a_killed_app_is_told_with_its_signal_and_ends_the_vassal() {
    let mut vassal = Vassal::start(plan(shell("kill -9 $$")));
    vassal.started();
    assert_eq!(vassal.app_exited(), Exit::Signal(9));
    assert_eq!(vassal.ends(), Ended::Code(137));
}

#[test]
fn signals_are_passed_on_to_the_app() {
    let script = "trap 'echo USR1' USR1; trap 'echo HUP; exit 4' HUP; echo ready; while :; do sleep infinity & wait; done";
    let mut vassal = Vassal::start(plan(shell(script)));
    vassal.started();
    assert_eq!(vassal.line(), "ready");
    pidfd::signal(&vassal.child.pidfd, 10).unwrap();
    assert_eq!(vassal.line(), "USR1");
    pidfd::signal(&vassal.child.pidfd, 1).unwrap();
    assert_eq!(vassal.line(), "HUP");
    assert_eq!(vassal.app_exited(), Exit::Code(4));
}

#[test]
fn a_signal_before_there_is_an_app_ends_the_walk() {
    let mut plan = plan(idle());
    plan.steps.push(exec("echo walking; sleep infinity"));
    let mut vassal = Vassal::start(plan);
    assert_eq!(vassal.line(), "walking");
    pidfd::signal(&vassal.child.pidfd, 15).unwrap();
    assert_eq!(vassal.ends(), Ended::Code(0));
}

#[test]
fn a_stop_ends_a_hook_that_hangs() {
    let mut plan = plan(idle());
    plan.steps.push(exec("echo walking; sleep infinity"));
    let mut vassal = Vassal::start(plan);
    assert_eq!(vassal.line(), "walking");
    vassal.tell(&ToInit::Stop);
    assert_eq!(vassal.ends(), Ended::Code(0));
}

#[test]
fn a_stop_asks_the_app_by_its_signal() {
    let mut app = shell("trap 'echo asked; exit 3' USR2; echo ready; while :; do sleep infinity & wait; done");
    app.stop_signal = 12;
    let mut vassal = Vassal::start(plan(app));
    assert_eq!(vassal.line(), "ready");
    vassal.started();
    vassal.tell(&ToInit::Stop);
    assert_eq!(vassal.line(), "asked");
    assert_eq!(vassal.app_exited(), Exit::Code(3));
    assert_eq!(vassal.ends(), Ended::Code(3));
}

#[test]
fn the_hosts_end_kills_everything_at_once() {
    let mut plan = plan(shell("trap '' TERM; setsid sleep infinity & echo $!; wait"));
    plan.at_exit.push(exec("echo never"));
    let mut vassal = Vassal::start(plan);
    vassal.started();
    vassal.line();
    let below = descendants::tree(&[vassal.child.pid]);
    assert!(below.len() >= 2);
    vassal.hang_up();
    below.into_iter().for_each(until_gone);
    assert_eq!(vassal.ends(), Ended::Code(1));
    assert_eq!(vassal.printed(), "");
}

#[test]
fn the_hosts_end_during_a_hook_kills_everything_too() {
    let mut plan = plan(idle());
    plan.steps.push(exec("echo walking; sleep infinity"));
    let mut vassal = Vassal::start(plan);
    assert_eq!(vassal.line(), "walking");
    vassal.hang_up();
    assert_eq!(vassal.ends(), Ended::Code(1));
}

#[test]
fn without_a_pid_namespace_no_descendant_survives() {
    let mut plan = plan(shell("setsid sh -c 'sleep infinity & echo there; wait' & wait"));
    plan.own_pid_namespace = false;
    plan.steps.truncate(1);
    let mut vassal = Vassal::start(plan);
    let app = vassal.started();
    assert_eq!(vassal.line(), "there");
    let below = descendants::tree(&[vassal.child.pid]);
    assert!(below.len() >= 3, "{below:?}");
    // The app dies; what it left in another session is init's to end.
    descendants::kill(app, 9).unwrap();
    assert_eq!(vassal.app_exited(), Exit::Signal(9));
    assert_eq!(vassal.ends(), Ended::Code(137));
    below.into_iter().for_each(until_gone);
}

#[test]
fn the_steps_of_the_end_run_after_the_app_each_within_its_time() {
    let mut plan = plan(shell("echo app; exit 6"));
    plan.at_exit_timeout_ms = 200;
    plan.at_exit = vec![exec("echo first; sleep infinity"), exec("exit 2"), exec_as_user("echo last as $(id -u)")];
    let mut vassal = Vassal::start(plan);
    assert_eq!(vassal.app_exited(), Exit::Code(6));
    let detail = "killed by SIGKILL (it had 200 ms)".to_owned();
    assert_eq!(vassal.failed(), FromInit::Failed { at: Place::AtExit(0), errno: 0, detail, fatal: false });
    let detail = "exited with status 2".to_owned();
    assert_eq!(vassal.failed(), FromInit::Failed { at: Place::AtExit(1), errno: 0, detail, fatal: false });
    assert_eq!(vassal.ends(), Ended::Code(6));
    assert_eq!(vassal.printed(), format!("app\nfirst\nlast as {NOBODY}\n"));
}

#[test]
fn an_exit_step_ends_the_vassal_with_its_status() {
    let mut plan = plan(idle());
    plan.steps.push(Step::root(Phase::AsRoot, Act::Exit(26)));
    assert_eq!(Vassal::start(plan).ends(), Ended::Code(26));
}

#[test]
fn nonsense_on_the_channel_is_told_and_ends_the_vassal() {
    let mut vassal = Vassal::start(plan(idle()));
    vassal.started();
    vassal.raw(&[0xff; 64]);
    let FromInit::Failed { at: Place::Init, fatal: true, .. } = vassal.failed() else { panic!() };
    assert_eq!(vassal.ends(), Ended::Code(1));
}

#[test]
fn the_hosts_end_without_a_pid_namespace_leaves_nobody() {
    let mut plan = plan(shell("setsid sh -c 'trap \"\" TERM; sleep infinity & echo there; wait' & wait"));
    plan.own_pid_namespace = false;
    plan.steps.truncate(1);
    let mut vassal = Vassal::start(plan);
    vassal.started();
    assert_eq!(vassal.line(), "there");
    let below = descendants::tree(&[vassal.child.pid]);
    assert!(below.len() >= 3, "{below:?}");
    vassal.hang_up();
    assert_eq!(vassal.ends(), Ended::Code(1));
    below.into_iter().for_each(until_gone);
}

#[test]
fn a_storm_of_orphans_is_told_in_few_words() {
    let began = Instant::now();
    let script = "i=0; while [ $i -lt 2000 ]; do ( : & ); i=$((i+1)); done; echo done; sleep infinity";
    let mut vassal = Vassal::start(plan(shell(script)));
    let (told, words) = vassal.orphans_died(2000);
    // Thirty-two at once, fifty a second.
    let most = 32 + began.elapsed().as_millis() / 20 + 1;
    assert!(told == 2000 && u128::from(words) <= most && words < 1000, "{words} words, at most {most}");
}

#[test]
fn a_host_that_does_not_listen_stops_nobody_from_being_reaped() {
    // Many more deaths than the channel holds; the host reads only afterwards.
    let script = "i=0; while [ $i -lt 2000 ]; do ( : & ); i=$((i+1)); done; echo done; sleep infinity";
    let mut vassal = Vassal::start(plan(shell(script)));
    assert_eq!(vassal.line(), "done");
    assert_eq!(vassal.orphans_died(2000).0, 2000);
    assert_eq!(descendants::children_of(vassal.child.pid).len(), 1, "the app, and no zombie");
}
