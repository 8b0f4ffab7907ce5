//! A `liege run` on its way: arguments, environment, and what it is started under.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use crate::emperor::Emperor;
use crate::log::Log;
use crate::story::Host;
use crate::tools;
use crate::wait::{SHORT, breathe, wait_for};

/// A daemon that is not started yet.
#[derive(Debug)]
pub struct Launch<'h> {
    host: &'h Host,
    watched: PathBuf,
    arguments: Vec<OsString>,
    defaults: bool,
    namespaces: Option<String>,
    environment: Vec<(String, Option<String>)>,
    wrapper: Vec<OsString>,
}

impl<'h> Launch<'h> {
    pub(crate) fn new(host: &'h Host) -> Self {
        Self {
            host,
            watched: host.path("vassals"),
            arguments: Vec::new(),
            defaults: true,
            namespaces: Some("fs,pid".into()),
            environment: Vec::new(),
            wrapper: Vec::new(),
        }
    }

    /// One more argument of `liege run`.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// What the story hurts again and again is not slowed down.
    #[must_use]
    pub fn never_flapping(self) -> Self {
        self.arg("--emperor-flapping-failures").arg("0")
    }

    /// `emperor-use-clone`; None: no new namespaces.
    #[must_use]
    pub fn namespaces(mut self, list: Option<&str>) -> Self {
        self.namespaces = list.map(str::to_owned);
        self
    }

    /// No argument but those of [`Self::arg`]; `watched` is where the story will put its files.
    #[must_use]
    pub fn only_my_arguments(mut self, watched: &Path) -> Self {
        self.defaults = false;
        self.watched = watched.to_owned();
        self
    }

    /// An environment variable of the daemon.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), Some(value.into())));
        self
    }

    /// Nothing makes psgi look built in: the vassals' files load the plugin themselves.
    #[must_use]
    pub fn plugins_are_named(mut self) -> Self {
        self.environment.push(("UWSGI_PLUGIN".into(), None));
        self
    }

    /// A program, with arguments, that executes the daemon's command line behind it: `prlimit`, `env`.
    #[must_use]
    pub fn under(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(OsString::from).collect();
        self
    }

    /// Starts it and waits until it watches.
    ///
    /// # Panics
    /// When it does not start, with its log.
    #[must_use]
    pub fn start(self) -> Rc<Emperor> {
        let emperor = self.start_unheard();
        emperor.wait_log("the emperor is ready");
        // The gauge's zero: nothing is dropped yet, and what starts lazily has started.
        let zero = wait_for("the daemon to come to rest", SHORT, || {
            let one = emperor.gauge();
            breathe(Duration::from_millis(30));
            (one == emperor.gauge()).then_some(one)
        });
        // A daemon that finds files of an earlier one has their vassals by now: it is not at rest.
        if zero.descendants.is_empty() {
            emperor.set_zero(zero);
        }
        emperor
    }

    /// Starts it, and does not wait for anything.
    ///
    /// # Panics
    /// When the program cannot be executed.
    #[must_use]
    pub fn start_unheard(self) -> Rc<Emperor> {
        let (state, control) = (self.host.path("state"), self.host.path("control.sock"));
        let mut words = self.wrapper.clone();
        words.extend([tools::liege().into_os_string(), "run".into()]);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        if self.defaults {
            fs::create_dir_all(&self.watched).expect("mkdir in our own directory");
            command.arg("--emperor").arg(&self.watched);
            if let Some(namespaces) = &self.namespaces {
                command.args(["--emperor-use-clone", namespaces]);
            }
            command.arg("--emperor-state-dir").arg(&state).arg("--emperor-control").arg(&control);
            command.arg("--emperor-log-dir").arg(self.host.path("logs"));
        }
        command.args(&self.arguments).current_dir(self.host.dir());
        // Debian keeps psgi in a plugin, the seed's uwsgi has it built in: the last variable stands for the seed's uwsgi.
        command.env_clear().env("PATH", tools::PATH).env("NO_COLOR", "1").env("LANG", "C.UTF-8").env("UWSGI_PLUGIN", "psgi");
        for (name, value) in &self.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        // One pipe for both, so that the lines keep their order.
        let (reader, writer) = std::io::pipe().expect("a pipe");
        command.stdin(Stdio::null()).stdout(writer.try_clone().expect("a descriptor")).stderr(writer);
        let child = command.spawn().unwrap_or_else(|e| panic!("{}: {e}", tools::liege().display()));
        drop(command); // it holds the pipe's other ends
        let emperor = Rc::new(Emperor::new(child, Log::of(reader), self.watched, self.host.path("logs"), state, control));
        self.host.adopt(&emperor);
        emperor
    }
}
