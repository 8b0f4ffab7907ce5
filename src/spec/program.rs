//! What runs as the app, and what it is given: everything liege does not carry out itself.

use std::collections::HashSet;

use crate::known;
use crate::logic::Logic;
use crate::options::Options;
use crate::pair::Pair;
use crate::report::Report;
use crate::text::Text;
use crate::vassal_file::{FileKind, has_checks, is_carried};
use crate::{AppSpec, Asked, Code, Environment, ProcessLimits, ProgramSpec, daemons, hooks, limits, values};

/// Lines that did their work while the file was read; uwsgi must not do it again.
const READ: [&str; 9] =
    ["set", "include", "ini", "inherit", "declare-option", "blacklist", "end-blacklist", "whitelist", "end-whitelist"];

/// Options of `command` vassals that liege takes from uWSGI's vocabulary.
const OF_COMMANDS: [&str; 9] = ["cap", "chdir", "env", "limit-as", "limit-nproc", "max-fd", "prio", "umask", "unenv"];

/// Options that stay with uwsgi, and that liege needs to know as well.
const SHARED: [&str; 4] = ["uid", "gid", "add-gid", "no-initgroups"];

/// What others call it: systemd, supervisord, docker, procfiles.
const OTHERS: [(&[&str], &str); 9] = [
    (&["user", "runas", "run-as"], "uid = NAME"),
    (&["group"], "gid = NAME"),
    (&["directory", "workdir", "working-directory", "workingdirectory", "working-dir", "cwd", "dir"], "chdir = DIRECTORY"),
    (&["environment", "environ"], "env = NAME=VALUE, one a line"),
    (&["environment-file", "environmentfile", "env_file", "envfile"], "env-file = FILE"),
    (&["exec", "cmd", "execstart", "exec-start", "program", "run", "start"], "command = PROGRAM ARG..."),
    (&["shell", "script"], "unprivileged-binary-patch-arg = LINE"),
    (&["execstartpre", "exec-start-pre", "pre-start"], "exec-as-user = LINE, or exec-as-root = LINE"),
    (&["stopsignal", "killsignal", "kill-signal"], "stop-signal = SIGNAL"),
];

/// What shapes a process, and nobody carries out for a program that is not uwsgi.
const NOT_YET: [(&str, &str); 12] = [
    ("cpu-affinity", "it counts uwsgi's workers; name the processors: command = taskset -c 0,1 PROGRAM"),
    ("drop-after-apps", UWSGI_STAGES),
    ("drop-after-init", UWSGI_STAGES),
    ("exec-post-app", UWSGI_STAGES),
    ("exec-pre-app", UWSGI_STAGES),
    ("hook-post-app", UWSGI_STAGES),
    ("hook-pre-app", UWSGI_STAGES),
    ("legion-attach-daemon", LEGION),
    ("legion-smart-attach-daemon", LEGION),
    ("legion-smart-attach-daemon2", LEGION),
    ("listen", ""),
    ("never-swap", "mlockall does not outlast the start of another program; the program must lock its memory itself"),
];
const LEGION: &str = "which machine of a legion is its lord is known to uwsgi alone; attach-daemon runs on each of them";
const UWSGI_STAGES: &str = "it happens inside uwsgi";

/// The app of a vassal.
pub(crate) fn raise(pairs: &[Pair], kind: FileKind, report: &mut Report) -> AppSpec {
    let options = Options::new(pairs);
    let own = own_program(&options, kind, report);
    listen(&options, report);
    let is_command = own.is_some();
    let program = match own {
        Some(program) => {
            warn_of_uwsgi_only(pairs, kind, report);
            program
        }
        None if kind == FileKind::Vassal => {
            // That there is none is told where the file is read; its other keys are looked at all the same.
            warn_of_uwsgi_only(pairs, kind, report);
            ProgramSpec::Uwsgi { binary: "uwsgi".into(), options: Vec::new() }
        }
        None => uwsgi(pairs, &options, report),
    };
    if kind == FileKind::Uwsgi {
        of_vassals_alone(&options, report);
    }
    let stop_signal = options.checked("stop-signal", report, values::signal);
    let reload_signal = options.checked("reload-signal", report, values::signal);
    if !is_command {
        for line in options.all(&["stop-signal", "reload-signal"]) {
            report.push(line.warning(Code::NoEffect, "has no effect: uwsgi is asked over its emperor protocol, not by a signal"));
        }
    }
    AppSpec {
        program,
        chdir: options.last("chdir").filter(|_| is_command).map(|line| Asked::new(line.value.clone(), line.origin.clone())),
        // Of a [vassal] it is filled in with its identity.
        environment: Environment { inherit: true, ..Environment::default() },
        env: if is_command { environment(&options, report) } else { Vec::new() },
        unenv: if is_command { options.all(&["unenv"]).map(|line| line.value.clone()).collect() } else { Vec::new() },
        umask: if is_command { options.checked("umask", report, values::octal) } else { None },
        no_new_privs: options.boolean("no-new-privs", false),
        limits: if is_command { limits::raise(&options, report) } else { ProcessLimits::default() },
        stop_signal: stop_signal.unwrap_or(15),
        reload_signal,
        daemons: if is_command { daemons::raise(&options, report) } else { Vec::new() },
    }
}

/// What says which program runs instead of uwsgi.
pub(crate) const KINDS: [&str; 3] = ["command", "unprivileged-binary-patch-arg", "privileged-binary-patch-arg"];

/// The command of its own, if the vassal has one.
fn own_program(options: &Options<'_>, kind: FileKind, report: &mut Report) -> Option<ProgramSpec> {
    // uWSGI knows no `command`: in its own section that is a name like any other.
    let kinds = if kind == FileKind::Vassal { &KINDS[..] } else { &KINDS[1..] };
    let line = kinds.iter().find_map(|kind| options.last(kind))?;
    for other in options.all(kinds).filter(|other| other.key != line.key) {
        let hint = format!("{} of line {} says it too", line.key, line.origin.line);
        report.push(other.error_at_key(Code::TwoCommands, "a vassal has one command").with_hint(hint));
    }
    if line.value.trim().is_empty() {
        report.push(line.error(Code::MissingValue, "the command is empty"));
    }
    let asked = || Asked::new(line.value.clone(), line.origin.clone());
    Some(match line.key.as_str() {
        "command" => {
            let words = values::shell_words(&line.value).unwrap_or_else(|why| {
                report.push(line.error(Code::BadValue, why));
                Vec::new()
            });
            ProgramSpec::Command(Asked::new(words, line.origin.clone()))
        }
        "unprivileged-binary-patch-arg" => ProgramSpec::Shell(asked()),
        _ => ProgramSpec::PrivilegedShell(asked()),
    })
}

/// `listen` is two things: uwsgi's backlog (a number), and a socket the emperor holds.
fn listen(options: &Options<'_>, report: &mut Report) {
    for line in options.all(&["listen"]) {
        // uWSGI takes the digits in front and passes over the rest.
        if line.value.contains([':', '/', '@'])
            && !line.value.starts_with(|c: char| c.is_ascii_digit() && !line.value.contains('.'))
        {
            report.push(line.error(Code::NotSupported, "sockets held by the emperor are not supported yet"));
        }
    }
}

fn environment(options: &Options<'_>, report: &mut Report) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for line in options.all(&["env"]) {
        match line.value.split_once('=') {
            Some((name, value)) if !name.is_empty() => pairs.push((name.to_owned(), value.to_owned())),
            _ => report.push(line.error(Code::BadValue, "an environment variable is written NAME=VALUE")),
        }
    }
    pairs
}

/// What a uwsgi's file says for a program of its own alone.
fn of_vassals_alone(options: &Options<'_>, report: &mut Report) {
    for line in options.all(&["env-file", "inherit-env"]) {
        report.push(line.warning(Code::NoEffect, "has no effect: a uwsgi inherits the emperor's environment, as in uWSGI"));
    }
    for line in options.all(&["command"]).filter(|line| !line.asked_for) {
        let idle = line.warning(Code::NoEffect, "is a name for placeholders in [uwsgi], and nothing asks for it: a uwsgi runs");
        report.push(idle.with_hint("for a program of its own the section is [vassal]"));
    }
}

/// Bytes of options that a uwsgi can be given: its emperor protocol carries no more.
pub const MOST_FOR_UWSGI: usize = 65_535;

/// A real uwsgi, given all that is left, in the order of the file.
fn uwsgi(pairs: &[Pair], options: &Options<'_>, report: &mut Report) -> ProgramSpec {
    hooks::check_for_uwsgi(pairs, report);
    let (mut left, mut bytes) = (Vec::new(), 0);
    for pair in pairs.iter().filter(|pair| !pair.placeholder && !did_its_work(pair)) {
        if is_carried(&pair.key) && pair.key != "command" {
            continue;
        }
        if pair.key.contains('\n') || pair.value.contains('\n') {
            let long = pair.error(Code::NotSupported, "holds a line break, which uWSGI's configuration cannot carry");
            report.push(long.with_hint("let the application read the file itself"));
        }
        // As `KEY = VALUE`, a line each.
        bytes += pair.key.len() + pair.value.len() + 4;
        if bytes > MOST_FOR_UWSGI {
            let message =
                format!("is more than uwsgi can be given: its emperor protocol carries {MOST_FOR_UWSGI} bytes of options");
            report.push(pair.error_at_key(Code::TooMuch, message).with_hint("let the application read a file of its own"));
            break;
        }
        left.push((pair.key.clone(), pair.value.clone()));
    }
    refuse_to_be_expanded(pairs, &left, report);
    // In uWSGI a mount-point check is the master's work and switches it on; the check is liege's now, the master is still wanted.
    if has_checks(pairs) && options.last("master").is_none() {
        left.push(("master".into(), "true".into()));
    }
    ProgramSpec::Uwsgi { binary: options.text("binary-path").unwrap_or_else(|| "uwsgi".into()), options: left }
}

/// A uwsgi looks through what it is given once more. It can be kept from expanding the `$(` and `@(` of data (the core does that), but
/// not a `%(` that it has an answer to.
fn refuse_to_be_expanded(pairs: &[Pair], left: &[(String, String)], report: &mut Report) {
    let keys: HashSet<&str> = left.iter().map(|(key, _)| key.as_str()).collect();
    for pair in pairs.iter().filter(|pair| pair.put_in && keys.contains(&*pair.key)) {
        let Some(name) = answered(&pair.value, &keys) else { continue };
        let message = format!("holds %({name}) that was put in, and uwsgi would expand it");
        let hint = "take it out of the file, the name or the variable that brings it; for a name of its own: set-placeholder";
        report.push(pair.error(Code::OthersText, message).with_hint(hint));
    }
}

/// The first `%(name)` that a uwsgi with these options has an answer to: an option's name, or several words.
fn answered<'a>(value: &'a str, keys: &HashSet<&str>) -> Option<&'a str> {
    const LONGEST: usize = 1024;
    let opened = value.match_indices("%(").filter_map(|(at, _)| value.get(at + 2..));
    let named = opened.filter_map(|rest| {
        let end = rest.bytes().take(LONGEST).position(|byte| byte == b')')?;
        rest.get(..end)
    });
    named.into_iter().find(|name| keys.contains(name) || name.contains(' '))
}

fn did_its_work(pair: &Pair) -> bool {
    let key = pair.key.as_bytes();
    READ.contains(&pair.key.as_str()) || Logic::closes(key) || key == b"else" || Logic::parse(key, &Text::default()).is_some()
}

/// In a vassal with a command of its own, options for uwsgi reach nobody.
fn warn_of_uwsgi_only(pairs: &[Pair], kind: FileKind, report: &mut Report) {
    let mine = |key: &str| {
        is_carried(key)
            || daemons::KEYS.contains(&key)
            || OF_COMMANDS.contains(&key)
            || SHARED.contains(&key)
            || key.starts_with("set-p")
    };
    for pair in pairs.iter().filter(|pair| !pair.placeholder && !mine(&pair.key) && !did_its_work(pair)) {
        if let Some((_, why)) = NOT_YET.iter().find(|(key, _)| *key == pair.key) {
            let mut refused = pair.error_at_key(
                Code::NotSupported,
                format!("{} is not supported for a vassal with a command of its own", pair.key),
            );
            refused.hint = (!why.is_empty()).then(|| (*why).to_owned());
            report.push(refused);
        } else if known::is_uwsgi_option(&pair.key) {
            let idle = format!("{} goes to uwsgi, but this vassal has a command of its own", pair.key);
            report.push(pair.warning(Code::NoEffect, idle));
        } else if !pair.asked_for && kind == FileKind::Vassal {
            let mut unknown = pair.error_at_key(Code::UnknownOption, format!("{} is no option of a vassal", pair.key));
            let said = OTHERS.iter().find(|(words, _)| words.contains(&pair.key.to_ascii_lowercase().as_str()));
            unknown.hint = match said {
                Some((_, meant)) => Some(format!("write {meant}")),
                None if pair.lacks_equal() => {
                    pair.key.split_once([' ', '\t']).map(|(key, rest)| format!("write {key} = {}", rest.trim_start()))
                }
                None => report.nearest_option(&pair.key).map(|near| format!("did you mean {near}?")),
            };
            report.push(unknown);
        } else if !pair.asked_for && !pair.lacks_equal() {
            let mut unknown = pair.warning(Code::UnknownOption, format!("{} is no option, and nothing asks for it", pair.key));
            unknown.hint = report.nearest_option(&pair.key).map(|near| format!("did you mean {near}?"));
            report.push(unknown);
        }
    }
}
