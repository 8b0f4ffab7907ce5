//! What host and init say to each other, and the plan itself.

use std::{fmt, io};

use serde::{Deserialize, Serialize};

use crate::{Act, App, Base, DaemonNews, Exit, Identity, Limits, Log, Phase, Step, signal_name};

/// Everything init needs to bring one vassal up. Nothing in it is decided later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// [`crate::VERSION`] of the host that made it.
    pub version: u16,
    /// The vassal's name.
    pub vassal: String,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// The identity of the steps that run as the user.
    pub identity: Option<Identity>,
    /// Where steps and app start: the directory of the vassal's file, as under uWSGI's Emperor.
    pub directory: Option<String>,
    /// Where the environment of steps and app begins.
    pub base: Base,
    /// What runs when all steps are done.
    pub app: App,
    /// What a reload does as root by what is known today: init keeps the rights it needs.
    pub again: Vec<Step>,
    /// The steps of the vassal's end. None of them is fatal; each has `at_exit_timeout_ms`.
    pub at_exit: Vec<Step>,
    /// Milliseconds each step of the end may take.
    pub at_exit_timeout_ms: u64,
    /// Limits for hooks and app.
    pub limits: Limits,
    /// What is done with their output; None: it goes where init's own goes.
    pub log: Option<Log>,
    /// Init is pid 1 of its own namespace; else it is a subreaper and kills its descendants itself.
    pub own_pid_namespace: bool,
    /// It has a mount namespace of its own: every mount in it that came after its birth may be unmounted.
    pub own_mounts: bool,
}

/// Replace the app inside the kept namespaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reload {
    /// The steps that a reload runs (phases that uWSGI repeats), in order.
    pub steps: Vec<Step>,
    /// Where their environment, and that of the new app, begins.
    pub base: Base,
    /// The new app.
    pub app: App,
    /// The new steps of the end.
    pub at_exit: Vec<Step>,
    /// Milliseconds each of them may take.
    pub at_exit_timeout_ms: u64,
    /// What is done with the output from now on; of the same kind as before.
    pub log: Option<Log>,
}

/// From the host to init.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToInit {
    /// The green light: the host has registered the child, walk the plan. Always the first message.
    Walk(Box<Plan>),
    /// Replace the app.
    Reload(Box<Reload>),
    /// Ask the app to end; init ends with it.
    Stop,
    /// End as after the app's own death, at once: the app is killed if it runs, and what may not be written back is saved.
    Destroy,
    /// A step of the reload under way had its time: init ends it, and the app goes on as it was. Nothing where that step has ended.
    GiveUp {
        /// Its index.
        step: u32,
    },
    /// The vassal ends, and these FUSE mounts do not answer: their daemons are not waited for.
    Hung {
        /// Those of which it is certain.
        mounts: Vec<HungMount>,
    },
    /// What have the hooks of the vassal said last? [`FromInit::HooksSaid`] is the answer.
    Hooks,
    /// The emergency exits of the mounts told so far are held, or could not be opened: init may unmount them.
    Secured {
        /// [`FromInit::MountsChanged`]'s number, up to and with this one.
        number: u32,
    },
}

/// From init to the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromInit {
    /// A step that may last begins (its index); the host times it.
    Entered {
        /// Index into the steps (of the plan, or of the reload under way).
        step: u32,
    },
    /// The user of hooks and app, of which the file has names, was found in the vassal's own root.
    Identified {
        /// Its numbers.
        identity: Identity,
    },
    /// All steps of a reload are done: the app is told of it, or asked to make room.
    Walked,
    /// A step of a reload has failed, which was told: the app goes on as it was.
    Kept,
    /// Something failed. After a fatal failure init ends with status 1.
    Failed {
        /// Where.
        at: Place,
        /// The error number; 0 where none fits (a program that exited with a status).
        errno: i32,
        /// What the program or the call said beyond the errno, as a short phrase: `exited with status 3`, `killed by SIGKILL`.
        detail: String,
        /// False: logged only, the walk goes on.
        fatal: bool,
    },
    /// The app's exec succeeded: first start, or replaced by a reload. For uwsgi reloading by itself: it asked for its new configuration.
    Started {
        /// The app's pid in its own pid namespace.
        pid: i32,
    },
    /// A byte of uwsgi's emperor protocol.
    Said(AppWord),
    /// The app printed a line that says more than that it runs, or did something of that kind. Each kind is told once in ten
    /// seconds of a run at most, deaths once in a second.
    Noticed {
        /// What it means, most likely.
        notice: Notice,
        /// The line, bounded and without controls.
        line: String,
    },
    /// The app ended. Init runs the steps of the end and leaves.
    AppExited {
        /// How.
        exit: Exit,
        /// What it said just before, where it failed: one line, bounded and without controls.
        #[serde(default)]
        said: Option<String>,
    },
    /// The answer to [`ToInit::Hooks`].
    HooksSaid {
        /// The line that the hooks of this life said last, also after their step: bounded and without controls. None: they said nothing.
        line: Option<String>,
    },
    /// The vassal's mount table changed. Told with a pause in between when it changes all the time; the last change is always told.
    MountsChanged {
        /// It holds FUSE mounts that may be the vassal's own, not its host's, and not only mounts of others changed.
        own_fuse: bool,
        /// Which entries of it. None: too many, or it is not known what was there before.
        changes: Option<Vec<MountChange>>,
        /// Counts the changes of own FUSE mounts. [`ToInit::Secured`] with this number or a higher one is the answer.
        #[serde(default)]
        number: u32,
    },
    /// Which own FUSE connections can be written to, where that has changed: what is written there may have to be written back.
    Writable {
        /// Their numbers.
        connections: Vec<u32>,
    },
    /// Where the mount table is the host's: the FUSE mounts in it that the vassal serves, where these have changed. Those that stand when init has
    /// ended are left behind, and dead.
    OnHost {
        /// At most 64.
        mounts: Vec<HostMount>,
    },
    /// Something happened to an attached daemon.
    Daemon {
        /// Its place in the list of the plan, or of the last reload.
        index: u32,
        /// What.
        news: DaemonNews,
    },
    /// The vassal ends, and these hold what may not be written back yet: FUSE daemons, attached daemons. Told when it begins and
    /// each time the list changes. An empty list: all of them have ended.
    Saving {
        /// Each a phrase.
        waits_for: Vec<String>,
    },
    /// These have not written back, as far as is known. Those whose time is over init kills now, and leaves where the vassal ends.
    Unsaved {
        /// Empty: nothing is lost, but init cannot leave, because a step is beyond SIGKILL.
        lost: Vec<Loss>,
    },
    /// A process nobody waited for died: a daemon of the vassal, perhaps the one of a mount.
    OrphanDied {
        /// Its pid in the vassal's namespace.
        pid: i32,
        /// How.
        exit: Exit,
        /// Its program's name, as far as the kernel keeps it; it may call itself anything.
        name: Option<String>,
    },
    /// So many more died like that, too fast to be told one by one.
    OrphansDied {
        /// How many.
        count: u32,
    },
}

/// A process that may have had something to write back when it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// A phrase that names it.
    pub what: String,
    /// Why it has not written back.
    pub how: Fate,
}

/// Why a process has not written back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    /// Its time was over, and it was killed.
    OutOfTime,
    /// This signal ended it while it was waited for.
    Died(i32),
    /// Init, which was waiting for it, was killed by this signal, and everything with it.
    InitKilled(i32),
    /// It serves a mount that does not answer, or another mount of the vassal does not: it was killed at once.
    Hung,
    /// The daemon is gone, and its vassals end with it.
    HostGone,
    /// Init could not look for it: this errno. With EMFILE it had too few descriptors, and may have no more.
    Unseen(i32),
}

/// A FUSE mount that does not answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HungMount {
    /// The number of its connection. A path says less: it may lead through a link or `..`, and so over other mounts.
    pub minor: u32,
    /// The path of the check that hangs, as seen from init's root. For people.
    pub path: String,
}

/// A FUSE mount in the host's table, as its line has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostMount {
    /// The number of the mount.
    pub id: u32,
    /// The number of its connection.
    pub minor: u32,
    /// Where it stands.
    pub point: String,
}

impl Loss {
    /// One that was killed because its time was over.
    #[must_use]
    pub fn out_of_time(what: impl Into<String>) -> Self {
        Self { what: what.into(), how: Fate::OutOfTime }
    }

    /// The same of the app, which was asked to leave.
    #[must_use]
    pub fn of_app(pid: i32) -> Self {
        Self::out_of_time(format!("the app (pid {pid})"))
    }
}

/// As people read it, and grep for it.
impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, how } = self;
        match how {
            Fate::OutOfTime => f.write_str(what),
            Fate::Died(signal) => write!(f, "{what}, ended by {} before that", signal_name(*signal)),
            Fate::InitKilled(signal) => write!(f, "{what}, ended with liege-init, which was killed by {}", signal_name(*signal)),
            Fate::Hung => write!(f, "{what}, killed at once because of a mount that hangs"),
            Fate::HostGone => write!(f, "{what}, killed because the emperor is gone"),
            Fate::Unseen(EMFILE) => {
                write!(f, "{what}: init has too few descriptors to look for it, raise the daemon's limit of open files")
            }
            Fate::Unseen(errno) => write!(f, "{what}: init could not look for it: {}", io::Error::from_raw_os_error(*errno)),
        }
    }
}

/// "Too many open files", on every machine.
const EMFILE: i32 = 24;

/// What begins every word about a loss, here and on the host.
pub const LOST: &str = "what was not written back is lost: ";

/// An entry of a mount table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountChange {
    /// It came.
    Came {
        /// Where, as seen from init's root.
        point: String,
    },
    /// It went.
    Went {
        /// The device of its file system, major and minor.
        device: (u32, u32),
    },
}

/// The place of a failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// A step of the plan or of the reload: its index.
    Step(u32),
    /// A step of the end: its index.
    AtExit(u32),
    /// A bound of the app could not be set.
    AppLimit(Limit),
    /// The identity of the app could not be taken.
    AppIdentity,
    /// The capabilities of the app could not be kept.
    AppCaps,
    /// The app's directory could not be entered.
    AppChdir,
    /// The app's program could not be executed.
    AppExec,
    /// Its log could not be written.
    Log,
    /// The channel, a pipe, a fork: init itself.
    Init,
}

/// One of the bounds of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limit {
    /// `RLIMIT_AS`
    AddressSpace,
    /// `RLIMIT_NPROC`
    Processes,
    /// `RLIMIT_NOFILE`
    Files,
    /// The nice value.
    Nice,
}

/// What a line of an app's output means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Notice {
    /// A uwsgi found no app to serve.
    NoApp,
    /// A uwsgi lacks the plugin for what it is to serve.
    NoPlugin,
    /// An address it wants is taken.
    AddressInUse,
    /// A worker, or another process of the app's own, died and is started again.
    WorkerDied,
    /// A uwsgi kills a process of its own for a request, or a task, that lasts too long.
    Harakiri,
    /// Not a line: these processes of the app were there when it ended with status 0, soon after its start.
    LeftBehind,
}

/// uwsgi's emperor bytes, from the vassal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AppWord {
    /// 1: spawned, ready.
    Ready,
    /// 2: it wants its configuration again (init has pushed it).
    WantsConfig,
    /// 5: its first worker accepts.
    Accepting,
    /// 17: loyal, it has served a request.
    Loyal,
    /// 22: it leaves by itself.
    Leaving,
    /// 26: heartbeat.
    Heartbeat,
    /// 30: it asks for reinforcements.
    Sos,
    /// Any other byte.
    Unknown(u8),
}

impl From<u8> for AppWord {
    fn from(byte: u8) -> Self {
        match byte {
            1 => Self::Ready,
            2 => Self::WantsConfig,
            5 => Self::Accepting,
            17 => Self::Loyal,
            22 => Self::Leaving,
            26 => Self::Heartbeat,
            30 => Self::Sos,
            other => Self::Unknown(other),
        }
    }
}

impl Step {
    /// A fatal step done by init itself.
    #[must_use]
    pub fn root(phase: Phase, act: Act) -> Self {
        Self { phase, act, as_user: false, fatal: true }
    }
}
