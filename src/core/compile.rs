//! A spec becomes a plan: every question of order is answered here, without a kernel.
//!
//! The order is uWSGI's (its `uwsgi_setup` and `uwsgi_as_root`, measured): our own birth steps, `as-vassal-before-drop`,
//! `as-vassal`, `asap`, `pre-jail`, `in-jail`, `unshare`, `post-jail`, the new root, `unshare2`, `wait-for-*`, `as-root`,
//! `as-user`, `wait-for-socket`, then the app. `post-jail` does not run in a vassal that was only cloned (neither `unshare` nor
//! `jailed`), as there. A reload repeats `asap` and `in-jail`, as the identity the vassal dropped to; `wait-for-*`, `as-root` and
//! `as-user` are repeated only where nothing was dropped, `wait-for-socket` always.
//!
//! `emperor-cap` works where uWSGI drops and where it executes the vassal: programs lose the rest before `as-vassal`, init itself
//! after it. Names that only the new root can tell are found after `as-root`, whose hooks may still change its files.

use liege_plan::{
    Act, Base, Limits, Log, Mount, MountFlags, Names, Phase, Plan, Reload, Sink, Step, Umount, Unshare, Uwsgi, VERSION, Wait,
};
use liege_spec::{
    Account, AccountRecord, Asked, Environment, Hook, HookPhase, Identity, Jail, LogRules, LogTo, Namespaces, Origin,
    VassalConfig, VassalSpec, Verb,
};

use crate::{app::app, mounts};

/// A plan or a reload, and for each step the line that asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiled<T> {
    /// What init gets.
    pub work: T,
    /// As many as there are steps. None: our own doing.
    pub origins: Vec<Source>,
    /// The same for the steps of the end.
    pub at_exit_origins: Vec<Source>,
}

/// Where a step comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// The line; None: nobody asked, it is ours.
    pub origin: Option<Origin>,
    /// The argument must not be shown (`!verb:arg`).
    pub hidden: bool,
}

/// `CAP_SETPCAP`, which `emperor-cap` never takes away.
const SETPCAP: u64 = 1 << 8;

/// Why no plan can be made of a spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompileError {
    /// uwsgi's config packet has a 16-bit length.
    ConfigTooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// A value with a line break cannot be told to uwsgi, whose configuration is lines.
    ValueHasLineBreak {
        /// The option.
        key: String,
    },
    /// A vassal asks for what the emperor does not leave to any.
    CapNotLeft {
        /// The capabilities, by name.
        names: String,
        /// The line that asks.
        at: Origin,
    },
    /// `pivot_root` turns the root of a whole mount namespace; without one of the vassal's own it would be the host's.
    WouldTurnTheHost {
        /// The line that asks for it.
        at: Origin,
    },
}

impl std::fmt::Display for CompileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ConfigTooLong { length } => write!(
                f,
                "the options left for uwsgi are {length} bytes long, its emperor protocol carries at most {}: move some into a file \
                 and name it with `ini = FILE`",
                Uwsgi::MAX_CONFIG
            ),
            Self::ValueHasLineBreak { key } => {
                write!(
                    f,
                    "the value of `{key}` has more than one line, uwsgi's emperor protocol carries lines: use a file of one line"
                )
            }
            Self::CapNotLeft { names, at } => {
                write!(f, "keep the capabilities {names} ({at}): the emperor leaves vassals none of them: see its emperor-cap")
            }
            Self::WouldTurnTheHost { at } => {
                write!(
                    f,
                    "pivot_root ({at}) would turn the root of the whole host: a vassal needs mounts of its own for that (fs in emperor-use-clone, or in its unshare)"
                )
            }
        }
    }
}

/// The surroundings of a vassal: what the emperor decides for all of them.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// The vassal's name.
    pub vassal: &'a str,
    /// Where steps and app start.
    pub directory: &'a str,
    /// The namespaces it gets anew.
    pub namespaces: Namespaces,
    /// The capabilities vassals are left with; None: all.
    pub vassal_caps: Option<u64>,
    /// uwsgi is stopped by byte 2.
    pub graceful_stop: bool,
    /// What the emperor's file wants done in every vassal, before the same phase of the vassal's own.
    pub hooks: &'a [Hook],
    /// Limits handed down.
    pub limits: Limits,
}

/// The plan of a first start.
///
/// # Errors
/// Where the spec asks for what uwsgi's protocol cannot carry, or for another root where the mounts are the host's.
pub fn compile(config: &VassalConfig, around: Surroundings<'_>) -> Result<Compiled<Plan>, CompileError> {
    let spec = &config.fresh;
    let namespaces = around.namespaces;
    let own_mounts = has_own_mounts(spec, namespaces);
    if let Some(pivot) = spec.jail.pivot_root.as_ref().filter(|_| !own_mounts) {
        return Err(CompileError::WouldTurnTheHost { at: pivot.at.clone() });
    }
    let mut list = List::default();
    if namespaces.mount {
        list.ours(Phase::Birth, Act::CutPropagation);
    }
    if namespaces.mount && namespaces.pid && spec.jail.fresh_proc {
        list.ours(Phase::Birth, Act::MountProc);
    }
    if namespaces.net {
        list.ours(Phase::Birth, Act::LoopbackUp);
    }
    // Not by the clone: its root is the group one is in at that moment, and some groups are joined after the clone.
    if namespaces.cgroup {
        list.ours(Phase::Birth, Act::Unshare(Unshare { cgroup: true, ..Unshare::default() }));
    }
    list.of_the_emperor(around.hooks, HookPhase::AsVassalBeforeDrop);
    list.hooks(spec, HookPhase::AsVassalBeforeDrop, false);
    // As uWSGI, which would else lose the right to give up rights.
    let left = around.vassal_caps.map(|caps| caps | SETPCAP);
    if let Some(caps) = left {
        list.ours(Phase::AsVassal, Act::BoundCaps(caps));
    }
    list.of_the_emperor(around.hooks, HookPhase::AsVassal);
    list.hooks(spec, HookPhase::AsVassal, false);
    if let Some(caps) = left {
        list.ours(Phase::AsVassal, Act::KeepCaps(caps));
    }
    list.surroundings(spec, false);
    for phase in [HookPhase::Asap, HookPhase::PreJail, HookPhase::InJail] {
        list.hooks(spec, phase, spec.jail.immediate);
    }
    list.unshare(Phase::PostJail, spec.jail.unshare.as_ref());
    if spec.jail.unshare.is_some() || spec.jail.jailed {
        list.hooks(spec, HookPhase::PostJail, false);
    }
    list.root(&spec.jail);
    list.unshare(Phase::Jail, spec.jail.unshare2.as_ref());
    list.waits(spec, false, false);
    list.hooks(spec, HookPhase::AsRoot, false);
    if let Some(asked) = &spec.jail.names {
        list.asked(Phase::AsRoot, Act::FindIdentity(names(&asked.value)), &asked.at);
    }
    list.hooks(spec, HookPhase::AsUser, spec.jail.drops());
    list.waits(spec, true, spec.jail.drops());
    let end = at_exit(spec);
    let plan = Plan {
        version: VERSION,
        vassal: around.vassal.to_owned(),
        steps: list.steps,
        identity: identity(spec),
        directory: Some(around.directory.to_owned()).filter(|d| !d.is_empty()),
        base: base(spec),
        app: app(spec, around, &[])?,
        again: reload_steps(config).steps,
        at_exit: end.steps,
        at_exit_timeout_ms: at_exit_timeout(spec),
        limits: limits(spec, around.limits),
        log: log(spec),
        own_pid_namespace: namespaces.pid,
        own_mounts,
    };
    Ok(Compiled { work: plan, origins: list.sources, at_exit_origins: end.sources })
}

/// The limits of the daemon, without its protection from the OOM killer: a vassal that the kernel
/// spares makes it kill another customer's. Where the daemon itself is to be killed first, its
/// vassals are too.
fn limits(spec: &VassalSpec, daemon: Limits) -> Limits {
    let asked = spec.jail.oom_score_adjust.as_ref().map(|asked| asked.value);
    Limits { oom_score_adj: asked.unwrap_or(daemon.oom_score_adj.max(0)), ..daemon }
}

/// Where the environment of its programs begins.
fn base(spec: &VassalSpec) -> Base {
    let Environment { inherit, account, secrets } = &spec.app.environment;
    Base {
        clean: !inherit,
        account: account.clone().map(|AccountRecord { name, home, shell }| liege_plan::AccountRecord { name, home, shell }),
        secrets: liege_plan::Secrets(secrets.0.clone()),
    }
}

/// Whether it has a mount namespace of its own.
pub(crate) fn has_own_mounts(spec: &VassalSpec, namespaces: Namespaces) -> bool {
    namespaces.mount || spec.jail.unshare.as_ref().is_some_and(|asked| asked.value.mount)
}

/// What a reload does inside the kept namespaces.
///
/// # Errors
/// Where the spec asks for what uwsgi's protocol cannot carry.
pub fn compile_reload(config: &VassalConfig, around: Surroundings<'_>) -> Result<Compiled<Reload>, CompileError> {
    let spec = &config.again;
    let list = reload_steps(config);
    let end = at_exit(spec);
    let app = app(spec, around, &list.set_by_hooks())?;
    let at_exit_timeout_ms = at_exit_timeout(spec);
    let reload = Reload { steps: list.steps, base: base(spec), app, at_exit: end.steps, at_exit_timeout_ms, log: log(spec) };
    Ok(Compiled { work: reload, origins: list.sources, at_exit_origins: end.sources })
}

fn reload_steps(config: &VassalConfig) -> List {
    let spec = &config.again;
    let dropped = spec.jail.drops();
    let mut list = List::default();
    // Where the first start told hooks of them, the next one finds what the file says by now.
    list.surroundings(spec, !config.fresh.jail.hooks.is_empty());
    list.hooks(spec, HookPhase::Asap, dropped);
    list.hooks(spec, HookPhase::InJail, dropped);
    if !dropped {
        if spec.jail.jailed {
            list.hooks(spec, HookPhase::PostJail, false);
        }
        list.waits(spec, false, false);
        list.hooks(spec, HookPhase::AsRoot, false);
        list.hooks(spec, HookPhase::AsUser, false);
    }
    list.waits(spec, true, dropped);
    list
}

/// One step that hangs is told before the time of the whole end is over, and leaves some of it to the others.
fn at_exit_timeout(spec: &VassalSpec) -> u64 {
    millis(spec.timeouts.hook.min(spec.timeouts.stop / 2))
}

fn at_exit(spec: &VassalSpec) -> List {
    let mut list = List::default();
    list.hooks(spec, HookPhase::AsUserAtexit, spec.jail.drops());
    for step in &mut list.steps {
        step.fatal = false; // the end goes on whatever one of them says
    }
    list
}

/// Steps and where they come from, growing together.
#[derive(Default)]
struct List {
    steps: Vec<Step>,
    sources: Vec<Source>,
}

impl List {
    fn ours(&mut self, phase: Phase, act: Act) {
        self.steps.push(Step::root(phase, act));
        self.sources.push(Source::default());
    }

    fn asked(&mut self, phase: Phase, act: Act, at: &Origin) {
        self.steps.push(Step::root(phase, act));
        self.sources.push(Source { origin: Some(at.clone()), hidden: false });
    }

    fn of_the_emperor(&mut self, hooks: &[Hook], wanted: HookPhase) {
        for hook in hooks.iter().filter(|hook| hook.phase == wanted) {
            self.verb(phase(wanted), &hook.verb, false, hook.hidden);
        }
    }

    /// More namespaces, and what makes them usable: no mount gets out, the loopback interface is up.
    fn unshare(&mut self, phase: Phase, asked: Option<&Asked<Namespaces>>) {
        let Some(Asked { value: Namespaces { mount, pid: _, ipc, uts, net, cgroup, user: _ }, at }) = asked else { return };
        let new = Unshare { mount: *mount, ipc: *ipc, uts: *uts, net: *net, cgroup: *cgroup };
        self.asked(phase, Act::Unshare(new), at);
        if *mount {
            self.asked(phase, Act::CutPropagation, at);
        }
        if *net {
            self.asked(phase, Act::LoopbackUp, at);
        }
    }

    fn root(&mut self, jail: &Jail) {
        if let Some(chroot) = &jail.chroot {
            self.asked(Phase::Jail, Act::Chroot(chroot.value.clone()), &chroot.at);
        }
        if let Some(pivot) = &jail.pivot_root {
            self.asked(Phase::Jail, Act::MakePrivate, &pivot.at);
            let (new, old) = (pivot.value.new.clone(), pivot.value.old.clone());
            self.asked(Phase::Jail, Act::PivotRoot { new, old }, &pivot.at);
        }
    }

    /// What `env` and `umask` lines tell hooks, at once.
    fn surroundings(&mut self, spec: &VassalSpec, in_any_case: bool) {
        let told = || spec.jail.hooks.iter().filter(|hook| is_told(hook)).map(|hook| &hook.verb.value);
        if in_any_case || told().next().is_some() {
            let env = told().filter_map(|verb| if let Verb::Putenv(pair) = verb { Some(pair.clone()) } else { None });
            let umask = told().find_map(|verb| if let Verb::Umask(mask) = verb { Some(*mask) } else { None });
            self.ours(Phase::Asap, Act::Surroundings { env: env.collect(), umask });
        }
    }

    fn hooks(&mut self, spec: &VassalSpec, wanted: HookPhase, as_user: bool) {
        for hook in spec.jail.hooks.iter().filter(|hook| hook.phase == wanted && !is_told(hook)) {
            self.verb(phase(wanted), &hook.verb, as_user, hook.hidden);
        }
    }

    /// What its hooks put into the environment. A uwsgi that reloads in its own process has no other way to hear of it.
    fn set_by_hooks(&self) -> Vec<String> {
        // What was taken out cannot be told: an empty `env` is none.
        let set =
            |step: &Step| if let Act::Putenv(pair) = &step.act { Some(pair.clone()).filter(|p| p.contains('=')) } else { None };
        self.steps.iter().filter_map(set).collect()
    }

    /// `wait-for-*`. uWSGI waits for sockets last, as the user already.
    fn waits(&mut self, spec: &VassalSpec, sockets: bool, as_user: bool) {
        let wanted = |wait: &&Asked<Verb>| matches!(wait.value, Verb::WaitForSocket(_)) == sockets;
        for wait in spec.jail.wait_for.iter().filter(wanted) {
            self.verb(Phase::WaitFor, wait, as_user, false);
        }
    }

    fn verb(&mut self, phase: Phase, verb: &Asked<Verb>, as_user: bool, hidden: bool) {
        let fatal = !matches!(verb.value, Verb::SafeExec(_));
        for act in acts(&verb.value) {
            self.steps.push(Step { phase, act, as_user, fatal });
            self.sources.push(Source { origin: Some(verb.at.clone()), hidden });
        }
    }
}

/// It is one of `env` and `umask`, which hooks have too.
pub(crate) fn is_told(hook: &Hook) -> bool {
    matches!(hook.verb.value, Verb::Umask(_)) || hook.verb.at.key == "env"
}

fn phase(hook: HookPhase) -> Phase {
    match hook {
        HookPhase::AsVassalBeforeDrop => Phase::AsVassalBeforeDrop,
        HookPhase::AsVassal => Phase::AsVassal,
        HookPhase::Asap => Phase::Asap,
        HookPhase::PreJail => Phase::PreJail,
        HookPhase::InJail => Phase::InJail,
        HookPhase::PostJail => Phase::PostJail,
        HookPhase::AsRoot => Phase::AsRoot,
        HookPhase::AsUser => Phase::AsUser,
        HookPhase::AsUserAtexit => Phase::AsUserAtexit,
    }
}

/// One act, but for a mount whose words take several calls, and for what does nothing.
fn acts(verb: &Verb) -> Vec<Act> {
    vec![match verb.clone() {
        Verb::Exec(command) | Verb::SafeExec(command) => Act::Exec(command),
        Verb::Mount { fstype, source, target, flags, data } => {
            return mounts::calls(Mount { fstype, source, target, flags: MountFlags(flags), data });
        }
        Verb::Umount { target, detach, force, recursive } => Act::Umount(Umount { target, detach, force, recursive }),
        Verb::Chdir(path) => Act::Chdir(path),
        Verb::Mkdir(path) => Act::Mkdir(path),
        Verb::Chmod(path, mode) => Act::Chmod(path, mode),
        Verb::Chown(path, user, group) => Act::Chown(path, account(&user), account(&group)),
        Verb::Sticky(path) => Act::Sticky(path),
        Verb::Create(path) => Act::Create(path),
        Verb::Write { path, text, append } => Act::Write { path, text, append },
        Verb::WriteFifo(path, text) => Act::WriteFifo(path, text),
        Verb::Unlink(path) => Act::Unlink(path),
        Verb::Hostname(name) => Act::Hostname(name),
        Verb::Putenv(pair) => Act::Putenv(pair),
        Verb::Print(text) => Act::Print(text),
        Verb::Exit(status) => Act::Exit(status),
        Verb::WaitForFs(path) => Act::WaitFor(Wait::Fs(path)),
        Verb::WaitForFile(path) => Act::WaitFor(Wait::File(path)),
        Verb::WaitForDir(path) => Act::WaitFor(Wait::Dir(path)),
        Verb::WaitForSocket(path) => Act::WaitFor(Wait::Socket(path)),
        Verb::WaitForInterface(name) => Act::WaitFor(Wait::Interface(name)),
        Verb::WaitForMountpoint(path) => Act::WaitFor(Wait::Mountpoint(path)),
        Verb::Umask(_) | Verb::Alarm => return Vec::new(), // the first is told with the environment
    }]
}

pub(crate) fn identity(spec: &VassalSpec) -> Option<liege_plan::Identity> {
    let Identity { uid, gid, groups } = spec.jail.identity.as_ref()?.value.clone();
    Some(liege_plan::Identity { uid, gid, groups })
}

fn log(spec: &VassalSpec) -> Option<Log> {
    let LogRules { size, keep, rate } = spec.log;
    match spec.jail.log_to {
        LogTo::File => Some(Log { sink: Sink::Directory { size, keep }, rate }),
        LogTo::Journal => Some(Log { sink: Sink::Lines, rate }),
        LogTo::Inherit => None,
    }
}

fn names(names: &liege_spec::Names) -> Names {
    Names {
        user: account(&names.user),
        group: account(&names.group),
        more: names.more.iter().map(account).collect(),
        initgroups: names.initgroups,
    }
}

fn account(account: &Account) -> liege_plan::Account {
    match account.clone() {
        Account::Number(number) => liege_plan::Account::Number(number),
        Account::Name(name) => liege_plan::Account::Name(name),
    }
}

pub(crate) fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
