//! The way out: the last words, and nobody left behind. What is saved on it stands in `save.rs`.
//!
//! In a pid namespace of our own our exit is everybody's end, by the kernel. Without one we are a subreaper: we kill what
//! is below us and reap until nothing comes any more, also what forks meanwhile.

use std::{
    os::fd::AsFd,
    time::{Duration, Instant},
};

use liege_plan::{Exit, FromInit, Notice, Place};
use liege_sys::{
    descendants,
    poll::{Interest, poll},
    process,
    processes::{Processes, now_in_ticks},
    signals, wait,
};

use crate::{
    clock,
    init::{End, Init},
    walk::Patience,
};

/// How long whoever was killed may take to end.
const PATIENCE: Duration = Duration::from_secs(3);

/// An app that lives longer has not gone into the background. In ticks, a hundredth of a second each.
const SOON: u64 = 1000;
/// So many names are told.
const NAMED: usize = 5;

/// Leaves with the status the end asks for.
pub(crate) fn leave(init: &mut Init, end: End) -> ! {
    // What was mounted a moment ago may not have been told yet, and could hold up our end.
    if let Some(mounted) = init.mounts.settled() {
        init.tell_mounts(&mounted);
    }
    let status = match end {
        End::App(exit) => {
            let is_of_its_own = match exit {
                Exit::Code(code) => code != 0 || !init.stop, // some fail with status 0
                Exit::Signal(signal) => signals::tells_of_a_fault(signal),
            };
            if is_of_its_own {
                init.finish_output(); // what it said last may be why
            }
            init.output.tell_noticed(&mut init.channel);
            if exit == Exit::Code(0)
                && let Some(line) = left_behind(init)
            {
                init.say(&FromInit::Noticed { notice: Notice::LeftBehind, line });
            }
            let said = init.output.last_of_app().filter(|_| is_of_its_own);
            init.say(&FromInit::AppExited { exit, said });
            // Whatever it answers: the host's end only makes this the last moment.
            let _ = init.write_back();
            status_of(exit)
        }
        End::Status(status) => save_without_app(init, i32::from(status)),
        End::Stopped => save_without_app(init, 0),
        End::Failed => save_without_app(init, 1),
        End::HostGone => {
            init.end_unsaved();
            1
        }
    };
    init.finish_output();
    if end != End::HostGone {
        init.channel.flush_last_words();
    }
    if process::own_pid() != 1 {
        let until = (end != End::HostGone).then(|| clock::now() + PATIENCE);
        end_everybody(init, until);
    }
    std::process::exit(status)
}

/// What the steps have mounted, or an app of before a reload has written.
fn save_without_app(init: &mut Init, status: i32) -> i32 {
    if !init.has_run {
        init.later.at_exit.clear(); // they may be meant for a root that was not made yet
    }
    let _ = init.write_back();
    status
}

/// The names of processes that an app has left behind which ended soon after its start: it went into the background, most likely.
fn left_behind(init: &Init) -> Option<String> {
    let app = init.app.as_ref().filter(|app| now_in_ticks().saturating_sub(app.born) < SOON)?;
    let processes = Processes::open().ok()?;
    let mut others = init.daemons.pids();
    others.extend(init.output.child());
    let of_others: Vec<i32> = others.iter().flat_map(|&pid| processes.below(pid)).collect();
    let mut names: Vec<String> = processes
        .below(process::own_pid())
        .into_iter()
        .filter(|pid| !others.contains(pid) && !of_others.contains(pid))
        .filter_map(|pid| processes.look(pid))
        .filter(|process| process.started >= app.born)
        .map(|process| process.name)
        .collect();
    names.sort_unstable();
    names.dedup();
    names.truncate(NAMED);
    (!names.is_empty()).then(|| names.join(", "))
}

/// The steps of the end. An `exit` among them only makes it the last one.
///
/// # Errors
/// The host's end.
pub(crate) fn last_steps(init: &mut Init) -> Result<(), End> {
    let steps = std::mem::take(&mut init.later.at_exit);
    let each = Duration::from_millis(init.later.at_exit_timeout_ms);
    match init.walk(&steps, &Patience::at_most(each, Place::AtExit)) {
        Err(End::HostGone) => Err(End::HostGone),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Who sleeps in the kernel, beyond SIGKILL, is left to the host, if there is one.
fn end_everybody(init: &mut Init, until: Option<Instant>) {
    let ourselves = [process::own_pid()];
    loop {
        while wait::reap_any().is_some() {}
        let left = until.map(|until| until.saturating_duration_since(clock::now()));
        if descendants::kill_below(&ourselves) == 0 || left == Some(Duration::ZERO) {
            return;
        }
        // Those who die hand their children on to us; look again only when somebody has died.
        if poll(&[Interest::readable(init.signals.as_fd())], left).is_err() {
            return;
        }
        while init.signals.next().is_some() {}
    }
}

/// An exit status has eight bits.
fn status_of(exit: Exit) -> i32 {
    exit.status() & 0xff
}
