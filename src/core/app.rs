//! The app's part of a plan: the program, what bounds it, what runs beside it; and of a uwsgi, its configuration as it is pushed.

use liege_plan::{App, AppLimits, Daemon, DaemonPidfile, Lasting, Program, Uwsgi};
use liege_spec::{AppSpec, Asked, AttachedDaemon, Pidfile, ProcessLimits, ProgramSpec, VassalSpec, capability_names};

use crate::compile::{CompileError, Surroundings, identity, millis};

/// The options by which a uwsgi becomes somebody.
const WHO: [&str; 4] = ["uid", "gid", "add-gid", "no-initgroups"];

/// The options that a uwsgi carries out as root only: after its drop a reload can neither raise nor take back what they have set.
const BY_ROOT: [&str; 4] = ["limit-as", "limit-nproc", "max-fd", "prio"];

/// The app of a first start or of a reload; `set_by_hooks` is what a uwsgi that reloads by itself is told besides.
pub(crate) fn app(spec: &VassalSpec, around: Surroundings<'_>, set_by_hooks: &[String]) -> Result<App, CompileError> {
    let AppSpec {
        program,
        chdir,
        env,
        unenv,
        umask,
        no_new_privs,
        limits: bounds,
        stop_signal,
        reload_signal,
        daemons: attached,
    } = &spec.app;
    let wears_it = matches!(program, ProgramSpec::Command(_) | ProgramSpec::Shell(_));
    let is_uwsgi = matches!(program, ProgramSpec::Uwsgi { .. });
    let program = match program {
        ProgramSpec::Uwsgi { binary, options } => Program::Uwsgi(uwsgi(spec, binary, options, set_by_hooks, around)?),
        ProgramSpec::Command(words) => Program::Command(words.value.clone()),
        ProgramSpec::Shell(line) | ProgramSpec::PrivilegedShell(line) => Program::Shell(line.value.clone()),
    };
    Ok(App {
        program,
        // A uwsgi starts with the rights uWSGI's Emperor would give it and drops by itself, after what it does as root.
        identity: identity(spec).filter(|_| wears_it),
        found_identity: (wears_it || is_uwsgi) && spec.jail.names.is_some(),
        caps: caps(spec, around)?,
        limits: limits(bounds),
        chdir: chdir.as_ref().map(|c| c.value.clone()),
        env: env.clone(),
        unenv: unenv.clone(),
        umask: *umask,
        no_new_privs: *no_new_privs,
        stop_signal: *stop_signal,
        reload_signal: *reload_signal,
        stop_timeout_ms: millis(spec.timeouts.stop),
        daemons: attached.iter().map(|asked| daemon(&asked.value)).collect(),
    })
}

/// The capabilities the app asks to keep, if the emperor leaves them.
fn caps(spec: &VassalSpec, around: Surroundings<'_>) -> Result<Option<u64>, CompileError> {
    let Some(asked) = &spec.jail.caps else { return Ok(None) };
    match asked.value & !around.vassal_caps.unwrap_or(u64::MAX) {
        0 => Ok(Some(asked.value)),
        missing => Err(CompileError::CapNotLeft { names: capability_names(missing), at: asked.at.clone() }),
    }
}

fn limits(limits: &ProcessLimits) -> AppLimits {
    let ProcessLimits { address_space, processes, files, nice } = limits;
    let value = |asked: &Option<Asked<u64>>| asked.as_ref().map(|asked| asked.value);
    AppLimits {
        address_space: value(address_space),
        processes: value(processes),
        files: value(files),
        nice: nice.as_ref().map(|nice| nice.value),
    }
}

fn daemon(asked: &AttachedDaemon) -> Daemon {
    let AttachedDaemon { command, pidfile, control, uid, gid, chdir, stop_signal, reload_signal, notify, max_throttle } = asked;
    Daemon {
        command: command.clone(),
        pidfile: pidfile.as_ref().map(|Pidfile { path, patience, written_for_it }| DaemonPidfile {
            path: path.clone(),
            patience_s: patience.as_secs(),
            written_for_it: *written_for_it,
        }),
        control: *control,
        uid: *uid,
        gid: *gid,
        chdir: chdir.clone(),
        stop_signal: *stop_signal,
        reload_signal: *reload_signal,
        notify: *notify,
        max_throttle_s: max_throttle.as_secs(),
    }
}

fn uwsgi(
    spec: &VassalSpec,
    binary: &str,
    options: &[(String, String)],
    set_by_hooks: &[String],
    around: Surroundings<'_>,
) -> Result<Uwsgi, CompileError> {
    let mut config = String::from("[uwsgi]\n");
    let set_by_hooks = set_by_hooks.iter().map(|pair| ("env", pair));
    // Init tells it the numbers that it finds.
    let is_told = |key: &str| spec.jail.names.is_none() || !WHO.contains(&key);
    let asked = options.iter().map(|(key, value)| (key.as_str(), value)).filter(|(key, _)| is_told(key));
    for (key, value) in asked.chain(set_by_hooks) {
        if value.contains('\n') || key.contains('\n') {
            return Err(CompileError::ValueHasLineBreak { key: key.to_owned() });
        }
        // uwsgi substitutes magic variables in what it is pushed, as it does in a file.
        config.push_str(&format!("{} = {}\n", key.replace('%', "%%"), value.replace('%', "%%")));
    }
    if config.len() > Uwsgi::MAX_CONFIG {
        return Err(CompileError::ConfigTooLong { length: config.len() });
    }
    let (name, graceful_stop) = (around.vassal.to_owned(), around.graceful_stop);
    Ok(Uwsgi { binary: binary.to_owned(), name, config, graceful_stop, lasting: lasting(options, spec.jail.drops()) })
}

/// What a uwsgi cannot take over by its own reload.
fn lasting(options: &[(String, String)], dropped: bool) -> Lasting {
    let mut lasting = Lasting::default();
    for (key, value) in options {
        match key.as_str() {
            "env" => lasting.env.push(value.split_once('=').map_or(&**value, |(name, _)| name).to_owned()),
            "cap" if dropped => lasting.caps = true,
            "umask" | "unenv" => lasting.lines.push(format!("{key} = {value}")),
            key if dropped && BY_ROOT.contains(&key) => lasting.lines.push(format!("{key} = {value}")),
            _ => {}
        }
    }
    lasting
}
