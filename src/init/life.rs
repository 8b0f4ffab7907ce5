//! A vassal's life as init sees it: the green light, the walk, the app, reloads, until an end is reached.
//!
//! ```text
//! born -> Walk -> steps -> app started -> (Reload -> steps -> app reloaded or replaced)* -> Stop, or the app's own end
//! ```
//! A Stop is heard at any time. Before the app runs it ends the walk, and the step under way; afterwards the app is asked, and its end is
//! ours.

use std::time::Duration;

use liege_plan::{Act, FromInit, Phase, Place, Plan, Reload, Step, ToInit, VERSION, describe_act};
use liege_sys::{enter, limits, mountinfo, poll::poll};

use crate::{
    app::Started,
    channel::News,
    clock,
    init::{End, Init},
    rights,
    walk::{Outcome, Patience, Walked},
};

/// Descriptors that init may have, at least: one for each FUSE daemon, attached daemon and process that an end waits for. A number, no memory.
const DESCRIPTORS: u64 = 4096;

/// What of the plan is needed after the first walk.
#[derive(Debug, Default)]
pub(crate) struct Later {
    pub(crate) identity: Option<liege_plan::Identity>,
    pub(crate) at_exit: Vec<Step>,
    pub(crate) at_exit_timeout_ms: u64,
    /// The mounts are the vassal's own.
    pub(crate) own_mounts: bool,
    /// What the end may take where there is no app.
    pub(crate) stop_timeout: Duration,
}

/// Lives until there is a reason to leave.
pub(crate) fn live(init: &mut Init) -> End {
    let risen = green_light(init).and_then(|plan| {
        init.hear()?; // what came with the plan is read already, and no event tells of it any more
        rise(init, *plan)
    });
    match risen {
        Err(end) => end,
        Ok(()) => reign(init),
    }
}

/// Waits for the plan. Before it, the host's end is no trouble: it changed its mind.
fn green_light(init: &mut Init) -> Result<Box<Plan>, End> {
    loop {
        match init.channel.next() {
            News::Message(ToInit::Walk(plan)) if plan.version == VERSION => return Ok(plan),
            News::Message(ToInit::Walk(plan)) => {
                let detail = format!("the host speaks version {}, init speaks {VERSION}: they are of two builds", plan.version);
                return Err(init.fail(Place::Init, 0, detail));
            }
            News::Message(ToInit::Stop | ToInit::Destroy) | News::HostGone => return Err(End::Stopped),
            News::Message(ToInit::Hung { .. } | ToInit::Secured { .. } | ToInit::GiveUp { .. } | ToInit::Hooks) => {} // nothing is mounted yet
            News::Message(ToInit::Reload(_)) => {
                return Err(init.fail(Place::Init, 0, "a reload came before the plan"));
            }
            News::Garbled(why) => {
                return Err(init.fail(Place::Init, 0, format!("the plan cannot be read: {why}")));
            }
            News::Nothing => {
                if poll(&[init.channel.interest()], None).is_err() {
                    return Err(End::HostGone);
                }
            }
        }
    }
}

/// The first walk and the first start.
fn rise(init: &mut Init, plan: Plan) -> Result<(), End> {
    // What we start has the daemon's; we hold a descriptor for each of what may be very many, and at the end a lack would cost data. Where
    // the kernel does not let us, some are kept for the end.
    if limits::raise_nofile_to(DESCRIPTORS).is_err() {
        init.saving.keep_reserve();
    }
    let ((soft, hard), (_, most)) = (plan.limits.nofile, limits::nofile().unwrap_or(plan.limits.nofile));
    init.env.nofile = (soft.min(most), hard.min(most)); // the daemon's own may have been lowered since
    if plan.own_mounts {
        init.saving.before = mountinfo::own_devices().unwrap_or_default();
    }
    // For ourselves, so that all children have it from us; also before the steps can take /proc away.
    restore_oom_score(init, plan.limits.oom_score_adj);
    if let Some(directory) = plan.directory {
        go_home(init, directory)?;
    }
    let needed = {
        let steps = plan.steps.iter().chain(&plan.again).chain(&plan.at_exit);
        rights::needed(steps, plan.identity.as_ref(), &plan.app)
    };
    init.later = Later {
        identity: plan.identity,
        at_exit: plan.at_exit,
        at_exit_timeout_ms: plan.at_exit_timeout_ms,
        own_mounts: plan.own_mounts,
        stop_timeout: Duration::from_millis(plan.app.stop_timeout_ms),
    };
    if !init.later.own_mounts {
        init.mounts.is_the_hosts();
        init.known.hear_commands(&plan.steps, &plan.app);
    }
    init.env.begin(plan.base);
    init.umask = plan.limits.umask;
    init.take_umask();
    init.output.begin(plan.log, &plan.steps);
    if init.walk(&plan.steps, &Patience::until_stopped(Place::Step))? == Walked::Interrupted {
        return Err(End::Stopped);
    }
    init.output.settle(init.later.identity.as_ref(), plan.app.daemons.len());
    if let Some(mounted) = init.mounts.settled() {
        init.tell_mounts(&mounted);
    }
    init.learn_all_daemons();
    drop(plan.steps);
    // Before the first start and not after it, so that a later start finds nothing other than the first one did.
    rights::trim(needed);
    let daemons = init.lay_out_daemons(&plan.app)?;
    match init.start_app(plan.app)? {
        Started::Interrupted => Err(End::Stopped),
        Started::Yes => {
            init.take_daemons(daemons);
            Ok(())
        }
    }
}

/// Into the directory of the vassal's file, which may lie on a file system that does not answer.
fn go_home(init: &mut Init, directory: String) -> Result<(), End> {
    if enter::at_once(directory.as_ref()) {
        return Ok(()); // nearly always: the host has read the vassal's file there a moment ago
    }
    let step = Step::root(Phase::Birth, Act::Chdir(directory));
    match init.step(&step, &Patience::until_stopped(Place::Step))? {
        Outcome::Fine => Ok(()),
        Outcome::Interrupted => Err(End::Stopped),
        Outcome::Failed { errno, .. } => {
            let what = describe_act(&step.act);
            Err(init.fail(Place::Init, errno, format!("{what}: the directory of the vassal's file")))
        }
    }
}

fn restore_oom_score(init: &mut Init, score: i16) {
    // Reading first: a plain daemon never changed it, and then there is nothing to be refused.
    if limits::oom_score_adj().is_ok_and(|now| now == score) {
        return;
    }
    if let Err(error) = limits::set_oom_score_adj(score) {
        let errno = error.raw_os_error().unwrap_or(0);
        init.channel.say_failed(Place::Init, errno, format!("restore oom_score_adj {score}"), false);
    }
}

/// While the app runs.
fn reign(init: &mut Init) -> End {
    let (mut asked, mut killed) = (false, false);
    loop {
        if let Some(exit) = init.app.as_ref().and_then(|app| app.ended) {
            return End::App(exit);
        }
        // Where mounts have to be saved after it, the app alone is killed at its deadline.
        let deadline = init.app_ends_at().filter(|_| asked && !killed);
        let step = if init.stop && !asked {
            asked = true;
            init.begin_end();
            if !init.destroy {
                init.ask_app_to_end();
            }
            Ok(())
        } else if !killed && (init.destroy || deadline.is_some_and(|deadline| clock::now() >= deadline)) {
            killed = true;
            if !init.destroy && init.app_has_begun() {
                init.app_is_out_of_time();
            }
            init.kill_app();
            Ok(())
        } else if let Some(reload) = init.reload.take_if(|_| !init.stop) {
            reload_app(init, *reload)
        } else {
            init.turn(deadline)
        };
        if let Err(end) = step {
            return end;
        }
    }
}

fn reload_app(init: &mut Init, reload: Reload) -> Result<(), End> {
    let Reload { steps, base, app, at_exit, at_exit_timeout_ms, log } = reload;
    init.output.change(log);
    if !init.later.own_mounts {
        init.known.hear_commands(&steps, &app);
    }
    let env = init.env.clone();
    init.env.begin(base);
    match init.walk(&steps, &Patience::until_stopped(Place::Step))? {
        Walked::Done => {
            init.learn_all_daemons();
            init.say(&FromInit::Walked);
        }
        Walked::Interrupted => return Ok(()), // the stop, or the app's own end, is what comes next
        Walked::Failed => {
            init.env = env;
            init.take_umask();
            init.say(&FromInit::Kept);
            return Ok(());
        }
    }
    (init.later.at_exit, init.later.at_exit_timeout_ms) = (at_exit, at_exit_timeout_ms);
    let daemons = init.lay_out_daemons(&app)?;
    init.part_with_daemons(&daemons)?;
    init.reload_app(app)?;
    init.take_daemons(daemons);
    Ok(())
}
