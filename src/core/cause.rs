//! Why a vassal's life ended: a closed list, the same words in log, command line and metrics.

use liege_plan::{Exit, in_quotes, signal_name};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Late;

const SIGKILL: i32 = 9;
pub(crate) const ENOENT: i32 = 2;

/// Why a life ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Cause {
    /// The app ended by itself.
    Exit {
        /// Its status.
        code: i32,
        /// It came at a reload.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        at_reload: bool,
        /// The line it said just before, where it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        said: Option<String>,
        /// The option of its file that this line is about, with what it lacks. None: the line names it, or is about none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        about: Option<String>,
    },
    /// The app was killed by a signal.
    Signal {
        /// Which.
        signal: i32,
        /// It came at a reload.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        at_reload: bool,
        /// The line it said just before, where the signal tells of a fault of its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        said: Option<String>,
    },
    /// The app ended because an address it wants is taken.
    AddressInUse {
        /// How it ended.
        what: String,
        /// The line it said just before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        said: Option<String>,
        /// Which address; null: it is not known.
        #[serde(default)]
        place: Option<String>,
        /// The process that listens there.
        #[serde(default)]
        by: Option<String>,
        /// That process is not the vassal's owner's: only root is told of it.
        #[serde(default)]
        roots_alone: bool,
    },
    /// The app put itself into the background.
    Background {
        /// How it ended, what it left behind, and what helps.
        what: String,
    },
    /// Init, pid 1 of the vassal, was killed by somebody else.
    InitKilled {
        /// Which signal.
        signal: i32,
    },
    /// The kernel's OOM killer took the app, its init, or a daemon it cannot do without.
    Oom {
        /// What it led to.
        what: String,
    },
    /// A control daemon ended, and with it the instance.
    DaemonEnded {
        /// The sentence: which, how, and its line.
        what: String,
        /// The line it said just before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        said: Option<String>,
    },
    /// The daemon of a watched mount is dead.
    MountpointDead {
        /// The mount's path.
        path: String,
        /// What it answered.
        errno: i32,
        /// Who died just before: probably its daemon.
        daemon: Option<String>,
        /// What was last seen of it, where it had not answered before it died.
        #[serde(default)]
        seen: Option<Late>,
        /// How its path is called in the vassal's root, where the file has it as it was called before the root changed.
        #[serde(default)]
        called: Option<String>,
    },
    /// A watched mount does not answer, and its daemon does nothing about it.
    MountpointHung {
        /// The watched path.
        path: String,
        /// What hangs and how.
        what: String,
        /// Which rule made an end of it; null in records of earlier versions.
        #[serde(default)]
        rule: Option<Rule>,
        /// Everything that was seen, of which the sentence names the first.
        #[serde(default)]
        seen: Option<Late>,
    },
    /// A watched mount is not there any more.
    MountpointGone {
        /// The watched path.
        path: String,
        /// What is there instead.
        what: String,
    },
    /// Nothing is mounted at a watched path where a mount must be.
    MountpointMissing {
        /// The watched path.
        path: String,
        /// For how long, and why one must be there.
        what: String,
        /// The step that was to mount it and what it said, or what the hooks said last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        said: Option<String>,
    },
    /// A step failed: a hook, a mount, the pivot.
    HookFailed {
        /// The sentence: step, object, errno, place.
        what: String,
    },
    /// A step did not end in time.
    HookTimeout {
        /// The sentence.
        what: String,
    },
    /// The app's program could not be started.
    ExecFailed {
        /// The sentence.
        what: String,
    },
    /// The app did not say ready in time.
    ReadyTimeout,
    /// The app's heartbeat stopped.
    HeartbeatLost,
    /// The clone itself failed.
    SpawnFailed {
        /// The sentence.
        what: String,
    },
    /// The host, or the daemon, had no process, memory, descriptor or namespace left: no failure of the vassal's.
    Shortage {
        /// The sentence: what is missing, and for which step.
        what: String,
    },
    /// The file changed what only a rebuild can change.
    ConfigChanged,
    /// The file is gone.
    Vanished,
    /// Its uwsgi asked for it, because no request came (`die-on-idle`).
    Idle,
    /// The app left where a reload was asked for (`exit-on-reload`, a command that ends at its `reload-signal`).
    Reload {
        /// How it ended.
        what: String,
    },
    /// Asked for: shutdown, a command.
    Requested,
    /// Init and host do not understand each other.
    Protocol,
}

/// By which rule a mount that does not answer has destroyed its vassal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Rule {
    /// Nobody worked on an answer, look after look.
    Hung {
        /// Microseconds without an answer.
        micros: u64,
        /// In so many looks in a row.
        looks: u32,
        /// `mountpoint-check-tolerance`.
        tolerated: u32,
    },
    /// Its daemon, or its disk, worked, but for too long.
    Slow {
        /// Microseconds without an answer.
        micros: u64,
        /// So many are allowed.
        allowed: u64,
    },
}

impl Cause {
    /// The word of the closed list, as in the metric label `cause`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Exit { .. } => "exit",
            Self::Signal { .. } => "signal",
            Self::AddressInUse { .. } => "address_in_use",
            Self::Background { .. } => "background",
            Self::InitKilled { .. } => "init_killed",
            Self::Oom { .. } => "oom",
            Self::DaemonEnded { .. } => "daemon_ended",
            Self::MountpointDead { .. } => "mountpoint_dead",
            Self::MountpointHung { .. } => "mountpoint_hung",
            Self::MountpointGone { .. } => "mountpoint_gone",
            Self::MountpointMissing { .. } => "mountpoint_missing",
            Self::HookFailed { .. } => "hook_failed",
            Self::HookTimeout { .. } => "hook_timeout",
            Self::ExecFailed { .. } => "exec_failed",
            Self::ReadyTimeout => "ready_timeout",
            Self::HeartbeatLost => "heartbeat_lost",
            Self::SpawnFailed { .. } => "spawn_failed",
            Self::Shortage { .. } => "shortage",
            Self::ConfigChanged => "config_changed",
            Self::Vanished => "vanished",
            Self::Idle => "idle",
            Self::Reload { .. } => "reload",
            Self::Requested => "requested",
            Self::Protocol => "protocol",
        }
    }

    /// Whether something failed. A wish that was carried out is no failure and costs no delay.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        match self {
            Self::ConfigChanged | Self::Vanished | Self::Idle | Self::Reload { .. } | Self::Requested => false,
            Self::Exit { .. }
            | Self::Signal { .. }
            | Self::AddressInUse { .. }
            | Self::Background { .. }
            | Self::InitKilled { .. }
            | Self::Oom { .. }
            | Self::DaemonEnded { .. }
            | Self::MountpointDead { .. }
            | Self::MountpointHung { .. }
            | Self::MountpointGone { .. }
            | Self::MountpointMissing { .. }
            | Self::HookFailed { .. }
            | Self::HookTimeout { .. }
            | Self::ExecFailed { .. }
            | Self::ReadyTimeout
            | Self::HeartbeatLost
            | Self::SpawnFailed { .. }
            | Self::Shortage { .. }
            | Self::Protocol => true,
        }
    }

    /// Whether the host failed, not the vassal: that is waited for, and counted nowhere.
    #[must_use]
    pub fn is_shortage(&self) -> bool {
        matches!(self, Self::Shortage { .. })
    }

    /// Whether it is that a process was killed by SIGKILL, for a reason that is not known: the app or its init; the daemon of a mount just
    /// before that died; an attached daemon; a hook.
    #[must_use]
    pub(crate) fn is_sigkill(&self) -> bool {
        match self {
            Self::MountpointDead { daemon, .. } => daemon.as_deref().is_some_and(tells_of_sigkill),
            Self::DaemonEnded { what, .. } | Self::HookFailed { what } => tells_of_sigkill(what),
            other => other.may_be_of_oom(),
        }
    }

    /// Whether a SIGKILL from nowhere may be behind it, so that the OOM killer explains it where it was at work.
    #[must_use]
    pub(crate) fn may_be_of_oom(&self) -> bool {
        match self {
            Self::Exit { code, .. } => *code == 128 + SIGKILL, // a shell that tells of its child
            Self::Signal { signal, .. } | Self::InitKilled { signal } => *signal == SIGKILL,
            Self::MountpointDead { .. } | Self::DaemonEnded { .. } | Self::HookFailed { .. } => true,
            Self::Oom { .. }
            | Self::AddressInUse { .. }
            | Self::Background { .. }
            | Self::MountpointHung { .. }
            | Self::MountpointGone { .. }
            | Self::MountpointMissing { .. }
            | Self::HookTimeout { .. }
            | Self::ExecFailed { .. }
            | Self::ReadyTimeout
            | Self::HeartbeatLost
            | Self::SpawnFailed { .. }
            | Self::Shortage { .. }
            | Self::ConfigChanged
            | Self::Vanished
            | Self::Idle
            | Self::Reload { .. }
            | Self::Requested
            | Self::Protocol => false,
        }
    }

    /// Whether it is the same trouble once more: sentences differ by moments and numbers of processes.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::MountpointDead { path, errno, .. }, Self::MountpointDead { path: of, errno: with, .. }) => {
                path == of && errno == with
            }
            (Self::MountpointHung { path, .. }, Self::MountpointHung { path: of, .. })
            | (Self::MountpointGone { path, .. }, Self::MountpointGone { path: of, .. })
            | (Self::MountpointMissing { path, .. }, Self::MountpointMissing { path: of, .. }) => path == of,
            (Self::AddressInUse { what, place, .. }, Self::AddressInUse { what: of, place: at, .. }) => what == of && place == at,
            // What it says has a time in it, mostly.
            (Self::Exit { code, at_reload, .. }, Self::Exit { code: other, at_reload: at, .. }) => {
                code == other && at_reload == at
            }
            (Self::Signal { signal, at_reload, .. }, Self::Signal { signal: other, at_reload: at, .. }) => {
                signal == other && at_reload == at
            }
            (Self::DaemonEnded { what, .. }, Self::DaemonEnded { what: of, .. }) => what == of,
            (one, other) => one == other,
        }
    }

    /// The same as the vassal's owner may read it; None: the owner may read all of it.
    #[must_use]
    pub fn for_owner(&self) -> Option<Self> {
        match self {
            Self::AddressInUse { what, said, place, by: Some(_), roots_alone: true } => {
                let (what, said, place) = (what.clone(), said.clone(), place.clone());
                Some(Self::AddressInUse { what, said, place, by: None, roots_alone: true })
            }
            Self::AddressInUse { .. }
            | Self::Background { .. }
            | Self::Exit { .. }
            | Self::Signal { .. }
            | Self::InitKilled { .. }
            | Self::Oom { .. }
            | Self::DaemonEnded { .. }
            | Self::MountpointDead { .. }
            | Self::MountpointHung { .. }
            | Self::MountpointGone { .. }
            | Self::MountpointMissing { .. }
            | Self::HookFailed { .. }
            | Self::HookTimeout { .. }
            | Self::ExecFailed { .. }
            | Self::ReadyTimeout
            | Self::HeartbeatLost
            | Self::SpawnFailed { .. }
            | Self::Shortage { .. }
            | Self::ConfigChanged
            | Self::Vanished
            | Self::Idle
            | Self::Reload { .. }
            | Self::Requested
            | Self::Protocol => None,
        }
    }

    /// Whether a watched mount was lost.
    #[must_use]
    pub fn is_of_mount(&self) -> bool {
        self.mount().is_some()
    }

    /// Whether the connection of a watched mount serves nothing any more (ECONNABORTED, ENOTCONN). Else only its path may have been lost, or
    /// another mount lies there.
    pub(crate) fn is_of_connection(&self) -> bool {
        match self {
            Self::MountpointDead { errno, daemon, .. } => matches!(*errno, 103 | 107) || daemon.is_some(),
            Self::MountpointHung { .. } => true,
            _ => false,
        }
    }

    /// The path of the watched mount that was lost, if that is the cause.
    pub(crate) fn mount(&self) -> Option<&str> {
        match self {
            Self::MountpointDead { path, .. }
            | Self::MountpointHung { path, .. }
            | Self::MountpointGone { path, .. }
            | Self::MountpointMissing { path, .. } => Some(path),
            Self::Exit { .. }
            | Self::Signal { .. }
            | Self::AddressInUse { .. }
            | Self::Background { .. }
            | Self::InitKilled { .. }
            | Self::Oom { .. }
            | Self::DaemonEnded { .. }
            | Self::HookFailed { .. }
            | Self::HookTimeout { .. }
            | Self::ExecFailed { .. }
            | Self::ReadyTimeout
            | Self::HeartbeatLost
            | Self::SpawnFailed { .. }
            | Self::Shortage { .. }
            | Self::ConfigChanged
            | Self::Vanished
            | Self::Idle
            | Self::Reload { .. }
            | Self::Requested
            | Self::Protocol => None,
        }
    }

    /// The app's end as a cause, and what it said just before.
    #[must_use]
    pub fn of_app(exit: Exit, said: Option<String>) -> Self {
        match exit {
            Exit::Code(code) => Self::Exit { code, at_reload: false, said, about: None },
            Exit::Signal(signal) => Self::Signal { signal, at_reload: false, said },
        }
    }

    /// The app's end where a reload was asked for. `wished`: such an end is a way of reloading.
    #[must_use]
    pub(crate) fn of_app_at_reload(exit: Exit, said: Option<String>, wished: bool) -> Self {
        match exit {
            _ if wished => Self::Reload { what: Self::of_app(exit, None).to_string() },
            Exit::Code(code) => Self::Exit { code, at_reload: true, said, about: None },
            Exit::Signal(signal) => Self::Signal { signal, at_reload: true, said },
        }
    }

    /// The same without the words of the app, its daemon or its hooks, which its log has.
    #[must_use]
    pub fn without_words(&self) -> Self {
        match self {
            Self::Exit { code, at_reload, .. } => Self::Exit { code: *code, at_reload: *at_reload, said: None, about: None },
            Self::Signal { signal, at_reload, said: _ } => Self::Signal { signal: *signal, at_reload: *at_reload, said: None },
            Self::DaemonEnded { what, said: _ } => Self::DaemonEnded { what: what.clone(), said: None },
            Self::MountpointMissing { path, what, said: _ } => {
                Self::MountpointMissing { path: path.clone(), what: what.clone(), said: None }
            }
            Self::AddressInUse { what, said: _, place, by, roots_alone } => {
                let (what, place, by) = (what.clone(), place.clone(), by.clone());
                Self::AddressInUse { what, said: None, place, by, roots_alone: *roots_alone }
            }
            other => other.clone(),
        }
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            // Its own words are the reason: they come first, because the end of a sentence may be cut.
            Self::Exit { said: said @ Some(_), about, .. } => {
                about.iter().try_for_each(|about| write!(f, "{about}: "))?;
                f.write_str(&quoting(&self.without_words().to_string(), said.as_deref()))
            }
            Self::Signal { said: said @ Some(_), .. } => {
                f.write_str(&quoting(&self.without_words().to_string(), said.as_deref()))
            }
            Self::Exit { code, at_reload, said: None, .. } => {
                write!(f, "the app exited with status {code}{}", if *at_reload { " at a reload" } else { "" })
            }
            Self::Signal { signal, at_reload, said: None } => {
                write!(f, "the app was killed by {}{}", signal_name(*signal), if *at_reload { " at a reload" } else { "" })
            }
            Self::InitKilled { signal } => write!(f, "its init was killed by {}", signal_name(*signal)),
            Self::Oom { what } => write!(f, "out of memory (the kernel's OOM killer): {what}"),
            Self::MountpointDead { path, errno, daemon, seen: _, called } => {
                write!(f, "the mount at {path} is dead: {}", errno_name(*errno))?;
                if let Some(called) = called {
                    write!(f, ": after the change of root it is {called}; write mountpoint-check = {called}")?;
                } else if *errno == ENOENT {
                    f.write_str(": this root has no such path; mkdir it, or mount what brings it before the app starts")?;
                }
                daemon.iter().try_for_each(|daemon| write!(f, "; {daemon}"))
            }
            Self::MountpointHung { path, what, .. } => write!(f, "the mount at {path} hangs: {what}"),
            Self::MountpointGone { path, what } => write!(f, "the mount at {path} is gone: {what}"),
            Self::MountpointMissing { path, what, said } => {
                write!(f, "nothing is mounted at {path}: ")?;
                said.iter().try_for_each(|said| write!(f, "{said}; "))?;
                f.write_str(what)
            }
            Self::AddressInUse { what, said, place, by, .. } => {
                write!(f, "{} is taken", place.as_deref().unwrap_or("an address it wants"))?;
                by.iter().try_for_each(|by| write!(f, " by {by}"))?;
                write!(f, ": {}", quoting(what, said.as_deref()))
            }
            Self::DaemonEnded { what, said } => f.write_str(&quoting(what, said.as_deref())),
            Self::Background { what }
            | Self::HookFailed { what }
            | Self::HookTimeout { what }
            | Self::ExecFailed { what }
            | Self::SpawnFailed { what }
            | Self::Shortage { what } => f.write_str(what),
            Self::ReadyTimeout => f.write_str("the app did not get ready in time"),
            Self::HeartbeatLost => f.write_str("the app's heartbeat stopped"),
            Self::ConfigChanged => f.write_str("its jail was changed"),
            Self::Vanished => f.write_str("its file is gone"),
            Self::Idle => f.write_str("no request came for so long that its uwsgi ends it (die-on-idle)"),
            Self::Reload { what } => write!(f, "it ended at a reload: {what}"),
            Self::Requested => f.write_str("it was asked to"),
            Self::Protocol => f.write_str("its init sent what is no message of this version"),
        }
    }
}

/// How an end is told of in the sentences of a cause.
fn tells_of_sigkill(sentence: &str) -> bool {
    let by_signal = format!("killed by {}", signal_name(SIGKILL));
    let by_status = format!("exited with status {}", 128 + SIGKILL); // a shell that tells of its child
    sentence.contains(&by_signal) || sentence.contains(&by_status)
}

/// What happened, behind the words of the program it happened to: they are the reason, and the end of a sentence may be cut.
pub(crate) fn quoting(what: &str, said: Option<&str>) -> String {
    said.map_or_else(|| what.to_owned(), |said| format!("{} ({what})", in_quotes(said)))
}

/// `ENOTCONN (Transport endpoint is not connected)` for 107: the names an operator searches for.
pub(crate) fn errno_name(errno: i32) -> String {
    let text = std::io::Error::from_raw_os_error(errno).to_string();
    let text = text.split(" (os error").next().unwrap_or_default().to_owned();
    let name = match errno {
        1 => "EPERM",
        2 => "ENOENT",
        3 => "ESRCH",
        4 => "EINTR",
        5 => "EIO",
        6 => "ENXIO",
        7 => "E2BIG",
        8 => "ENOEXEC",
        11 => "EAGAIN",
        12 => "ENOMEM",
        13 => "EACCES",
        16 => "EBUSY",
        17 => "EEXIST",
        19 => "ENODEV",
        20 => "ENOTDIR",
        21 => "EISDIR",
        22 => "EINVAL",
        23 => "ENFILE",
        24 => "EMFILE",
        28 => "ENOSPC",
        30 => "EROFS",
        32 => "EPIPE",
        34 => "ERANGE",
        36 => "ENAMETOOLONG",
        38 => "ENOSYS",
        40 => "ELOOP",
        71 => "EPROTO",
        75 => "EOVERFLOW",
        87 => "EUSERS",
        95 => "EOPNOTSUPP",
        103 => "ECONNABORTED",
        104 => "ECONNRESET",
        105 => "ENOBUFS",
        107 => "ENOTCONN",
        110 => "ETIMEDOUT",
        111 => "ECONNREFUSED",
        112 => "EHOSTDOWN",
        113 => "EHOSTUNREACH",
        116 => "ESTALE",
        117 => "EUCLEAN",
        121 => "EREMOTEIO",
        122 => "EDQUOT",
        125 => "ECANCELED",
        // Not "Owner died": the prober says so of the process that asked for it.
        130 => return "EOWNERDEAD (the process that looked as the mount's owner was killed or stopped)".to_owned(),
        other => return format!("errno {other} ({text})"),
    };
    format!("{name} ({text})")
}
