//! Daemons beside the app: started after it, started again when they end, ended with it.
//!
//! As uWSGI's master does: one in the foreground is our child; one that goes into the background is found by its pidfile and
//! followed from then on. Its end is known at once (by a pidfd, whoever its parent is), not at the next look. One that ends soon after
//! its start waits before the next, a second longer each time; a control daemon is not started again, its end is told.
//!
//! A pidfile says what somebody wrote into it, perhaps long ago: it counts only if its process lives and was born after the
//! command that was to write it. Whoever writes it is a tenant, who without a pid namespace of his own can name everybody there is, and
//! init may signal everybody: so it counts only if it is a descendant of init, which nobody can cease to be, because init is the
//! subreaper. A pidfd holds whom it named. It is read by a child, because a path may hang.
//!
//! Deliberately not here: what the end of a control daemon means for the vassal.

mod pidfile;

use std::{
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use liege_plan::{App, Daemon, DaemonNews, DaemonPidfile, Exit, Fate, FromInit, Identity, Loss, Place, Program};
use liege_sys::{
    Errno,
    descendants::kill,
    pidfd,
    poll::Interest,
    process::Report,
    signals::{SIGHUP, SIGKILL},
};

use crate::{
    app::RunningApp,
    clock,
    init::{End, Init},
    output::LAST_LINES,
    reap::has_ended,
    spawn::Recipe,
    walk::end_group,
};
use pidfile::{Birth, LOOK, LOOK_AGAIN, Look, birth_of};

/// One that ends sooner waits before it is started again.
const SOON: Duration = Duration::from_secs(3);
/// How long a reload waits at most for the pidfile of one that is on its way: uWSGI's patience with it.
const ON_ITS_WAY: Duration = Duration::from_secs(10);
/// Letters of a command by which its daemon is named.
const NAMED: usize = 60;

/// All daemons of the vassal.
#[derive(Debug, Default)]
pub(crate) struct Daemons(Vec<Attached>);

impl Daemons {
    /// The processes they are known by.
    pub(crate) fn pids(&self) -> Vec<i32> {
        self.0.iter().filter_map(Attached::pid).collect()
    }
}

#[derive(Debug)]
struct Attached {
    plan: Daemon,
    recipe: Recipe,
    state: State,
    /// The pipe it writes to. None: not decided yet.
    pipe: Option<u8>,
    /// Ends soon after a start, in a row.
    quick: u64,
    began: Instant,
    /// We have asked it to end, or shall: no news, and not started again.
    dismissed: bool,
    /// The signal that asked it. A second one of the same kind would interrupt what it does about the first.
    asked: Option<i32>,
    /// It serves a FUSE mount, whose unmount is what ends it, or stands around one that does.
    serves: bool,
    /// Another signal than that one has ended it.
    lost: Option<Loss>,
}

#[derive(Debug)]
enum State {
    /// To be started then.
    Due(Instant),
    /// Our child.
    Runs {
        pid: i32,
        report: Option<Report>,
        ended: Option<Exit>,
    },
    /// Its command was started; its pidfile is looked for.
    Begins {
        command: i32,
        born: Option<Birth>,
        ended: Option<Exit>,
        look: Look,
        until: Instant,
    },
    /// Found by its pidfile.
    Followed {
        pid: i32,
        pidfd: OwnedFd,
        born: Option<Birth>,
        ended: Option<Exit>,
    },
    /// The one that was followed is gone; perhaps it has an heir in its pidfile. How it ended may be told a moment later.
    Lost {
        pid: i32,
        exit: Option<Exit>,
        born: Option<Birth>,
        look: Look,
        until: Instant,
    },
    /// It is over, and what it said last is awaited: how it was over, and until when.
    Speaks(Gone, Instant),
    Over,
}

/// How one was over.
#[derive(Debug)]
enum Gone {
    Ended(Option<Exit>),
    Failed(String),
}

impl Daemons {
    /// When to look after them. While the vassal is stopping nobody is started.
    pub(crate) fn due(&self, stopping: bool) -> Option<Instant> {
        self.0.iter().filter_map(|daemon| daemon.due(stopping)).min()
    }

    /// What tells of them.
    pub(crate) fn interests<'a>(&'a self, all: &mut Vec<Interest<'a>>) {
        for daemon in &self.0 {
            match &daemon.state {
                State::Followed { pidfd, .. } => all.push(Interest::readable(pidfd.as_fd())),
                State::Begins { look: Look { child: Some((_, answer)), .. }, .. }
                | State::Lost { look: Look { child: Some((_, answer)), .. }, .. } => {
                    all.push(Interest::readable(answer.as_fd()));
                }
                State::Begins { .. }
                | State::Lost { .. }
                | State::Due(_)
                | State::Runs { .. }
                | State::Speaks(..)
                | State::Over => {}
            }
        }
    }

    /// A child of ours ended. Whether it was one of these.
    pub(crate) fn reaped(&mut self, dead: i32, exit: Exit) -> bool {
        self.0.iter_mut().any(|daemon| daemon.reaped(dead, exit))
    }

    /// Those that were asked to end and have not: for people.
    pub(crate) fn waited_for(&self) -> impl Iterator<Item = String> {
        self.0.iter().filter(|daemon| daemon.is_waited_for()).map(Attached::name)
    }

    /// Those that were asked to end and that another signal has ended.
    fn cut_short(&mut self) -> Vec<Loss> {
        let losses = self.0.iter_mut().map(|daemon| daemon.lost.take());
        losses.flatten().collect()
    }

    /// The sessions of all: each was started in one of its own.
    pub(crate) fn sessions(&self) -> Vec<i32> {
        self.0.iter().filter_map(Attached::pid).collect()
    }

    /// The signal that asks what runs in this session.
    pub(crate) fn stop_signal_in(&self, session: i32) -> Option<i32> {
        self.0.iter().find(|daemon| daemon.pid() == Some(session)).map(|daemon| daemon.plan.stop_signal)
    }

    fn are_gone(&self) -> bool {
        !self.0.iter().any(Attached::is_waited_for)
    }
}

impl Init {
    /// Lays out the daemons of an app. None of them runs yet.
    pub(crate) fn lay_out_daemons(&mut self, app: &App) -> Result<Daemons, End> {
        let base = self.later.identity.clone();
        let attached = app.daemons.iter().map(|plan| {
            let recipe = Recipe::of(&as_app(app, plan, base.as_ref()), &self.env)?;
            let now = clock::now();
            let state = State::Due(now);
            let (plan, quick, began) = (plan.clone(), 0, now);
            let (dismissed, asked, serves, lost, pipe) = (false, None, false, None, None);
            Ok(Attached { plan, recipe, state, pipe, quick, began, dismissed, asked, serves, lost })
        });
        attached.collect::<Result<_, &str>>().map(Daemons).map_err(|why| self.fail(Place::AppExec, 0, why))
    }

    /// Before the app is replaced: those in the foreground end, the others are told if they want to be. What one of them may still
    /// have to write is worth as much as at the end of the vassal, so it has as long.
    pub(crate) fn part_with_daemons(&mut self, next: &Daemons) -> Result<(), End> {
        for daemon in &mut self.daemons.0 {
            let stays = daemon.plan.pidfile.is_some() && next.0.iter().any(|new| new.plan == daemon.plan);
            let signal = daemon.plan.reload_signal;
            if !stays {
                daemon.dismiss(signal.unwrap_or(daemon.plan.stop_signal));
            } else if daemon.plan.notify {
                daemon.signal(signal.unwrap_or(SIGHUP));
            }
        }
        let stop = self.app.as_ref().map_or(Duration::ZERO, RunningApp::stop_timeout);
        let lost = self.await_daemons(clock::now() + stop, true)?;
        if !lost.is_empty() {
            self.say(&FromInit::Unsaved { lost });
        }
        self.await_those_on_their_way()
    }

    /// These from now on. Of the old ones only those are left that stay.
    pub(crate) fn take_daemons(&mut self, mut next: Daemons) {
        for daemon in &mut next.0 {
            if let Some(old) = self.daemons.0.iter().position(|old| !old.dismissed && old.plan == daemon.plan) {
                *daemon = self.daemons.0.swap_remove(old);
            }
        }
        let taken: Vec<u8> = next.0.iter().filter_map(|daemon| daemon.pipe).collect();
        let mut free = (0..u8::MAX).filter(|pipe| !taken.contains(pipe));
        next.0.iter_mut().for_each(|daemon| daemon.pipe = daemon.pipe.or_else(|| free.next()));
        self.daemons = next;
        self.tend_daemons();
    }

    /// At the end of the app: all are asked to end, but those that serve a FUSE mount, which others may still write to, or stand around
    /// one that does. Those that had to be killed, or that another signal than the one that asked them has ended, are a loss. Gives the
    /// groups that were asked and not killed.
    ///
    /// # Errors
    /// The host's end.
    pub(crate) fn end_daemons(&mut self, deadline: Instant) -> Result<Vec<i32>, End> {
        let around = self.around_mounts();
        let mut asked = Vec::new();
        for daemon in &mut self.daemons.0 {
            let pid = daemon.pid();
            daemon.serves = pid.is_some_and(|pid| around.contains(&pid));
            if daemon.serves {
                daemon.dismissed = true;
            } else {
                daemon.dismiss(daemon.plan.stop_signal);
                asked.extend(pid);
            }
        }
        let lost = self.await_daemons(deadline, false)?;
        self.saving.lose(lost);
        asked.retain(|&leader| !self.saving.is_killed(leader));
        Ok(asked)
    }

    /// Waits for those that were dismissed; kills what takes too long. A reload waits no more when the vassal ends meanwhile: its end
    /// does.
    fn await_daemons(&mut self, deadline: Instant, is_reload: bool) -> Result<Vec<Loss>, End> {
        while !self.daemons.are_gone() {
            if is_reload && (self.stop || self.app.as_ref().is_some_and(|app| app.ended.is_some())) {
                return Ok(Vec::new());
            }
            if !is_reload {
                self.tell_saving();
            }
            if clock::now() >= deadline {
                let mut lost = self.daemons.cut_short();
                lost.extend(self.daemons.waited_for().map(Loss::out_of_time));
                for daemon in self.daemons.0.iter().filter(|daemon| daemon.is_waited_for()) {
                    daemon.pid().into_iter().for_each(|pid| self.saving.group_killed(pid));
                    daemon.kill(); // what does not die of it ends with the vassal
                }
                return Ok(lost);
            }
            self.turn(Some(deadline))?;
        }
        if !is_reload {
            self.tell_saving();
        }
        Ok(self.daemons.cut_short())
    }

    /// Where a command has done its work and its pidfile is not there yet, nobody knows whom to end. So whoever is named in time is
    /// killed, as late as he is: else he would run on beside the next one.
    fn await_those_on_their_way(&mut self) -> Result<(), End> {
        let deadline = clock::now() + ON_ITS_WAY;
        loop {
            let dismissed = || self.daemons.0.iter().filter(|daemon| daemon.dismissed);
            dismissed().for_each(Attached::kill);
            let waits = dismissed().any(|daemon| matches!(daemon.state, State::Begins { .. }));
            let is_over = self.stop || self.app.as_ref().is_some_and(|app| app.ended.is_some()); // then all end
            if !waits || is_over || clock::now() >= deadline {
                return Ok(());
            }
            self.turn(Some(deadline))?;
        }
    }

    /// Looks after all of them.
    pub(crate) fn tend_daemons(&mut self) {
        if self.daemons.0.is_empty() {
            return;
        }
        let mut daemons = std::mem::take(&mut self.daemons);
        for (index, daemon) in (0..).zip(&mut daemons.0) {
            while let Some(news) = daemon.tend(self) {
                self.say(&FromInit::Daemon { index, news });
            }
        }
        self.daemons = daemons;
    }
}

/// The daemon as an app of its own: with the app's bounds and environment, as the identity of the steps.
fn as_app(app: &App, plan: &Daemon, base: Option<&Identity>) -> App {
    let program = match &plan.pidfile {
        // The shell's pid is the program's, because it becomes it.
        Some(DaemonPidfile { path, written_for_it: true, .. }) => {
            let script = r#"echo $$ > "$0" && exec /bin/sh -c "$1""#;
            Program::Command(["/bin/sh", "-c", script, path, &plan.command].map(str::to_owned).into())
        }
        _ => Program::Shell(plan.command.clone()),
    };
    let identity = match (plan.uid, plan.gid) {
        (None, None) => base.cloned(),
        (uid, gid) => {
            let id = |own: Option<u32>, of: fn(&Identity) -> u32| own.unwrap_or_else(|| base.map_or(0, of));
            Some(Identity { uid: id(uid, |base| base.uid), gid: id(gid, |base| base.gid), groups: Vec::new() })
        }
    };
    let chdir = plan.chdir.clone().or_else(|| app.chdir.clone());
    App {
        program,
        identity,
        found_identity: false,
        caps: None,
        chdir,
        daemons: Vec::new(),
        smart_daemons: Vec::new(),
        ..app.clone()
    }
}

impl Attached {
    fn due(&self, stopping: bool) -> Option<Instant> {
        match &self.state {
            State::Due(at) => Some(*at).filter(|_| !stopping),
            State::Begins { look, until, .. } | State::Lost { look, until, .. } => {
                Some(if look.child.is_none() { look.next.min(*until) } else { *until })
            }
            State::Speaks(_, until) => Some(*until),
            State::Runs { .. } | State::Followed { .. } | State::Over => None,
        }
    }

    fn reaped(&mut self, dead: i32, exit: Exit) -> bool {
        match &mut self.state {
            State::Runs { pid, ended, .. } | State::Followed { pid, ended, .. } if *pid == dead && ended.is_none() => {
                *ended = Some(exit);
                true
            }
            State::Lost { pid, exit: ended, .. } if *pid == dead && ended.is_none() => {
                *ended = Some(exit);
                true
            }
            State::Begins { command, ended, .. } if *command == dead && ended.is_none() => {
                *ended = Some(exit);
                true
            }
            State::Due(_)
            | State::Runs { .. }
            | State::Begins { .. }
            | State::Followed { .. }
            | State::Lost { .. }
            | State::Speaks(..)
            | State::Over => false,
        }
    }

    /// Goes one step further, if there is one to go, until it has news.
    fn tend(&mut self, init: &mut Init) -> Option<DaemonNews> {
        let now = clock::now();
        match std::mem::replace(&mut self.state, State::Over) {
            State::Due(at) if now < at || init.stop => self.stay(State::Due(at)),
            State::Due(_) => self.start(init, now),
            State::Runs { ended: Some(exit), report, .. } => match report.and_then(Report::read) {
                Some((stage, errno)) => self.not_started(&self.recipe.explain(stage, errno).1, errno),
                None => self.over(Gone::Ended(Some(exit)), init),
            },
            State::Begins { ended: Some(exit), look, .. } if exit != Exit::Code(0) => {
                look.end();
                let code = exit.status();
                self.over(Gone::Failed(format!("did not go into the background: its command ended with status {code}")), init)
            }
            State::Begins { command, born, ended, mut look, until } => {
                let pidfile = self.plan.pidfile.as_ref().map_or("", |file| &file.path);
                match look.answer(init, pidfile, born, now) {
                    Some(Some((pid, pidfd))) => self.follows(pid, pidfd, born),
                    _ if now >= until => {
                        look.end();
                        if ended.is_none() {
                            end_group(command);
                        }
                        self.over(Gone::Failed(format!("has no living pid in {pidfile}")), init)
                    }
                    _ => self.stay(State::Begins { command, born, ended, look, until }),
                }
            }
            State::Followed { pid, pidfd, born, ended } if has_ended(&pidfd) => {
                let look = Look { child: None, next: now };
                self.state = State::Lost { pid, exit: ended, born, look, until: now + LOOK };
                self.tend(init)
            }
            State::Lost { exit, .. } if self.dismissed => self.over(Gone::Ended(exit), init),
            State::Lost { pid, exit, born, mut look, until } => {
                let pidfile = self.plan.pidfile.as_ref().map_or("", |file| &file.path);
                match look.answer(init, pidfile, born, now) {
                    Some(Some((heir, pidfd))) => self.follows(heir, pidfd, born),
                    None if now < until => self.stay(State::Lost { pid, exit, born, look, until }),
                    _ => {
                        look.end();
                        self.over(Gone::Ended(exit), init)
                    }
                }
            }
            State::Speaks(gone, until) => self.speaks(gone, until, init),
            state @ (State::Runs { .. } | State::Followed { .. } | State::Over) => self.stay(state),
        }
    }

    fn stay(&mut self, state: State) -> Option<DaemonNews> {
        self.state = state;
        None
    }

    fn start(&mut self, init: &mut Init, now: Instant) -> Option<DaemonNews> {
        self.began = now;
        let pipe = self.pipe.unwrap_or_default();
        init.output.begin_daemon(pipe);
        let output = init.output.daemons_writer(pipe, init.later.identity.as_ref());
        let (pid, report) = match init.saving.start(|| self.recipe.launch(&[], output)) {
            Ok(child) => child,
            Err(errno) => return self.not_started("could not be started", errno),
        };
        match &self.plan.pidfile {
            Some(DaemonPidfile { patience_s, written_for_it: false, .. }) => {
                let look = Look { child: None, next: now + LOOK_AGAIN };
                let until = now + Duration::from_secs(*patience_s);
                self.stay(State::Begins { command: pid, born: birth_of(pid), ended: None, look, until })
            }
            _ => {
                self.state = State::Runs { pid, report: Some(report), ended: None };
                Some(DaemonNews::Started { pid })
            }
        }
    }

    fn follows(&mut self, pid: i32, pidfd: OwnedFd, born: Option<Birth>) -> Option<DaemonNews> {
        self.began = clock::now();
        self.state = State::Followed { pid, pidfd, born, ended: None };
        if self.dismissed {
            self.signal(self.plan.stop_signal); // it was on its way when it was asked
            return None;
        }
        Some(DaemonNews::Started { pid })
    }

    /// It is over by itself: what it said last is told with that. One that was asked to end has nothing to explain.
    fn over(&mut self, gone: Gone, init: &mut Init) -> Option<DaemonNews> {
        self.speaks(gone, clock::now() + LAST_LINES, init)
    }

    fn speaks(&mut self, gone: Gone, until: Instant, init: &mut Init) -> Option<DaemonNews> {
        let pipe = self.pipe.unwrap_or_default();
        let is_awaited = !self.dismissed && clock::now() < until;
        if is_awaited && !init.output.daemons_words_are_written(pipe, &init.one_thread) {
            return self.stay(State::Speaks(gone, until));
        }
        let said = init.output.last_of_daemon(pipe, self.began).filter(|_| !self.dismissed);
        match gone {
            Gone::Ended(exit) => self.ended(exit, said),
            Gone::Failed(why) => self.failed(why, said),
        }
    }

    fn ended(&mut self, exit: Option<Exit>, said: Option<String>) -> Option<DaemonNews> {
        if let Some(Exit::Signal(signal)) = exit.filter(|_| self.dismissed && !self.serves)
            && self.asked.is_some_and(|asked| asked != signal)
        {
            self.lost = Some(Loss { what: self.name(), how: Fate::Died(signal) });
        }
        let again_in_ms = self.again();
        (!self.dismissed).then_some(DaemonNews::Ended { exit, again_in_ms, said })
    }

    fn not_started(&mut self, why: &str, errno: Errno) -> Option<DaemonNews> {
        self.failed(format!("{why}: {}", errno.desc()), None)
    }

    fn failed(&mut self, why: String, said: Option<String>) -> Option<DaemonNews> {
        let again_in_ms = self.again();
        (!self.dismissed).then_some(DaemonNews::Failed { why, again_in_ms, said })
    }

    /// It is not there. When it is started again; never, if it is a control daemon or was dismissed.
    fn again(&mut self) -> Option<u64> {
        self.state = State::Over;
        if self.plan.control || self.dismissed {
            return None;
        }
        let now = clock::now();
        self.quick = if now.duration_since(self.began) <= SOON { self.quick + 1 } else { 0 };
        let pause = self.quick.min(self.plan.max_throttle_s);
        self.state = State::Due(now + Duration::from_secs(pause));
        Some(pause * 1000)
    }

    /// For people.
    fn name(&self) -> String {
        let command: String = self.plan.command.chars().take(NAMED).collect();
        self.pid().map_or_else(|| command.clone(), |pid| format!("{command} (pid {pid})"))
    }

    /// The process it is known by.
    fn pid(&self) -> Option<i32> {
        match &self.state {
            State::Runs { pid, ended: None, .. }
            | State::Begins { command: pid, ended: None, .. }
            | State::Followed { pid, .. } => Some(*pid),
            State::Due(_) | State::Runs { .. } | State::Begins { .. } | State::Lost { .. } | State::Speaks(..) | State::Over => {
                None
            }
        }
    }

    fn is_waited_for(&self) -> bool {
        self.dismissed && !self.serves && !matches!(self.state, State::Over)
    }

    /// Asks it to end.
    fn dismiss(&mut self, signal: i32) {
        self.dismissed = true;
        if self.asked.replace(signal) != Some(signal) {
            self.signal(signal);
        }
        if let State::Due(_) | State::Speaks(..) = self.state {
            self.state = State::Over;
        }
    }

    /// To it and its group: each was started in a session of its own.
    fn signal(&self, signal: i32) {
        match &self.state {
            State::Runs { pid, ended: None, .. } | State::Begins { command: pid, ended: None, .. } => {
                let _ = kill(-pid, signal).or_else(|_| kill(*pid, signal)); // it may have no group yet
            }
            State::Followed { pid, pidfd, .. } if !has_ended(pidfd) => {
                let _ = kill(-pid, signal).or_else(|_| pidfd::signal(pidfd, signal));
            }
            State::Due(_)
            | State::Runs { .. }
            | State::Begins { .. }
            | State::Followed { .. }
            | State::Lost { .. }
            | State::Speaks(..)
            | State::Over => {}
        }
    }

    fn kill(&self) {
        self.signal(SIGKILL);
    }
}
