//! Init itself: what it holds, and one turn of its loop.
//!
//! Everything that lasts (a hook, the end of an app, the first sign of a program) is waited for by turning, so whoever
//! waits still reaps, still relays, still hears the host. A turn notes what happened in the fields; it decides nothing.

use std::{
    os::fd::AsFd,
    time::{Duration, Instant},
};

use liege_plan::{Exit, FromInit, Place, Reload, ToInit};
use liege_sys::{
    fds,
    poll::{Interest, poll},
    process::{self, OneThread},
    processes::Names,
    signals::Signals,
    subreaper,
};

use crate::{
    app::RunningApp,
    channel::{Channel, News},
    clock,
    daemons::Daemons,
    env::Env,
    life::Later,
    mounts::Mounts,
    orphans::Orphans,
    output::{LAST_LINES, Output},
    save::{Known, Saving},
};

/// Until the plan tells the daemon's.
const UMASK: u32 = 0o022;

/// Why init leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The host ended or spoke nonsense: nobody is left to report to, everything dies.
    HostGone,
    /// Asked to stop before there was an app.
    Stopped,
    /// A fatal failure, already reported.
    Failed,
    /// An `exit` step.
    Status(u8),
    /// The app ended.
    App(Exit),
}

/// A child that a step waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    pub(crate) pid: i32,
    pub(crate) ended: Option<Exit>,
}

/// Everything init knows.
#[derive(Debug)]
pub(crate) struct Init {
    pub(crate) channel: Channel,
    pub(crate) signals: Signals,
    /// What lets children run our own code.
    pub(crate) one_thread: OneThread,
    /// The environment of steps and app.
    pub(crate) env: Env,
    /// The mask where the file tells no other one.
    pub(crate) umask: u32,
    /// The step's child under way.
    pub(crate) job: Option<Job>,
    /// The app, from its fork until its end has been dealt with.
    pub(crate) app: Option<RunningApp>,
    /// What runs beside the app.
    pub(crate) daemons: Daemons,
    /// Children that read a pidfile: their ends are no news.
    pub(crate) lookers: Vec<i32>,
    /// The host asked us to stop, or a signal did before there was an app.
    pub(crate) stop: bool,
    /// As [`Self::stop`], and the app is not asked but killed.
    pub(crate) destroy: bool,
    /// The step of a walk that the host times, while it is under way, and the one it called late.
    pub(crate) step: Option<u32>,
    pub(crate) late_step: Option<u32>,
    /// An app was started: the steps of the end are meant for what it leaves.
    pub(crate) has_run: bool,
    /// The newest reload that was asked for and not begun.
    pub(crate) reload: Option<Box<Reload>>,
    /// Deaths that nobody waited for.
    pub(crate) orphans: Orphans,
    /// What the processes of the vassal are called.
    pub(crate) names: Names,
    /// What of the plan later moments need.
    pub(crate) later: Later,
    /// The mount table, watched.
    pub(crate) mounts: Mounts,
    /// Where programs write to.
    pub(crate) output: Output,
    /// The host has asked what the hooks said, and waits for it until then.
    pub(crate) hooks_due: Option<Instant>,
    /// What the end waits for.
    pub(crate) saving: Saving,
    /// The FUSE daemons that may have to save.
    pub(crate) known: Known,
    /// When it waited last.
    awake_since: Instant,
}

impl Init {
    /// Takes over what the host gave us. None: there is no channel, so nobody started us as an init.
    pub(crate) fn born() -> Option<Self> {
        // Signals first: what comes from now on waits for us, also as pid 1, which the kernel otherwise keeps from signals.
        let signals = Signals::take_over().ok()?;
        // Before there is anything in here that could look. All children have it from us until they execute a program.
        process::keep_to_itself();
        process::set_name(c"liege-init");
        process::new_session();
        process::set_umask(UMASK);
        let channel = Channel::new(fds::inherited(liege_plan::fds::CHANNEL)?);
        let output = Output::inherited();
        fds::cloexec_from(3).ok()?;
        if process::own_pid() != 1 {
            subreaper::enable().ok()?;
        }
        Some(Self {
            channel,
            signals,
            one_thread: OneThread::now()?,
            env: Env::inherited(),
            umask: UMASK,
            job: None,
            app: None,
            daemons: Daemons::default(),
            lookers: Vec::new(),
            stop: false,
            destroy: false,
            step: None,
            late_step: None,
            has_run: false,
            reload: None,
            orphans: Orphans::default(),
            names: Names::new(),
            later: Later::default(),
            mounts: Mounts::watched(),
            output,
            hooks_due: None,
            saving: Saving::default(),
            known: Known::default(),
            awake_since: clock::now(),
        })
    }

    /// The mask its environment goes with.
    pub(crate) fn take_umask(&self) {
        process::set_umask(self.env.umask.unwrap_or(self.umask));
    }

    /// Waits until something happens, at most until the deadline, and notes it.
    ///
    /// # Errors
    /// [`End::HostGone`], found here and nowhere else.
    pub(crate) fn turn(&mut self, deadline: Option<Instant>) -> Result<(), End> {
        clock::waited(Duration::ZERO, self.awake_since);
        let now = clock::now();
        let dues = [
            self.mounts.silent_until(now),
            self.orphans.due(),
            self.output.due(now),
            self.daemons.due(self.stop),
            self.known.due(now),
            self.app.as_ref().and_then(RunningApp::due),
            self.hooks_due,
        ];
        let until = deadline.into_iter().chain(dues.into_iter().flatten()).min();
        let mut timeout = until.map(|until| until.saturating_duration_since(now));
        // A pause is seen by a wait that ends too late.
        if deadline.is_some() || self.saving.has_begun() {
            timeout = Some(timeout.map_or(clock::PIECE, |timeout| timeout.min(clock::PIECE)));
        }
        let mut interests = vec![self.channel.interest(), Interest::readable(self.signals.as_fd())];
        if let Some(app) = &self.app {
            app.interests(&mut interests);
        }
        let apps = interests.len();
        self.daemons.interests(&mut interests);
        let others = interests.len();
        self.output.interests(now, &mut interests);
        let mounts = interests.len();
        interests.extend(self.mounts.interest(now));
        let saving = interests.len();
        self.saving.interests(&mut interests);
        let known = interests.len();
        self.known.interests(&mut interests);
        let ready = poll(&interests, timeout).map_err(|_| End::HostGone)?;
        clock::waited(timeout.unwrap_or(Duration::MAX), now);
        self.awake_since = clock::now();
        if ready[0] {
            self.channel.flush();
            self.hear()?;
        }
        // The app's words before its end: what it said last is still told in order.
        if ready[2..apps].contains(&true)
            && let Some(app) = &mut self.app
        {
            app.listen(&mut self.channel, &mut self.output);
        }
        self.tend_app();
        if ready[1] {
            self.receive_signals();
        }
        self.tend_daemons();
        self.tell_hooks();
        self.orphans.tell(clock::now(), &mut self.channel);
        if ready[others..mounts].contains(&true) {
            self.output.attend(&self.one_thread, &mut self.channel);
            self.output.tell_noticed(&mut self.channel);
        }
        if ready[mounts..saving].contains(&true) {
            if !self.later.own_mounts {
                self.known.look_soon(); // what changed may be another's, which only a look tells
                self.learn_daemons();
            }
            if let Some(changed) = self.mounts.changed(clock::now()) {
                self.tell_mounts(&changed);
            }
        }
        if ready[known..].contains(&true) {
            self.known.forget_the_ended();
        }
        self.learn_daemons();
        Ok(())
    }

    pub(crate) fn hear(&mut self) -> Result<(), End> {
        loop {
            match self.channel.next() {
                News::Nothing => return Ok(()),
                News::HostGone => return Err(End::HostGone),
                News::Garbled(why) => {
                    self.channel.say_failed(Place::Init, 0, why, true);
                    return Err(End::HostGone);
                }
                News::Message(ToInit::Stop) => self.stop = true,
                News::Message(ToInit::Destroy) => (self.stop, self.destroy) = (true, true),
                News::Message(ToInit::GiveUp { step }) => self.late_step = Some(step),
                News::Message(ToInit::Hung { mounts }) => self.give_up_on_mounts(&mounts),
                News::Message(ToInit::Hooks) => self.hooks_due = Some(clock::now() + LAST_LINES),
                News::Message(ToInit::Secured { number }) => self.mounts.exits.secured(number),
                News::Message(ToInit::Reload(reload)) => self.reload = Some(reload),
                // A second plan is no message a host sends; the first one stands.
                News::Message(ToInit::Walk(_)) => {}
            }
        }
    }

    /// Answers what the hooks said last, once all they have said is written down.
    fn tell_hooks(&mut self) {
        let Some(until) = self.hooks_due else { return };
        if self.output.hooks_words_are_written(&self.one_thread) || clock::now() >= until {
            self.hooks_due = None;
            self.say(&FromInit::HooksSaid { line: self.output.last_of_hooks() });
        }
    }

    /// A fatal failure, told and turned into an end.
    pub(crate) fn fail(&mut self, at: Place, errno: i32, detail: impl Into<String>) -> End {
        self.finish_output();
        self.channel.say_failed(at, errno, detail, true);
        End::Failed
    }

    /// Tells a change of the mount table, and which connections can be written to by now.
    pub(crate) fn tell_mounts(&mut self, change: &FromInit) {
        self.say(change);
        self.tell_writable();
        if matches!(change, FromInit::MountsChanged { own_fuse: true, .. }) {
            self.known.look_soon();
            self.learn_daemons();
        }
    }

    /// Tells which connections can be written to, where that has changed.
    pub(crate) fn tell_writable(&mut self) {
        if let Some(connections) = self.mounts.writable_news() {
            self.say(&FromInit::Writable { connections });
        }
    }

    /// Says something to the host.
    pub(crate) fn say(&mut self, message: &FromInit) {
        self.channel.say(message);
    }
}
