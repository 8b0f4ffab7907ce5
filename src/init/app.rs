//! The app: started, asked to end, reloaded in its own process, or replaced by a new one.

use std::{
    io::ErrorKind::NotFound,
    time::{Duration, Instant},
};

use liege_plan::{App, Exit, FromInit, Identity, Loss, Place, Program, SmartDaemon, Uwsgi, fork};
use liege_sys::{
    Errno,
    descendants::kill,
    poll::Interest,
    process::{self, LaunchStage, Report},
    processes::{Names, now_in_ticks},
};

use crate::{
    channel::Channel,
    clock,
    init::{End, Init},
    output::{APP, Output},
    relay::{Order, Relay},
    spawn::{Recipe, UWSGI_FDS},
    walk::{Patience, end_group, end_rest_of_group},
};

/// For a look at a few paths.
const LOOK: Duration = Duration::from_secs(2);

/// An app between its fork and the moment its end has been dealt with.
#[derive(Debug)]
pub(crate) struct RunningApp {
    pub(crate) pid: i32,
    pub(crate) ended: Option<Exit>,
    recipe: Recipe,
    plan: App,
    /// Until the program is executed.
    report: Option<Report>,
    failed: Option<(LaunchStage, Errno)>,
    relay: Option<Relay>,
    /// When it was started, in ticks: what is older is none of its own.
    pub(crate) born: u64,
}

/// How a start came out, if it did not end init.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Started {
    Yes,
    /// A stop came first.
    Interrupted,
}

impl RunningApp {
    pub(crate) fn interests<'a>(&'a self, all: &mut Vec<Interest<'a>>) {
        if let Some(report) = &self.report {
            all.push(Interest::readable(std::os::fd::AsFd::as_fd(report)));
        }
        if let Some(relay) = &self.relay {
            relay.interests(all);
        }
    }

    /// Reads whatever the app or its first sign has to say.
    pub(crate) fn listen(&mut self, channel: &mut Channel, output: &mut Output) {
        if let Some(report) = self.report.take_if(|report| report.is_ready()) {
            self.failed = report.read();
        }
        if let Some(relay) = &mut self.relay
            && relay.listen(channel, output)
        {
            channel.say(&FromInit::Started { pid: self.pid });
        }
    }

    /// What it may take to end.
    pub(crate) fn stop_timeout(&self) -> Duration {
        Duration::from_millis(self.plan.stop_timeout_ms)
    }

    /// What it leaves behind.
    pub(crate) fn smart_daemons(&self) -> &[SmartDaemon] {
        &self.plan.smart_daemons
    }

    /// When to tend it again, if nothing comes before.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.relay.as_ref().and_then(Relay::due)
    }

    fn tend(&mut self, names: &Names) {
        if let Some(relay) = &mut self.relay {
            relay.tend(self.pid, names);
        }
    }

    /// It has come as far as its work: a uwsgi says so. One that was still loading when it had to be killed has written nothing back
    /// because there was nothing yet.
    fn has_begun(&self) -> bool {
        self.relay.as_ref().is_none_or(Relay::has_loaded)
    }

    fn ask_to_end(&mut self) {
        match (&mut self.relay, &self.plan.program) {
            (Some(relay), Program::Uwsgi(Uwsgi { graceful_stop: true, .. })) => relay.order_end(Order::StopGracefully),
            (Some(relay), _) => relay.order_end(Order::Stop),
            (None, _) => drop(kill(self.pid, self.plan.stop_signal)),
        }
    }
}

impl Init {
    /// Starts the app and waits until its program runs.
    ///
    /// # Errors
    /// It could not be started, which was told; or the host's end.
    pub(crate) fn start_app(&mut self, plan: App) -> Result<Started, End> {
        let plan = self.with_identity(plan)?;
        let recipe = self.recipe(&plan)?;
        self.start(plan, recipe)
    }

    /// The app with the identity that was found in this root, where it is to have that. A uwsgi takes it by itself, but is told the
    /// numbers: it would ask NSS, whose answer may be another one.
    fn with_identity(&mut self, mut plan: App) -> Result<App, End> {
        match (plan.found_identity, self.later.identity.clone()) {
            (false, _) => Ok(plan),
            (true, Some(found)) => {
                match &mut plan.program {
                    Program::Uwsgi(uwsgi) => uwsgi.config.push_str(&in_uwsgis_words(&found)),
                    Program::Command(_) | Program::Shell(_) => plan.identity = Some(found),
                }
                Ok(plan)
            }
            // Never as root instead.
            (true, None) => Err(self.fail(Place::AppIdentity, 0, "nobody was found to be")),
        }
    }

    fn recipe(&mut self, plan: &App) -> Result<Recipe, End> {
        Recipe::of(plan, &self.env).map_err(|why| self.fail(Place::AppExec, 0, why))
    }

    fn start(&mut self, plan: App, recipe: Recipe) -> Result<Started, End> {
        self.launch(plan, recipe)?;
        loop {
            let Some(app) = &mut self.app else {
                return Ok(Started::Interrupted);
            };
            if let Some((stage, errno)) = app.failed {
                let (place, detail) = app.recipe.explain(stage, errno);
                return Err(self.fail(place, errno as i32, detail));
            }
            if app.report.is_none() {
                let pid = app.pid;
                self.has_run = true;
                self.say(&FromInit::Started { pid });
                return Ok(Started::Yes);
            }
            if self.stop {
                end_group(app.pid);
                return Ok(Started::Interrupted);
            }
            self.turn(None)?;
        }
    }

    fn launch(&mut self, plan: App, recipe: Recipe) -> Result<(), End> {
        let ends = match &plan.program {
            Program::Uwsgi(uwsgi) if uwsgi.config.len() > Uwsgi::MAX_CONFIG => {
                return Err(self.fail(Place::AppExec, Errno::E2BIG as i32, too_long(uwsgi)));
            }
            Program::Uwsgi(uwsgi) => match Relay::new(uwsgi) {
                Ok((relay, theirs)) => Some((relay, theirs)),
                Err(errno) => {
                    return Err(self.fail(Place::Init, errno as i32, "make uwsgi's emperor sockets"));
                }
            },
            Program::Command(_) | Program::Shell(_) => None,
        };
        let (relay, theirs) = ends.unzip();
        let fds = theirs.as_ref().map(|ends| {
            use std::os::fd::AsFd;
            [(ends.words.as_fd(), UWSGI_FDS[0]), (ends.config.as_fd(), UWSGI_FDS[1])]
        });
        self.output.begin_app();
        self.mounts.app_begins();
        let output = self.output.writer(APP, None);
        let born = now_in_ticks();
        match self.saving.start(|| recipe.launch(fds.as_ref().map_or(&[], |fds| &fds[..]), output)) {
            Ok((pid, report)) => {
                self.app = Some(RunningApp { pid, ended: None, recipe, plan, report: Some(report), failed: None, relay, born });
                Ok(())
            }
            Err(errno) => Err(self.fail(Place::Init, errno as i32, fork::FOR_APP)),
        }
    }

    /// Asks the app to end by its own way of being asked.
    pub(crate) fn ask_app_to_end(&mut self) {
        if let Some(app) = &mut self.app {
            app.ask_to_end();
        }
        self.tend_app();
    }

    /// Says what was to wait until the app hears it.
    pub(crate) fn tend_app(&mut self) {
        if let Some(app) = &mut self.app {
            app.tend(&self.names);
        }
    }

    /// Whether the app that is to end has come as far as its work.
    pub(crate) fn app_has_begun(&self) -> bool {
        self.app.as_ref().is_some_and(RunningApp::has_begun)
    }

    /// It had its time.
    pub(crate) fn kill_app(&mut self) {
        if let Some(pid) = self.app.as_ref().map(|app| app.pid) {
            self.kill_group(pid);
        }
    }

    /// Brings the new plan of the app about: in its own process where that process would be started the same way, else by a
    /// new one.
    ///
    /// # Errors
    /// The new one could not be started; or the host's end.
    pub(crate) fn reload_app(&mut self, plan: App) -> Result<(), End> {
        let plan = self.with_identity(plan)?;
        let recipe = self.recipe(&plan)?;
        let has_sockets = self.finds_its_sockets(&plan)?;
        let Some(app) = self.app.as_mut().filter(|app| has_sockets && app.recipe.serves(&recipe)) else {
            return self.replace_app(plan, recipe);
        };
        match (&mut app.relay, &plan.program, plan.reload_signal) {
            (Some(relay), Program::Uwsgi(uwsgi), _) if uwsgi.config.len() <= Uwsgi::MAX_CONFIG => {
                relay.reload(&uwsgi.config); // told when it asks for the configuration
                (app.plan, app.recipe) = (plan, recipe);
                Ok(())
            }
            (Some(_), Program::Uwsgi(uwsgi), _) => {
                let detail = too_long(uwsgi);
                Err(self.fail(Place::AppExec, Errno::E2BIG as i32, detail))
            }
            (None, _, Some(signal)) => {
                let pid = app.pid;
                self.output.begin_run();
                let _ = kill(pid, signal);
                app.plan = plan;
                self.say(&FromInit::Started { pid });
                Ok(())
            }
            _ => self.replace_app(plan, recipe),
        }
    }

    /// Whether the sockets that a uwsgi has made and is to have still stand where they did. Their paths are the tenant's, so a child looks.
    fn finds_its_sockets(&mut self, plan: &App) -> Result<bool, End> {
        let (Some(Program::Uwsgi(old)), Program::Uwsgi(new)) = (self.app.as_ref().map(|app| &app.plan.program), &plan.program)
        else {
            return Ok(true);
        };
        let kept: Vec<&String> = old.sockets.iter().filter(|path| new.sockets.contains(path)).collect();
        if kept.is_empty() {
            return Ok(true);
        }
        let look = || i32::from(kept.iter().any(|path| std::fs::symlink_metadata(path).is_err_and(|e| e.kind() == NotFound)));
        let Ok(pid) = process::fork_in_place(&self.one_thread, look) else { return Ok(true) };
        let patience = Patience::at_most(LOOK, |_| Place::Init);
        Ok(self.wait_for_job(pid, &patience)? != Some(Exit::Code(1)))
    }

    fn replace_app(&mut self, plan: App, recipe: Recipe) -> Result<(), End> {
        let Some(app) = &mut self.app else {
            return Ok(());
        };
        let (pid, deadline) = (app.pid, clock::now() + Duration::from_millis(app.plan.stop_timeout_ms));
        app.ask_to_end();
        self.tend_app();
        let mut killed = false;
        while self.app.as_ref().is_some_and(|app| app.ended.is_none()) {
            let late = self.destroy || clock::now() >= deadline;
            if late && !killed {
                if !self.destroy && self.app_has_begun() {
                    self.say(&FromInit::Unsaved { lost: vec![Loss::of_app(pid)] });
                }
                self.kill_group(pid);
                killed = true;
            }
            self.turn(if killed { None } else { Some(deadline) })?;
        }
        // Children it left behind would keep its sockets.
        self.saving.group_killed(pid);
        end_rest_of_group(pid);
        if self.stop {
            return Ok(()); // the old one's end is the end
        }
        self.app = None;
        self.start(plan, recipe).map(drop)
    }
}

fn in_uwsgis_words(identity: &Identity) -> String {
    let Identity { uid, gid, groups } = identity;
    let mut lines = format!("uid = {uid}\n");
    if *gid != 0 {
        lines.push_str(&format!("gid = {gid}\nno-initgroups = true\n"));
        groups.iter().for_each(|group| lines.push_str(&format!("add-gid = {group}\n")));
    }
    lines
}

fn too_long(uwsgi: &Uwsgi) -> String {
    let (is, most) = (uwsgi.config.len(), Uwsgi::MAX_CONFIG);
    format!("the configuration for uwsgi has {is} bytes, its config pipe takes {most}; move a part into a file and include it")
}
