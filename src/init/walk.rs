//! Walking steps, one after the other. Nothing is skipped, reordered or repeated.
//!
//! What lasts runs in a child and is waited for by turning the loop; what does not is one call of `steps`.

use std::time::{Duration, Instant};

use liege_plan::{Act, Exit, FromInit, Place, Step};
use liege_sys::{descendants::kill, signals};

use crate::{
    hint::hint,
    init::{End, Init, Job},
    spawn, steps,
};

/// How a walk ended, if it did not end init.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Walked {
    /// To the last step.
    Done,
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
enum Outcome {
    Fine,
    Failed { errno: i32, detail: String },
    Interrupted,
}

impl Init {
    /// Walks the steps in order. Failures are told to the host as they happen.
    ///
    /// # Errors
    /// A fatal failure, an `exit` step, or the host's end.
    pub(crate) fn walk(&mut self, steps: &[Step], patience: &Patience) -> Result<Walked, End> {
        for (index, step) in (0..).zip(steps) {
            if self.is_interrupted(patience) {
                return Ok(Walked::Interrupted);
            }
            if step.act.may_last() && patience.stoppable {
                self.say(&FromInit::Entered { step: index });
            }
            match self.step(step, patience)? {
                Outcome::Fine => {}
                Outcome::Interrupted => return Ok(Walked::Interrupted),
                Outcome::Failed { errno, detail } => {
                    let fatal = step.fatal && patience.stoppable;
                    self.channel.say_failed((patience.place)(index), errno, detail, fatal);
                    if fatal {
                        return Err(End::Failed);
                    }
                }
            }
        }
        Ok(if self.is_interrupted(patience) { Walked::Interrupted } else { Walked::Done })
    }

    fn is_interrupted(&self, patience: &Patience) -> bool {
        patience.stoppable && (self.stop || self.app.as_ref().is_some_and(|app| app.ended.is_some()))
    }

    fn step(&mut self, step: &Step, patience: &Patience) -> Result<Outcome, End> {
        match &step.act {
            Act::Exit(status) => return Err(End::Status(*status)),
            Act::Exec(command) => return self.shell(command, step.as_user, patience),
            Act::WaitFor(wait) => {
                let wait = wait.clone();
                return self.helper(step.as_user, patience, move || steps::wait_for(&wait));
            }
            // These two change init itself, whoever the step runs as.
            Act::Chdir(_) | Act::Putenv(_) => {}
            act if step.as_user && self.later.identity.is_some() => {
                let act = act.clone();
                return self.helper(true, patience, move || match steps::perform(&act) {
                    Ok(()) => 0,
                    Err(errno) => errno as i32,
                });
            }
            _ => {}
        }
        if let Act::Putenv(pair) = &step.act {
            self.env.put(pair);
            return Ok(Outcome::Fine);
        }
        Ok(match steps::perform(&step.act) {
            Ok(()) => Outcome::Fine,
            Err(errno) => Outcome::Failed { errno: errno as i32, detail: hint(&step.act, errno).into() },
        })
    }

    /// `/bin/sh -c`, waited for.
    fn shell(&mut self, command: &str, as_user: bool, patience: &Patience) -> Result<Outcome, End> {
        let identity = self.later.identity.as_ref().filter(|_| as_user);
        let (pid, report) = match spawn::shell(command, &self.env, identity) {
            Ok(child) => child,
            Err((errno, detail)) => return Ok(Outcome::Failed { errno, detail }),
        };
        let Some(exit) = self.wait_for_job(pid, patience)? else {
            return Ok(Outcome::Interrupted);
        };
        Ok(match (report.read(), exit) {
            (Some((stage, errno)), _) => Outcome::Failed { errno: errno as i32, detail: spawn::shell_failure(stage).into() },
            (None, Exit::Code(0)) => Outcome::Fine,
            (None, exit) => Outcome::Failed { errno: 0, detail: self.describe(exit, patience) },
        })
    }

    /// A forked child that does one act, as the user or as root; its status is the errno.
    fn helper(&mut self, as_user: bool, patience: &Patience, act: impl FnOnce() -> i32) -> Result<Outcome, End> {
        let identity = self.later.identity.clone().filter(|_| as_user);
        let work = || match spawn::take(identity.as_ref()) {
            Ok(()) => act(),
            Err(errno) => errno as i32,
        };
        let pid = match liege_sys::process::fork(work) {
            Ok(pid) => pid,
            Err(errno) => {
                return Ok(Outcome::Failed { errno: errno as i32, detail: "fork".into() });
            }
        };
        Ok(match self.wait_for_job(pid, patience)? {
            None => Outcome::Interrupted,
            Some(Exit::Code(0)) => Outcome::Fine,
            Some(Exit::Code(errno)) => Outcome::Failed { errno, detail: String::new() },
            Some(exit) => Outcome::Failed { errno: 0, detail: self.describe(exit, patience) },
        })
    }

    /// Turns until the child has ended. None: interrupted, the child was killed. A child that is out of time is killed, and
    /// its end is that signal.
    fn wait_for_job(&mut self, pid: i32, patience: &Patience) -> Result<Option<Exit>, End> {
        self.job = Some(Job { pid, ended: None });
        let deadline = patience.each.map(|each| Instant::now() + each);
        let mut killed = false;
        loop {
            if let Some(exit) = self.job.and_then(|job| job.ended) {
                self.job = None;
                return Ok(Some(exit));
            }
            if self.is_interrupted(patience) {
                end_group(pid);
                return Ok(None);
            }
            let late = deadline.is_some_and(|d| Instant::now() >= d);
            if late && !killed {
                end_group(pid);
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

/// SIGKILL to a child that was not reaped yet and to all of its group; it may not have made its group yet.
pub(crate) fn end_group(pid: i32) {
    end_rest_of_group(pid);
    let _ = kill(pid, signals::SIGKILL);
}

/// SIGKILL to those a reaped leader left behind. While one of them lives the kernel gives the number to nobody else.
pub(crate) fn end_rest_of_group(pid: i32) {
    let _ = kill(-pid, signals::SIGKILL);
}
