//! What a vassal file means.
//!
//! Three parts that live and die differently: the [`Jail`] (a change means: rebuild), the [`AppSpec`] (a change means: replace
//! the app inside the kept namespaces), and the rest (timeouts, checks: taken over with the app).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Asked, AttachedDaemon, Cgroups, Environment, LogRules, LogTo, Namespaces, ProcessLimits, RestartRules};

/// One file, understood twice: as for a first start, and as for a reload (`UWSGI_RELOADS` set, so `if-reload` is true).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VassalConfig {
    /// With `if-not-reload` blocks taken.
    pub fresh: VassalSpec,
    /// With `if-reload` blocks taken.
    pub again: VassalSpec,
}

/// A vassal as its file wishes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VassalSpec {
    /// What must be rebuilt to change.
    pub jail: Jail,
    /// What can be replaced inside the jail.
    pub app: AppSpec,
    /// The mounts that are watched, in the order of the file.
    pub checks: Vec<MountpointCheck>,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// When it is slowed down, and when given up.
    pub restarts: RestartRules,
    /// How much its log may hold.
    pub log: LogRules,
    /// The pairs of the `[emperor]` section.
    pub attributes: Attributes,
}

/// The keys and values of a vassal's `[emperor]` section, in order.
pub type Attributes = Vec<(String, String)>;

/// The part of a vassal that shapes its namespaces, mounts and identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jail {
    /// `uid`, `gid`, `add-gid`, `no-initgroups`, resolved to numbers; None: the vassal stays what the emperor is.
    pub identity: Option<Asked<Identity>>,
    /// `immediate-uid`, of a uwsgi: `identity` is taken before the first hook of its own.
    pub immediate: bool,
    /// The same where the root changes: whose numbers the new root's own files tell. Never together with `identity`.
    pub names: Option<Asked<Names>>,
    /// All hooks of all phases liege carries out. Within one phase in uWSGI's order: the `hook-X` chain, then `mount-X`,
    /// `umount-X`, `exec-X`, `call-X`, each family in the order of the file.
    pub hooks: Vec<Hook>,
    /// `pivot_root = NEW OLD`.
    pub pivot_root: Option<Asked<PivotRoot>>,
    /// `chroot = PATH`.
    pub chroot: Option<Asked<String>>,
    /// `unshare`: new namespaces after the `in-jail` hooks; `post-jail` hooks run in them.
    pub unshare: Option<Asked<Namespaces>>,
    /// `unshare2`: more of them, after the root has changed.
    pub unshare2: Option<Asked<Namespaces>>,
    /// `jailed`: `post-jail` hooks run without an `unshare` too.
    pub jailed: bool,
    /// `cap`, `command` vassals only: the capabilities the app keeps, one bit each.
    pub caps: Option<Asked<u64>>,
    /// `cgroup` and its family.
    pub cgroups: Cgroups,
    /// `wait-for-fs` and its family, in uWSGI's order: files and mounts by their kinds, then sockets ([`Verb::WaitForFs`] ... only).
    pub wait_for: Vec<Asked<Verb>>,
    /// `vassal-proc` (true unless turned off): a fresh `/proc` where pid and mount namespaces are both new.
    pub fresh_proc: bool,
    /// `vassal-log`: where its output goes.
    pub log_to: LogTo,
    /// `oom-score-adjust`: `oom_score_adj` of each process of the vassal, -1000 to 1000. None: that of
    /// the daemon, but never below 0.
    pub oom_score_adjust: Option<Asked<i16>>,
}

/// A process identity in numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

impl Jail {
    /// Whether the vassal becomes somebody else than the emperor.
    #[must_use]
    pub fn drops(&self) -> bool {
        self.identity.is_some() || self.names.is_some()
    }

    /// Whether the vassal gets a root of its own.
    #[must_use]
    pub fn changes_root(&self) -> bool {
        self.pivot_root.is_some() || self.chroot.is_some()
    }
}

/// Who a vassal becomes, as far as only the new root can tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// `uid`
    pub user: Account,
    /// `gid`
    pub group: Account,
    /// `add-gid`: exactly these supplementary groups where there are any.
    pub more: Vec<Account>,
    /// Else the user's own (`no-initgroups`: none).
    pub initgroups: bool,
}

/// A user or a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Account {
    /// As it is.
    Number(u32),
    /// To be found.
    Name(String),
}

/// `pivot_root = NEW OLD`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PivotRoot {
    /// The new root.
    pub new: String,
    /// Where the old one goes.
    pub old: String,
}

/// The phases whose hooks liege carries out, in the order in which they happen. Every later phase of uWSGI (`pre-app`,
/// `post-fork`, `accepting` ...) belongs to the app and goes to uwsgi.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum HookPhase {
    /// `as-vassal-before-drop`
    AsVassalBeforeDrop,
    /// `as-vassal`
    AsVassal,
    /// `asap`
    Asap,
    /// `pre-jail`
    PreJail,
    /// `in-jail`
    InJail,
    /// `post-jail`
    PostJail,
    /// `as-root`
    AsRoot,
    /// `as-user`
    AsUser,
    /// `as-user-atexit`
    AsUserAtexit,
}

/// One hook of one phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// When.
    pub phase: HookPhase,
    /// What, and which line asked for it.
    pub verb: Asked<Verb>,
    /// `!verb:arg`: the argument is not to be shown in logs.
    pub hidden: bool,
}

/// What a hook does. uWSGI's verbs, parsed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verb {
    /// `exec:COMMAND`, `exec-X = COMMAND`
    Exec(String),
    /// `safeexec:COMMAND`: a failure is logged only
    SafeExec(String),
    /// `mount:FS SRC DST [flags] [data]`; `flags` are `MS_*` bits
    Mount {
        /// Type, empty where the flags need none.
        fstype: String,
        /// Source.
        source: String,
        /// Mount point.
        target: String,
        /// `MS_*` bits.
        flags: u64,
        /// File-system data.
        data: String,
    },
    /// `umount:DST [flags]`
    Umount {
        /// Mount point.
        target: String,
        /// `detach`
        detach: bool,
        /// `force`
        force: bool,
        /// `rec`, `recursive`
        recursive: bool,
    },
    /// `cd:`, `chdir:`, `callret:chdir`
    Chdir(String),
    /// `mkdir:`
    Mkdir(String),
    /// `chmod:PATH MODE` (octal)
    Chmod(String, u32),
    /// `chown:PATH USER GROUP`, `chown2:` (numbers); a name only where the new root's files tell its number
    Chown(String, Account, Account),
    /// `sticky:PATH`: the mode it has, and the sticky bit
    Sticky(String),
    /// `create:`, `creat:`
    Create(String),
    /// `write:PATH TEXT`, `writen:` (newline), `append:`, `appendn:`
    Write {
        /// File.
        path: String,
        /// Text, with its newline where the verb adds one.
        text: String,
        /// `append`, `appendn`
        append: bool,
    },
    /// `writefifo:PATH TEXT`
    WriteFifo(String, String),
    /// `unlink:`
    Unlink(String),
    /// `hostname:`
    Hostname(String),
    /// `putenv:NAME=VALUE`, `callint:putenv NAME=VALUE`; a name alone is taken out
    Putenv(String),
    /// `print:`, `log:`
    Print(String),
    /// `exit:[STATUS]`
    Exit(u8),
    /// `wait_for_fs:`, `wait-for-fs =`
    WaitForFs(String),
    /// `wait_for_file:`
    WaitForFile(String),
    /// `wait_for_dir:`
    WaitForDir(String),
    /// `wait_for_socket:`: a path, an abstract name (`@name`), or an address and a port
    WaitForSocket(String),
    /// `wait-for-interface =`
    WaitForInterface(String),
    /// `wait-for-mountpoint =`
    WaitForMountpoint(String),
    /// `umask =`: no verb of a line, but what uWSGI does before its first hook
    Umask(u32),
    /// `alarm:ALARM MESSAGE`: nothing. uWSGI's alarms begin with its master, behind all phases there are here.
    Alarm,
}

/// One watched mount point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountpointCheck {
    /// The path in the vassal's root, and the line that asked for it.
    pub path: Asked<String>,
    /// Time between probes (`mountpoint-check-interval`, 1 s).
    pub interval: Duration,
    /// Without an answer for this long the mount counts as hung (`mountpoint-check-timeout`, 5 s).
    pub timeout: Duration,
    /// Intervals in a row it must stay hung (`mountpoint-check-tolerance`, 1).
    pub tolerance: u32,
    /// Where nothing is mounted `timeout` after the app's start, the instance is destroyed (`mountpoint-check-required`, false).
    #[serde(default)]
    pub required: bool,
}

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// `hook-timeout` (60 s): each step that runs a program or waits.
    pub hook: Duration,
    /// `ready-timeout` (60 s): from the app's start until it says ready.
    pub ready: Duration,
    /// `stop-timeout` (30 s): from the request to end until it is killed.
    pub stop: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { hook: Duration::from_secs(60), ready: Duration::from_secs(60), stop: Duration::from_secs(30) }
    }
}

/// The app and the process it starts in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppSpec {
    /// What runs.
    pub program: ProgramSpec,
    /// `command` vassals only (uwsgi gets these options itself): `chdir`.
    pub chdir: Option<Asked<String>>,
    /// Where its environment, and that of the hooks, begins.
    pub environment: Environment,
    /// `env = NAME=VALUE`, `command` vassals only.
    pub env: Vec<(String, String)>,
    /// `unenv = NAME`, `command` vassals only.
    pub unenv: Vec<String>,
    /// `umask` (octal), `command` vassals only.
    pub umask: Option<u32>,
    /// `no-new-privs`, on the app only.
    pub no_new_privs: bool,
    /// `limit-as`, `limit-nproc`, `max-fd`, `prio`, `command` vassals only.
    pub limits: ProcessLimits,
    /// `stop-signal` (SIGTERM), `command` vassals only; a signal number.
    pub stop_signal: i32,
    /// `reload-signal`, `command` vassals only; None: restart in place.
    pub reload_signal: Option<i32>,
    /// `attach-daemon` and its family, `command` vassals only.
    pub daemons: Vec<Asked<AttachedDaemon>>,
}

/// What runs as the app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProgramSpec {
    /// No command of its own: a real uwsgi, given the options liege does not carry out, in the file's order.
    Uwsgi {
        /// `binary-path`, else `uwsgi`.
        binary: String,
        /// Key, value; expanded; `%` not yet doubled.
        options: Vec<(String, String)>,
    },
    /// `command = PROGRAM ARG...`: shell words, no shell. Runs as uid/gid.
    Command(Asked<Vec<String>>),
    /// `unprivileged-binary-patch-arg = LINE`: through `/bin/sh -c`, as uid/gid.
    Shell(Asked<String>),
    /// `privileged-binary-patch-arg = LINE`: the same without the drop.
    PrivilegedShell(Asked<String>),
}
