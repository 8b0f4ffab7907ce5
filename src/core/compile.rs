//! A spec becomes a plan: every question of order is answered here, without a kernel.
//!
//! The order is uWSGI's (its `uwsgi_setup` and `uwsgi_as_root`, measured): our own birth steps, `as-vassal-before-drop`,
//! `as-vassal`, `asap`, `pre-jail`, `in-jail`, the new root, `wait-for-*`, `as-root`, `as-user`, `wait-for-socket`, then the app. `post-jail` does
//! not run in a vassal that was only cloned, as there. A reload repeats `asap` and `in-jail`, as the identity the vassal
//! dropped to; `wait-for-*`, `as-root` and `as-user` are repeated only where nothing was dropped, `wait-for-socket` always.

use liege_plan::{Act, App, Limits, Mount, MountFlags, Phase, Plan, Program, Reload, Step, Umount, Uwsgi, VERSION, Wait};
use liege_spec::{AppSpec, Asked, Hook, HookPhase, Identity, Namespaces, Origin, ProgramSpec, VassalConfig, VassalSpec, Verb};

use crate::mounts;

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
            Self::WouldTurnTheHost { at } => {
                write!(
                    f,
                    "pivot_root ({at}) would turn the root of the whole host: a vassal needs mounts of its own for that (fs in emperor-use-clone)"
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
    if let Some(pivot) = spec.jail.pivot_root.as_ref().filter(|_| !namespaces.mount) {
        return Err(CompileError::WouldTurnTheHost { at: pivot.at.clone() });
    }
    let mut list = List::default();
    if namespaces.mount {
        list.ours(Phase::Birth, Act::CutPropagation);
    }
    if namespaces.mount && namespaces.pid && spec.jail.fresh_proc {
        list.ours(Phase::Birth, Act::MountProc);
    }
    let dropped = spec.jail.identity.is_some();
    for phase in [HookPhase::AsVassalBeforeDrop, HookPhase::AsVassal] {
        list.of_the_emperor(around.hooks, phase);
        list.hooks(spec, phase, false);
    }
    for phase in [HookPhase::Asap, HookPhase::PreJail, HookPhase::InJail] {
        list.hooks(spec, phase, false);
    }
    if let Some(chroot) = &spec.jail.chroot {
        list.asked(Phase::Jail, Act::Chroot(chroot.value.clone()), &chroot.at);
    }
    if let Some(pivot) = &spec.jail.pivot_root {
        list.asked(Phase::Jail, Act::MakePrivate, &pivot.at);
        list.asked(Phase::Jail, Act::PivotRoot { new: pivot.value.new.clone(), old: pivot.value.old.clone() }, &pivot.at);
    }
    list.waits(spec, false, false);
    list.hooks(spec, HookPhase::AsRoot, false);
    list.hooks(spec, HookPhase::AsUser, dropped);
    list.waits(spec, true, dropped);
    let end = at_exit(spec);
    let plan = Plan {
        version: VERSION,
        vassal: around.vassal.to_owned(),
        steps: list.steps,
        identity: identity(spec),
        directory: Some(around.directory.to_owned()).filter(|d| !d.is_empty()),
        app: app(spec, around, &[])?,
        at_exit: end.steps,
        // One that hangs is told before the time of the whole end is over, and leaves some of it to the others.
        at_exit_timeout_ms: millis(spec.timeouts.hook.min(spec.timeouts.stop / 2)),
        limits: around.limits,
        own_pid_namespace: namespaces.pid,
    };
    Ok(Compiled { work: plan, origins: list.sources, at_exit_origins: end.sources })
}

/// What a reload does inside the kept namespaces.
///
/// # Errors
/// Where the spec asks for what uwsgi's protocol cannot carry.
pub fn compile_reload(config: &VassalConfig, around: Surroundings<'_>) -> Result<Compiled<Reload>, CompileError> {
    let spec = &config.again;
    let dropped = spec.jail.identity.is_some();
    let mut list = List::default();
    list.hooks(spec, HookPhase::Asap, dropped);
    list.hooks(spec, HookPhase::InJail, dropped);
    if !dropped {
        list.waits(spec, false, false);
        list.hooks(spec, HookPhase::AsRoot, false);
        list.hooks(spec, HookPhase::AsUser, false);
    }
    list.waits(spec, true, dropped);
    let end = at_exit(spec);
    let app = app(spec, around, &list.set_by_hooks())?;
    let reload = Reload { steps: list.steps, app, at_exit: end.steps };
    Ok(Compiled { work: reload, origins: list.sources, at_exit_origins: end.sources })
}

fn at_exit(spec: &VassalSpec) -> List {
    let mut list = List::default();
    list.hooks(spec, HookPhase::AsUserAtexit, spec.jail.identity.is_some());
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

    fn hooks(&mut self, spec: &VassalSpec, wanted: HookPhase, as_user: bool) {
        for hook in spec.jail.hooks.iter().filter(|hook| hook.phase == wanted) {
            self.verb(phase(wanted), &hook.verb, as_user, hook.hidden);
        }
    }

    /// What its hooks put into the environment. A uwsgi that reloads in its own process has no other way to hear of it.
    fn set_by_hooks(&self) -> Vec<String> {
        let told = |source: &Source| source.origin.as_ref().is_some_and(|at| at.key == "env");
        let steps = self.steps.iter().zip(&self.sources).filter(|(_, source)| !told(source));
        // What was taken out cannot be told: an empty `env` is none.
        let set =
            |step: &Step| if let Act::Putenv(pair) = &step.act { Some(pair.clone()).filter(|p| p.contains('=')) } else { None };
        steps.filter_map(|(step, _)| set(step)).collect()
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
        Verb::Chown(path, uid, gid) => Act::Chown(path, uid, gid),
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
        Verb::WaitForMountpoint(path) => Act::WaitFor(Wait::Mountpoint(path)),
        Verb::Umask(mask) => Act::Umask(mask),
        Verb::Alarm => return Vec::new(),
    }]
}

fn identity(spec: &VassalSpec) -> Option<liege_plan::Identity> {
    let Identity { uid, gid, groups } = spec.jail.identity.as_ref()?.value.clone();
    Some(liege_plan::Identity { uid, gid, groups })
}

fn app(spec: &VassalSpec, around: Surroundings<'_>, set_by_hooks: &[String]) -> Result<App, CompileError> {
    let AppSpec { program, chdir, env, unenv, umask, no_new_privs, stop_signal, reload_signal } = &spec.app;
    let (program, identity) = match program {
        // Started with the rights uWSGI's Emperor would give it: uwsgi drops by itself, after what it does as root.
        ProgramSpec::Uwsgi { binary, options } => (Program::Uwsgi(uwsgi(binary, options, set_by_hooks, around)?), None),
        ProgramSpec::Command(words) => (Program::Command(words.value.clone()), identity(spec)),
        ProgramSpec::Shell(line) => (Program::Shell(line.value.clone()), identity(spec)),
        ProgramSpec::PrivilegedShell(line) => (Program::Shell(line.value.clone()), None),
    };
    Ok(App {
        program,
        identity,
        chdir: chdir.as_ref().map(|c| c.value.clone()),
        env: env.clone(),
        unenv: unenv.clone(),
        umask: *umask,
        no_new_privs: *no_new_privs,
        stop_signal: *stop_signal,
        reload_signal: *reload_signal,
        stop_timeout_ms: millis(spec.timeouts.stop),
    })
}

fn uwsgi(
    binary: &str,
    options: &[(String, String)],
    set_by_hooks: &[String],
    around: Surroundings<'_>,
) -> Result<Uwsgi, CompileError> {
    let mut config = String::from("[uwsgi]\n");
    let set_by_hooks = set_by_hooks.iter().map(|pair| ("env", pair));
    for (key, value) in options.iter().map(|(key, value)| (key.as_str(), value)).chain(set_by_hooks) {
        if value.contains('\n') || key.contains('\n') {
            return Err(CompileError::ValueHasLineBreak { key: key.to_owned() });
        }
        // uwsgi substitutes magic variables in what it is pushed, as it does in a file.
        config.push_str(&format!("{} = {}\n", key.replace('%', "%%"), value.replace('%', "%%")));
    }
    if config.len() > Uwsgi::MAX_CONFIG {
        return Err(CompileError::ConfigTooLong { length: config.len() });
    }
    Ok(Uwsgi { binary: binary.to_owned(), name: around.vassal.to_owned(), config, graceful_stop: around.graceful_stop })
}

fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
