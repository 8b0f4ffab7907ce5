//! The app's part of a plan: the program, what bounds it, what runs beside it; and of a uwsgi, its configuration as it is pushed.

use liege_plan::{App, AppLimits, Daemon, DaemonPidfile, Lasting, Program, SmartDaemon, Uwsgi};
use liege_spec::{
    AppSpec, Asked, AttachedDaemon, Pidfile, ProcessLimits, ProgramSpec, VassalSpec, capability_names, is_looked_through,
};

use crate::compile::{CompileError, Surroundings, identity, millis};

/// The options by which a uwsgi becomes somebody.
const WHO: [&str; 4] = ["uid", "gid", "add-gid", "no-initgroups"];

const SIGTERM: i32 = 15;

/// The options that a uwsgi carries out as root only: after its drop a reload can neither raise nor take back what they have set.
const BY_ROOT: [&str; 4] = ["limit-as", "limit-nproc", "max-fd", "prio"];

/// The app of a first start or of a reload; `set_by_hooks` is what a uwsgi that reloads by itself is told besides.
pub(crate) fn app(spec: &VassalSpec, around: Surroundings<'_>, set_by_hooks: &[String]) -> Result<App, CompileError> {
    let AppSpec {
        program,
        chdir,
        environment: _,
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
    let smart_daemons = match program {
        ProgramSpec::Uwsgi { options, .. } => options.iter().filter_map(|(key, value)| smart_daemon(key, value)).collect(),
        ProgramSpec::Command(_) | ProgramSpec::Shell(_) | ProgramSpec::PrivilegedShell(_) => Vec::new(),
    };
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
        smart_daemons,
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

/// A daemon that uwsgi starts, and leaves behind when it ends: known by the pidfile, as the next uwsgi would know it. One whose
/// pidfile has a relative path is unknown here: only its uwsgi knows in which directory that is.
fn smart_daemon(key: &str, value: &str) -> Option<SmartDaemon> {
    let in_front = |words: &str| {
        let file = words.split_once(' ')?.0;
        Some(file.split_once(',').map_or(file, |(file, _seconds)| file).to_owned())
    };
    let keyed =
        |name: &str| value.split(',').find_map(|pair| Some(pair.trim().strip_prefix(name)?.strip_prefix('=')?.to_owned()));
    let (pidfile, stop_signal) = match key {
        "smart-attach-daemon" | "smart-attach-daemon2" => (in_front(value)?, None),
        "legion-smart-attach-daemon" | "legion-smart-attach-daemon2" => (in_front(value.split_once(' ')?.1)?, None),
        "attach-daemon2" => (keyed("pidfile")?, keyed("stopsignal").and_then(|signal| signal.parse().ok())),
        _ => return None,
    };
    pidfile.starts_with('/').then_some(SmartDaemon { pidfile, stop_signal: stop_signal.unwrap_or(SIGTERM) })
}

fn uwsgi(
    spec: &VassalSpec,
    binary: &str,
    options: &[(String, String)],
    set_by_hooks: &[String],
    around: Surroundings<'_>,
) -> Result<Uwsgi, CompileError> {
    let mut config = String::from("[uwsgi]\n");
    let mut is_kept_closed = false;
    let set_by_hooks = set_by_hooks.iter().map(|pair| ("env", pair));
    // Init tells it the numbers that it finds.
    let is_told = |key: &str| spec.jail.names.is_none() || !WHO.contains(&key);
    let asked = options.iter().map(|(key, value)| (key.as_str(), value)).filter(|(key, _)| is_told(key));
    for (key, value) in asked.chain(set_by_hooks) {
        if value.contains('\n') || key.contains('\n') {
            return Err(CompileError::ValueHasLineBreak { key: key.to_owned() });
        }
        // uwsgi substitutes magic variables in what it is pushed, as it does in a file.
        let told = format!("{} = {}\n", key.replace('%', "%%"), value.replace('%', "%%"));
        let opens = ["$(", "@("].iter().any(|open| value.contains(open)) && is_looked_through(key);
        if opens && !is_kept_closed {
            config.push_str(&format!("set-placeholder = {OPEN}=(\n"));
            is_kept_closed = true;
        }
        config.push_str(&if opens { told.replace("$(", &closed('$')).replace("@(", &closed('@')) } else { told });
    }
    if config.len() > Uwsgi::MAX_CONFIG {
        return Err(CompileError::ConfigTooLong { length: config.len() });
    }
    let sockets = sockets(options);
    let (name, graceful_stop) = (around.vassal.to_owned(), around.graceful_stop);
    Ok(Uwsgi { binary: binary.to_owned(), name, config, graceful_stop, sockets, lasting: lasting(options, spec.jail.drops()) })
}

/// The placeholder of a `(`: uwsgi puts it in when it has looked for `$(` and `@(`, so neither is one for it. What is expanded has been
/// expanded; what is left was put in from outside, or is a shell's.
const OPEN: &str = "liege-open";

fn closed(sign: char) -> String {
    format!("{sign}%({OPEN})")
}

/// What it does when it makes its log and its sockets, which a reload finds made.
const MADE_ONCE: [&str; 7] = ["chmod", "chmod-socket", "chown-socket", "listen", "log-master", "logto", "logto2"];

/// The options that make sockets.
const SOCKETS: [&str; 8] =
    ["fastcgi-socket", "http-socket", "scgi-socket", "socket", "ssl-socket", "uwsgi-socket", "http-socket-modifier1", "zmq"];

/// Where its sockets stand in the vassal's root. One whose file is gone is not made again by a reload, which keeps the socket itself.
fn sockets(options: &[(String, String)]) -> Vec<String> {
    let of_sockets = options.iter().filter(|(key, value)| SOCKETS.contains(&key.as_str()) && value.starts_with('/'));
    of_sockets.map(|(_, value)| value.split(',').next().unwrap_or_default().to_owned()).collect()
}

/// What a uwsgi cannot take over by its own reload.
fn lasting(options: &[(String, String)], dropped: bool) -> Lasting {
    let mut lasting = Lasting::default();
    for (key, value) in options {
        match key.as_str() {
            "env" => lasting.env.push(value.split_once('=').map_or(&**value, |(name, _)| name).to_owned()),
            "cap" if dropped => lasting.caps = true,
            key if MADE_ONCE.contains(&key) => lasting.lines.push(format!("{key} = {value}")),
            "umask" | "unenv" => lasting.lines.push(format!("{key} = {value}")),
            key if dropped && BY_ROOT.contains(&key) => lasting.lines.push(format!("{key} = {value}")),
            _ => {}
        }
    }
    lasting
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_smart_daemon_is_known_by_its_pidfile() {
        let known = |key, value| smart_daemon(key, value).map(|smart| (smart.pidfile, smart.stop_signal));
        let db = |signal| Some(("/run/db.pid".to_owned(), signal));
        assert_eq!(known("smart-attach-daemon", "/run/db.pid db --fork"), db(15));
        assert_eq!(known("smart-attach-daemon2", "/run/db.pid,5 db --foreground"), db(15));
        assert_eq!(known("legion-smart-attach-daemon", "lords /run/db.pid db"), db(15));
        assert_eq!(known("attach-daemon2", "cmd=db,pidfile=/run/db.pid,stopsignal=2"), db(2));
        for (key, value) in
            [("attach-daemon2", "cmd=db"), ("attach-daemon", "/a b"), ("smart-attach-daemon", "db.pid db"), ("x", "")]
        {
            assert_eq!(known(key, value), None, "{key} = {value}");
        }
    }
}
