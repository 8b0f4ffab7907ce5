//! Doubts about a whole configuration: each line is fine, but together they hardly do what is meant.
//!
//! `traps` looks at lines as they are written, this file at what they mean. Nothing here is an error, and most of it is for
//! `liege check` alone: a daemon that warns of it at each reading would only be noise.

use std::path::Path;

use crate::layers;
use crate::pair::Pair;
use crate::plugins::{self, Served, app_option, router_without_plugin};
use crate::points::{called_inside, points};
use crate::report::Report;
use crate::{
    Asked, Code, Diagnostic, EmperorSpec, Hook, HookPhase, Namespaces, Origin, ProgramSpec, Severity, Source, VassalConfig, Verb,
};

/// So many of a kind are told.
const TOLD: usize = 20;

/// What is doubtful about a vassal, in the namespaces its emperor gives it. `pairs` are those of the file, flattened.
#[must_use]
pub fn of_vassal(source: &Source<'_>, pairs: &[Pair], config: Option<&VassalConfig>, namespaces: Namespaces) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    if !pairs.iter().any(|pair| pair.key == "uid" || pair.key == "immediate-uid") {
        let root = Diagnostic::of_file(Severity::Warning, Code::RunsAsRoot, source.path, "runs as root: no uid is given");
        found.push(root.with_hint("add uid = NAME and gid = NAME"));
    }
    if let Some(config) = config {
        found.extend(without_proc(source, pairs, config, namespaces));
        found.extend(others_mounts(source, pairs, config));
    }
    found
}

/// What is doubtful about an emperor.
#[must_use]
pub fn of_emperor(source: &Source<'_>, pairs: &[Pair], spec: &EmperorSpec) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    if let (None, Some(name)) = (&spec.metrics, spec.metrics_hosts.first()) {
        let idle = under_key(source, &name.at, Code::NoEffect, "names a listener that there is not: emperor-metrics is not set");
        found.push(idle.with_hint("add emperor-metrics = ADDRESS:PORT"));
    }
    if spec.namespaces.mount {
        return found;
    }
    let clone = pairs.iter().rfind(|pair| pair.key == "emperor-use-clone" && !pair.placeholder);
    let doubt = |code, message: &str| match clone {
        Some(pair) => pair.warning(code, message),
        None => Diagnostic::of_file(Severity::Warning, code, source.path, message),
    };
    found.push(doubt(Code::SharedMounts, EmperorSpec::SHARES_MOUNTS));
    if spec.namespaces.pid {
        let proc =
            "a pid namespace without fs keeps the host's /proc: vassals see its processes, under other numbers than their own";
        found.push(doubt(Code::NoProc, proc).with_hint("add fs: then each vassal gets a /proc of its own"));
    }
    found
}

/// A warning under the key of a line that was asked for.
fn under_key(source: &Source<'_>, at: &Origin, code: Code, message: impl Into<String>) -> Diagnostic {
    // Of an included file only the place is known here.
    let text = if at.file == source.path { source.line(at.line) } else { String::new() };
    Diagnostic {
        line: at.line,
        column: at.column,
        width: u32::try_from(at.key.chars().count()).unwrap_or(1),
        text,
        ..Diagnostic::of_file(Severity::Warning, code, at.file.as_str(), message)
    }
}

/// The tutorial's trap: an at-exit hook that unmounts what only a first start mounts. uWSGI runs at-exit hooks on a reload too,
/// and the mount is gone afterwards; liege does not, and says so.
pub(crate) fn unmounted_on_reload(source: &Source<'_>, config: &VassalConfig, report: &mut Report) {
    let unmounts = |hook: &&Hook| {
        hook.phase == HookPhase::AsUserAtexit
            && match &hook.verb.value {
                Verb::Exec(line) | Verb::SafeExec(line) => line.contains("umount") || line.contains("fusermount"),
                Verb::Umount { .. } => true,
                _ => false,
            }
    };
    let only_fresh = config.fresh.jail.hooks.iter().any(|hook| {
        hook.phase != HookPhase::AsUserAtexit && !config.again.jail.hooks.iter().any(|other| other.verb == hook.verb)
    });
    let mine = |hook: &&Hook| only_fresh && hook.verb.at.file == source.path;
    // Each of them looks for its line in the file; a few are enough to be understood.
    for hook in config.again.jail.hooks.iter().filter(unmounts).filter(mine).take(TOLD) {
        let message =
            "uWSGI runs this on a reload too, and what if-not-reload mounts stays unmounted; liege runs it at the end only";
        let trap = under_key(source, &hook.verb.at, Code::UnmountedOnReload, message);
        report.push(
            trap.with_hint("keep it if the file is for liege alone; for uWSGI remove it: the mount ends with the namespace"),
        );
    }
}

/// The line of a command of a hook.
fn command(hook: &Hook) -> Option<&str> {
    match &hook.verb.value {
        Verb::Exec(line) | Verb::SafeExec(line) => Some(line),
        _ => None,
    }
}

/// Processes that see no `/proc`, or the host's under numbers that are not theirs.
fn without_proc(source: &Source<'_>, pairs: &[Pair], config: &VassalConfig, namespaces: Namespaces) -> Option<Diagnostic> {
    let jail = &config.fresh.jail;
    let brings_proc = |hook: &Hook| match &hook.verb.value {
        Verb::Mount { target, source, flags, .. } => {
            const BIND_RECURSIVELY: u64 = 1 << 12 | 1 << 14;
            target.trim_end_matches('/').ends_with("/proc") || source == "/" && flags & BIND_RECURSIVELY == BIND_RECURSIVELY
        }
        _ => command(hook).is_some_and(|line| line.contains("/proc") || line.contains("rbind")),
    };
    if jail.hooks.iter().any(brings_proc) {
        return None;
    }
    let new_root = jail.pivot_root.as_ref().map(|pivot| (&pivot.at, pivot.value.new.as_str()));
    let new_root = new_root.or_else(|| jail.chroot.as_ref().map(|root| (&root.at, root.value.as_str())));
    if let Some((at, root)) = new_root.filter(|(_, root)| *root != "/") {
        let message = format!("nothing mounts /proc in {root}: ps, java, go and many others fail without it");
        let doubt = under_key(source, at, Code::NoProc, message);
        return Some(doubt.with_hint("add hook-as-root = mount:proc none /proc"));
    }
    let line = pairs.iter().rfind(|pair| pair.key == "vassal-proc" && !pair.placeholder)?;
    if !(namespaces.pid && namespaces.mount) || jail.fresh_proc {
        return None;
    }
    let message =
        "keeps the host's /proc in a pid namespace: the vassal sees the host's processes, under other numbers than its own";
    Some(line.warning(Code::NoProc, message).with_hint("remove the line"))
}

/// Programs that mount a FUSE file system as whoever starts them, for that user alone unless told otherwise.
pub(crate) const PRIVATE_MOUNTS: [&str; 15] = [
    "archivemount",
    "cryfs",
    "curlftpfs",
    "encfs",
    "fuse-archive",
    "fuse-zip",
    "fuseiso",
    "gocryptfs",
    "mount-zip",
    "rclone",
    "ratarmount",
    "squashfuse",
    "sshfs",
    "unionfs",
    "unionfs-fuse",
];

/// What runs a command as somebody else.
const SWITCHES: [&str; 8] = ["chpst", "gosu", "runuser", "setpriv", "setuidgid", "su", "su-exec", "sudo"];

/// FUSE mounts that another user makes than the one who is to use them. The kernel lets nobody but their owner in, not even root;
/// and a `statfs` of anybody else is answered by the kernel itself, so that uWSGI's check finds such a mount healthy for ever.
fn others_mounts(source: &Source<'_>, pairs: &[Pair], config: &VassalConfig) -> Vec<Diagnostic> {
    let spec = &config.fresh;
    // None: root.
    let user = pairs.iter().rfind(|pair| pair.key == "uid" && !pair.placeholder).map(|pair| pair.value.as_str());
    let user = user.filter(|uid| !["0", "root"].contains(uid));
    let app = user.filter(|_| !matches!(spec.app.program, ProgramSpec::PrivilegedShell(_)));
    let mut found = Vec::new();
    for hook in &spec.jail.hooks {
        let Some(line) = command(hook) else { continue };
        let mut words = line.split([' ', '\t', ';', '&', '|', '\'', '"', '(']).filter(|word| !word.is_empty());
        let name = |word: &str| word.rsplit('/').next().unwrap_or_default().to_owned();
        let Some(program) = words.clone().map(name).find(|word| PRIVATE_MOUNTS.contains(&word.as_str())) else { continue };
        if ["allow_other", "allow-other", "allow_root", "allow-root"].iter().any(|word| line.contains(word)) {
            continue;
        }
        let switches = words.any(|word| SWITCHES.contains(&name(word).as_str()));
        let by = match hook.phase {
            _ if switches && app.is_some() => continue, // perhaps it becomes the app's user
            _ if switches => Some("another user"),
            HookPhase::AsUser | HookPhase::AsUserAtexit => user,
            HookPhase::AsVassalBeforeDrop
            | HookPhase::AsVassal
            | HookPhase::Asap
            | HookPhase::PreJail
            | HookPhase::InJail
            | HookPhase::PostJail
            | HookPhase::AsRoot => None,
        };
        if by == app {
            continue;
        }
        let (by, for_whom) = (by.unwrap_or("root"), app.unwrap_or("root"));
        let message = format!(
            "{program} mounts this for {by} alone: the app, which runs as {for_whom}, may not enter, and uWSGI's own check as {for_whom} would always find it well"
        );
        let doubt = under_key(source, &hook.verb.at, Code::OthersMount, message);
        found.push(doubt.with_hint("add -o allow_other, or mount it as the app's user (exec-as-user)"));
    }
    found
}

/// Watched paths where nothing of this file mounts anything. `is_mounted`: whether one is a mount point of this machine.
#[must_use]
pub fn checks_of_nothing(source: &Source<'_>, config: &VassalConfig, is_mounted: &dyn Fn(&str) -> bool) -> Vec<Diagnostic> {
    let jail = &config.fresh.jail;
    let mut named: Vec<(String, &Origin)> = Vec::new();
    let mut may_be_a_script = false;
    for hook in &jail.hooks {
        if let Some(line) = command(hook) {
            may_be_a_script = true;
            named.extend(layers::paths(line).map(|path| (path, &hook.verb.at)));
        } else if let Verb::Mount { target, .. } = &hook.verb.value {
            named.push((target.clone(), &hook.verb.at));
        }
    }
    for daemon in &config.fresh.app.daemons {
        may_be_a_script = true;
        named.extend(layers::paths(&daemon.value.command).map(|path| (path, &daemon.at)));
    }
    let new_root = jail.pivot_root.as_ref().map(|pivot| pivot.value.new.as_str());
    let new_root = new_root.or_else(|| jail.chroot.as_ref().map(|root| root.value.as_str())).filter(|root| *root != "/");
    let points = points(&config.fresh);
    let mut found = Vec::new();
    for check in config.fresh.checks.iter().filter(|check| check.path.value != "/") {
        let path = check.path.value.trim_end_matches('/');
        if let Some(inside) = called_inside(&config.fresh, path) {
            let message = format!("watches {path}, which is {inside} after the change of root");
            let doubt = under_key(source, &check.path.at, Code::NothingMounted, message);
            found.push(doubt.with_hint(format!("write {} = {inside}", check.path.at.key)));
            continue;
        }
        let outside = new_root.map(|root| format!("{}{path}", root.trim_end_matches('/')));
        let called = || std::iter::once(path).chain(outside.as_deref());
        let is_made = |(point, _): &(String, &Origin)| called().any(|path| Path::new(path).starts_with(point));
        if named.iter().any(is_made) {
            continue;
        }
        let lies_below = |point: &str| {
            let inside = called().find(|path| Path::new(point).starts_with(path))?;
            Some(format!("{path}{}", &point[inside.len()..]))
        };
        let mounts = points.iter().find_map(|point| Some((lies_below(&point.written)?, &point.at)));
        // Of a program that is not known the last path is the best guess.
        let below = mounts.or_else(|| named.iter().rev().find_map(|(point, at)| Some((lies_below(point)?, *at))));
        let disk =
            || Path::new(path).ancestors().find(|above| above.to_str().is_some_and(|above| above != "/" && is_mounted(above)));
        let doubt =
            |message: String, hint: String| under_key(source, &check.path.at, Code::NothingMounted, message).with_hint(hint);
        match below {
            Some((point, at)) if is_mounted(path) => found.push(doubt(
                format!("watches the mount of this machine at {path}, and line {} names {point} below it", at.line),
                format!("write {} = {point}", check.path.at.key),
            )),
            Some((point, at)) => found.push(doubt(
                format!("nothing is mounted at {path}, but line {} names {point} below it", at.line),
                format!("write {} = {point}", check.path.at.key),
            )),
            None if !may_be_a_script && new_root.is_none() && !is_mounted(path) => found.push(doubt(
                format!("no line of this file mounts anything at {path}, and no mount point is there on this machine"),
                disk().map_or_else(
                    || "a plain directory is shown as not mounted: remove the line, or mount what it is to watch".to_owned(),
                    |disk| {
                        format!(
                            "the mount it lies on is watched: if that is meant, write {} = {}",
                            check.path.at.key,
                            disk.display()
                        )
                    },
                ),
            )),
            None => {}
        }
    }
    found
}

/// An app and a router whose plugins no line names, where the uwsgi is a distribution's, which has none built in. `is_there`: whether a path
/// exists on this machine.
#[must_use]
pub fn plugins_missing(
    source: &Source<'_>,
    pairs: &[Pair],
    config: &VassalConfig,
    is_there: &dyn Fn(&str) -> bool,
) -> Vec<Diagnostic> {
    let app = app_option(&config.fresh).filter(|app| app.lacks.is_some()).map(|app| (app, "serves nothing"));
    let router = router_without_plugin(&config.fresh).map(|router| (router, "does not listen there"));
    let found = app.into_iter().chain(router).filter_map(|(Served { key, lacks, .. }, effect)| {
        // A pair of that name may be the file's own placeholder: uwsgi does not see it as an option.
        let line = pairs.iter().rfind(|pair| pair.key == key && !pair.placeholder && !pair.asked_for)?;
        let message = format!("no line names a plugin for {key}: a uwsgi that has none built in ignores {key} and {effect}");
        let doubt = under_key(source, &line.origin, Code::NoPlugin, message);
        Some(doubt.with_hint(format!("add plugin = {}, unless the emperor's vassal-set or UWSGI_PLUGIN gives it", lacks?)))
    });
    let found: Vec<Diagnostic> = found.collect();
    if found.is_empty() || plugins::is_of_a_distribution(&config.fresh, is_there) { found } else { Vec::new() }
}

/// Layers of the vassal's root that are mounts of this machine, and end with the old root.
#[must_use]
pub fn layers_taken_away(source: &Source<'_>, config: &VassalConfig, is_mounted: &dyn Fn(&str) -> bool) -> Vec<Diagnostic> {
    let Some(taken) = layers::taken_away(&config.fresh) else { return Vec::new() };
    let lost = taken.lost(is_mounted);
    let doubt = |(layer, mount): (&Asked<String>, &str)| {
        let what = if layer.value == mount { "is a mount of its own".to_owned() } else { format!("lies on the mount {mount}") };
        let message = format!(
            "the layer {} {what}: {} in line {} takes it away, and the union loses it",
            layer.value, taken.words, taken.by.line
        );
        let doubt = under_key(source, &layer.at, Code::LayerTakenAway, message);
        doubt
            .with_hint("keep the layer on the file system of the directory it lies in, or use an overlay, which holds its layers")
    };
    lost.into_iter().map(doubt).collect()
}
