//! Walking steps, one after the other. Nothing is skipped, reordered or repeated.
//!
//! What may last runs in a child and is waited for by turning the loop: a program, a wait, and every call that names a path,
//! because behind a path may be a fifo without a reader or a file system whose daemon has stopped. Such a child shares our
//! root and directory, so it can change those for us. What is left (the environment, the end, the kernel's own tables) is
//! one call of ours.

use std::time::Duration;

use liege_plan::{Account, Act, Exit, FromInit, Place, Step, fork, in_quotes};
use liege_sys::{Errno, descendants::kill, pipe, process, signals};

use crate::{
    clock,
    hint::hint,
    init::{End, Init, Job},
    mounts, spawn, steps,
};

/// How a walk ended, if it did not end init.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Walked {
    /// To the last step.
    Done,
    /// At a step that failed, beside an app that can go on without it.
    Failed,
    /// A stop was asked for, or the app ended meanwhile.
    Interrupted,
}

/// What a walk puts up with.
#[derive(Debug)]
pub(crate) struct Patience {
    place: fn(u32) -> Place,
    each: Option<Duration>,
    stoppable: bool,
}

impl Patience {
    /// The host times the steps; a stop ends the walk.
    pub(crate) fn until_stopped(place: fn(u32) -> Place) -> Self {
        Self { place, each: None, stoppable: true }
    }

    /// Each step has so long, no failure is fatal, and nothing but the host's end stops the walk.
    pub(crate) fn at_most(each: Duration, place: fn(u32) -> Place) -> Self {
        Self { place, each: Some(each), stoppable: false }
    }
}

/// How one step ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    Fine,
    /// The errno, 0 where none fits, and a phrase.
    Failed {
        errno: i32,
        detail: String,
    },
    /// As [`Walked::Interrupted`].
    Interrupted,
}

impl Init {
    /// Walks the steps in order. Failures are told to the host as they happen.
    ///
    /// # Errors
    /// A fatal failure, an `exit` step, or the host's end.
    pub(crate) fn walk(&mut self, steps: &[Step], patience: &Patience) -> Result<Walked, End> {
        self.late_step = None; // of a walk before this one
        for (index, step) in (0..).zip(steps) {
            if self.is_interrupted(patience) {
                return Ok(Walked::Interrupted);
            }
            if step.act.may_last() && patience.stoppable {
                self.say(&FromInit::Entered { step: index });
            }
            let moves = mounts::moves(&step.act);
            if moves && let Some(news) = self.mounts.let_go() {
                self.tell_mounts(&news);
            }
            self.step = Some(index).filter(|_| patience.stoppable);
            let outcome = self.step(step, patience)?;
            let was_late = self.step.take().is_some() && self.late_step.take() == Some(index);
            if moves {
                self.mounts.follow();
            }
            match outcome {
                Outcome::Fine => {}
                Outcome::Interrupted if was_late && !self.is_interrupted(patience) => return Ok(Walked::Failed),
                Outcome::Interrupted => return Ok(Walked::Interrupted),
                Outcome::Failed { errno, detail } => {
                    let ends_walk = step.fatal && patience.stoppable;
                    let fatal = ends_walk && self.app.is_none();
                    if fatal {
                        self.finish_output(); // the host kills what has failed, and what it said is why
                    }
                    self.channel.say_failed((patience.place)(index), errno, detail, fatal);
                    match (fatal, ends_walk) {
                        (true, _) => return Err(End::Failed),
                        (false, true) => return Ok(Walked::Failed),
                        (false, false) => {}
                    }
                }
            }
        }
        Ok(if self.is_interrupted(patience) { Walked::Interrupted } else { Walked::Done })
    }

    fn is_interrupted(&self, patience: &Patience) -> bool {
        let is_late = self.late_step.is_some() && self.late_step == self.step;
        patience.stoppable && (is_late || self.stop || self.app.as_ref().is_some_and(|app| app.ended.is_some()))
    }

    /// One step, whoever's turn it is.
    pub(crate) fn step(&mut self, step: &Step, patience: &Patience) -> Result<Outcome, End> {
        let as_user = step.as_user && self.later.identity.is_some();
        match &step.act {
            Act::Exit(status) => Err(End::Status(*status)),
            Act::FindIdentity(names) => self.find_identity(names, patience),
            Act::Chown(path, user, group) if [user, group].iter().any(|owner| matches!(owner, Account::Name(_))) => {
                match self.find_owner((path, user, group), as_user, patience)? {
                    Ok(act) => self.helper(&Step { act, ..step.clone() }, as_user, false, patience),
                    Err(outcome) => Ok(outcome),
                }
            }
            Act::Putenv(pair) => {
                self.env.put(pair);
                Ok(Outcome::Fine)
            }
            Act::Surroundings { env, umask } => {
                self.env.tell(env);
                self.env.umask = *umask;
                self.take_umask();
                Ok(Outcome::Fine)
            }
            Act::Exec(command) => self.shell(command, step, patience),
            Act::Print(_) => self.helper(step, as_user, true, patience),
            act if as_user || act.may_last() => self.helper(step, as_user, false, patience),
            act => Ok(steps::perform(act).map_or_else(|errno| failed(act, errno), |()| Outcome::Fine)),
        }
    }

    /// `/bin/sh -c`, waited for.
    fn shell(&mut self, command: &str, step: &Step, patience: &Patience) -> Result<Outcome, End> {
        let identity = self.later.identity.as_ref().filter(|_| step.as_user);
        self.output.begin_step(step.phase.name());
        let output = self.output.writer(step.phase.name(), identity);
        let (pid, report) = match spawn::shell(command, &self.env, identity, output, &mut self.saving) {
            Ok(child) => child,
            Err((errno, detail)) => return Ok(Outcome::Failed { errno, detail }),
        };
        let Some(exit) = self.wait_for_job(pid, patience)? else {
            return Ok(Outcome::Interrupted);
        };
        Ok(match (report.read(), exit) {
            (Some((stage, errno)), _) => Outcome::Failed { errno: errno as i32, detail: spawn::shell_failure(stage).into() },
            (None, Exit::Code(0)) => Outcome::Fine,
            (None, exit) => {
                let how = self.describe(exit, patience);
                self.finish_output();
                let detail = match self.output.last_of(step.phase.name()) {
                    Some(said) => format!("{}, {how}", in_quotes(said)),
                    None => how,
                };
                Outcome::Failed { errno: 0, detail }
            }
        })
    }

    /// A forked child that does one act, as the user or as root; its status is the errno.
    fn helper(&mut self, step: &Step, as_user: bool, speaks: bool, patience: &Patience) -> Result<Outcome, End> {
        let act = &step.act;
        let identity = self.later.identity.as_ref().filter(|_| as_user);
        let output = if speaks { self.output.writer(step.phase.name(), identity) } else { None };
        let speak = || output.map_or(Ok(()), |output| pipe::become_output(&output));
        let work = || match speak().and_then(|()| spawn::take(identity)).and_then(|()| steps::perform(act)) {
            Ok(()) => 0,
            Err(errno) => errno as i32,
        };
        let pid = match process::fork_in_place(&self.one_thread, work) {
            Ok(pid) => pid,
            Err(errno) => {
                return Ok(Outcome::Failed { errno: errno as i32, detail: fork::FOR_STEP.into() });
            }
        };
        Ok(match self.wait_for_job(pid, patience)? {
            None => Outcome::Interrupted,
            Some(Exit::Code(0)) => Outcome::Fine,
            Some(Exit::Code(errno)) => failed(act, Errno::from_raw(errno)),
            Some(exit) => Outcome::Failed { errno: 0, detail: self.describe(exit, patience) },
        })
    }

    /// Turns until the child has ended. None: interrupted, the child was ended. A child that is out of time is killed, and
    /// its end is that signal.
    pub(crate) fn wait_for_job(&mut self, pid: i32, patience: &Patience) -> Result<Option<Exit>, End> {
        self.job = Some(Job { pid, ended: None });
        let deadline = patience.each.map(|each| clock::now() + each);
        let mut killed = false;
        loop {
            if let Some(exit) = self.job.and_then(|job| job.ended) {
                self.job = None;
                return Ok(Some(exit));
            }
            if self.is_interrupted(patience) {
                self.end_step(pid)?;
                return Ok(None);
            }
            let late = deadline.is_some_and(|d| clock::now() >= d);
            if late && !killed {
                self.kill_group(pid);
                killed = true;
            }
            self.turn(if killed { None } else { deadline })?;
        }
    }

    fn describe(&self, exit: Exit, patience: &Patience) -> String {
        match (exit, patience.each) {
            (Exit::Code(code), _) => format!("exited with status {code}"),
            (Exit::Signal(signals::SIGKILL), Some(each)) => {
                format!("killed by SIGKILL (it had {} ms)", each.as_millis())
            }
            (Exit::Signal(signal), _) => format!("killed by {}", signals::name(signal)),
        }
    }
}

fn failed(act: &Act, errno: Errno) -> Outcome {
    Outcome::Failed { errno: errno as i32, detail: hint(act, errno).into() }
}

/// SIGKILL to a child that was not reaped yet and to all of its group; it may not have made its group yet.
pub(crate) fn end_group(pid: i32) {
    end_rest_of_group(pid);
    let _ = kill(pid, signals::SIGKILL);
}

/// SIGKILL to those a reaped leader left behind. While one of them lives the kernel gives the number to nobody else.
pub(crate) fn end_rest_of_group(pid: i32) {
    let _ = kill(-pid, signals::SIGKILL);
}
