//! The app of a vassal: the program init starts when all steps are done.

use serde::{Deserialize, Serialize};

/// Numbers, never names: names were resolved on the host, where NSS is trusted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups, all of them (`setgroups`).
    pub groups: Vec<u32>,
}

/// The app: a program, and the state of the process it starts in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// What runs.
    pub program: Program,
    /// The identity the app is *started* with. None: as init (a real uwsgi drops by itself).
    pub identity: Option<Identity>,
    /// It is started with the identity a [`crate::Act::FindIdentity`] of the first walk has found; a uwsgi, which takes it by itself, is
    /// told its numbers.
    pub found_identity: bool,
    /// The capabilities it keeps, one bit each, also through the change of its identity and into what it executes. None: what
    /// the kernel leaves to a program of this identity.
    pub caps: Option<u64>,
    /// What bounds it.
    pub limits: AppLimits,
    /// Where it starts; None: where the steps left init.
    pub chdir: Option<String>,
    /// `NAME=VALUE`, on top of what the steps put and the daemon passed on.
    pub env: Vec<(String, String)>,
    /// Names taken out of the environment, before `env` is put in.
    pub unenv: Vec<String>,
    /// File mode creation mask; None: the daemon's.
    pub umask: Option<u32>,
    /// `PR_SET_NO_NEW_PRIVS`.
    pub no_new_privs: bool,
    /// The signal that asks it to end (uwsgi is asked by its emperor byte instead).
    pub stop_signal: i32,
    /// The signal that asks it to reload; None: it is stopped and started again.
    pub reload_signal: Option<i32>,
    /// Milliseconds it may take to end when it is replaced, before it is killed.
    pub stop_timeout_ms: u64,
    /// What runs beside it.
    pub daemons: Vec<crate::Daemon>,
    /// What a uwsgi leaves behind.
    pub smart_daemons: Vec<crate::SmartDaemon>,
}

/// What runs as the app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Program {
    /// A real uwsgi under its emperor protocol.
    Uwsgi(Uwsgi),
    /// A program found in the PATH of the vassal's root.
    Command(Vec<String>),
    /// `/bin/sh -c` (`unprivileged-binary-patch-arg`, `privileged-binary-patch-arg`).
    Shell(String),
}

/// A real uwsgi under its emperor protocol (`UWSGI_EMPEROR_FD`, `UWSGI_EMPEROR_FD_CONFIG`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uwsgi {
    /// `binary-path`, else `uwsgi`: looked up in the PATH of the vassal's root.
    pub binary: String,
    /// The vassal's name, for `--ini emperor://NAME`.
    pub name: String,
    /// The configuration pushed through the config pipe: `[uwsgi]` and the options liege did not carry out itself, every
    /// literal `%` doubled. At most [`Uwsgi::MAX_CONFIG`] bytes.
    pub config: String,
    /// Stop by byte 2 (graceful) instead of 0.
    pub graceful_stop: bool,
    /// Paths of the unix sockets it makes: where one is gone, only a new process makes it again.
    pub sockets: Vec<String>,
    /// What its process keeps, whatever it is told later.
    pub lasting: Lasting,
}

/// What a uwsgi that reloads in its own process cannot change: it has given up root by then, and executes itself with the environment it
/// has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lasting {
    /// The lines that only a new process carries out.
    pub lines: Vec<String>,
    /// The variables its `env` lines set. One that is told no more would stay.
    pub env: Vec<String>,
    /// It keeps capabilities, which its own exec would take from it.
    pub caps: bool,
}

impl Lasting {
    /// Whether a process that was started with this can be told the other by a reload of its own.
    #[must_use]
    pub fn can_become(&self, new: &Self) -> bool {
        !self.caps && !new.caps && self.lines == new.lines && self.env.iter().all(|name| new.env.contains(name))
    }
}

impl Uwsgi {
    /// The length field of uwsgi's config packet has 16 bits.
    pub const MAX_CONFIG: usize = 65_535;
}

/// Limits and attributes of the daemon that must not be handed down to the vassal's programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// `RLIMIT_NOFILE` soft and hard, as the daemon was started with.
    pub nofile: (u64, u64),
    /// `oom_score_adj` of init and of each program it starts.
    pub oom_score_adj: i16,
    /// The file mode creation mask the daemon was started with: vassals begin with it, as under uWSGI's Emperor.
    pub umask: u32,
}

/// What bounds the app and all it starts; None: as the daemon was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppLimits {
    /// `RLIMIT_AS` in bytes.
    pub address_space: Option<u64>,
    /// `RLIMIT_NPROC`.
    pub processes: Option<u64>,
    /// `RLIMIT_NOFILE`.
    pub files: Option<u64>,
    /// The nice value.
    pub nice: Option<i32>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// By itself, with this status.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Exit {
    /// The status a shell would show: the code, or 128 plus the signal.
    #[must_use]
    pub fn status(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }
}
