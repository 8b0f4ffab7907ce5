//! A vassal's file to its typed spec: what of its pairs is the jail, what the app, what only a duration.

use std::collections::HashSet;
use std::time::Duration;

use crate::budget::{Budget, Metered};
use crate::heard::Heard;
use crate::hooks;
use crate::identity::{self, Who};
use crate::lines;
use crate::magic::Substituted;
use crate::offsets::Offsets;
use crate::options::Options;
use crate::pair::Pair;
use crate::program;
use crate::report::{Reading, Report};
use crate::text::{Mark, Text};
use crate::{
    Asked, Attributes, Code, Diagnostic, HookPhase, Jail, Lookup, MountpointCheck, PivotRoot, ProgramSpec, RestartRules,
    Severity, Source, Timeouts, VassalConfig, VassalSpec, Verb,
};
use crate::{caps, cgroup, declared, doubts, environment, flatten, jail, limits, namespaces, output, paths, traps, values, verb};

/// Sections whose pairs are a vassal's options.
pub(crate) const SECTIONS: [&str; 2] = ["uwsgi", "vassal"];

/// The aliases of `mountpoint-check`.
const CHECKS: [&str; 4] = ["mountpoint-check", "check-mountpoint", "check-mount", "mount-check"];

/// In uWSGI's order, whatever theirs in the file.
const WAITS: [&str; 7] = [
    "wait-for-interface",
    "wait-for-iface",
    "wait-for-fs",
    "wait-for-file",
    "wait-for-dir",
    "wait-for-mountpoint",
    "wait-for-socket",
];

/// Options of a vassal that liege carries out itself, so that uwsgi never sees them (hooks besides).
const CARRIED: [&str; 34] = [
    "binary-path",
    "cgroup",
    "cgroup-dir-mode",
    "cgroup-opt",
    "chroot",
    "command",
    "env-file",
    "flapping-failures",
    "flapping-window",
    "hook-timeout",
    "inherit-env",
    "jailed",
    "mountpoint-check-interval",
    "mountpoint-check-required",
    "mountpoint-check-timeout",
    "mountpoint-check-tolerance",
    "no-new-privs",
    "oom-score-adjust",
    "pivot-root",
    "pivot_root",
    "privileged-binary-patch-arg",
    "ready-timeout",
    "reload-signal",
    "start-limit",
    "stop-signal",
    "stop-timeout",
    "unprivileged-binary-patch-arg",
    "unshare",
    "unshare2",
    "vassal-log",
    "vassal-log-keep",
    "vassal-log-rate",
    "vassal-log-size",
    "vassal-proc",
];

/// Understands a vassal's file, once as for a first start and once as for a reload.
#[must_use]
pub fn read_vassal(source: &Source<'_>, lookup: &dyn Lookup) -> Reading<VassalConfig> {
    if let Some(other) = source.other_format() {
        return Reading { value: None, diagnostics: vec![other] };
    }
    let mut report = Report::default();
    let heard = Heard::default();
    let fresh = read_once(source, None, (lookup, &heard), &mut report);
    // A reload happens inside the root the first start has made, wherever its lines stand.
    let again = read_once(source, Some(fresh.jail.changes_root()), (lookup, &heard), &mut report);
    let config = VassalConfig { fresh, again };
    doubts::unmounted_on_reload(source, &config, &mut report);
    report.close(config)
}

/// Once through the file; `reload` tells a reload whether it happens in a root of its own.
fn read_once(
    source: &Source<'_>,
    reload: Option<bool>,
    (world, heard): (&dyn Lookup, &Heard),
    report: &mut Report,
) -> VassalSpec {
    let budget = Budget::hearing(world, heard);
    let lookup = &Metered { budget: &budget };
    let flat = flatten::flatten_into(Some(source), &[], &SECTIONS, reload.is_some(), lookup, report);
    let pairs = declared::open(flat.pairs, &budget, report);
    let kind = if flat.has_own_section { FileKind::Vassal } else { FileKind::Uwsgi };
    traps::pairs(&pairs, kind == FileKind::Vassal, report);
    let mut spec = raise(&pairs, kind, attributes(source, &budget), reload, lookup, report);
    if kind == FileKind::Vassal {
        lacks(&Options::new(&pairs), source, report);
    }
    report.tell_the_end(&budget, |code, why| Diagnostic::of_file(Severity::Error, code, source.path, why));
    if let Some(stop) = source.stop_timeout
        && Options::new(&pairs).last("stop-timeout").is_none()
    {
        spec.timeouts.stop = stop;
    }
    spec
}

/// What a file is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// `[vassal]`: a program of its own.
    Vassal,
    /// `[uwsgi]`: a uwsgi, as under uWSGI's Emperor. What uWSGI does not know are names for placeholders.
    Uwsgi,
}

/// What a `[vassal]` must say.
fn lacks(options: &Options<'_>, source: &Source<'_>, report: &mut Report) {
    if options.last("uid").is_none() {
        let message = "there is no uid: it would run as root";
        let hint = "add uid = NAME and gid = NAME; where root is meant: uid = root";
        report.whole_file(Severity::Error, Code::RunsAsRoot, source.path, message, Some(hint.into()));
    }
    if options.all(&program::KINDS).next().is_none() {
        let hint = "add command = PROGRAM ARG...; for a uwsgi the section is [uwsgi]";
        report.whole_file(Severity::Error, Code::MissingValue, source.path, "[vassal] has no command", Some(hint.into()));
    }
}

/// Whether liege carries the option out itself.
pub(crate) fn is_carried(key: &str) -> bool {
    CARRIED.contains(&key) || CHECKS.contains(&key) || key.starts_with("wait-for-") || hooks::is_hook(key)
}

/// Whether root carries out what the option says: all of that but what becomes the app, or runs as its user.
pub(crate) fn is_carried_by_root(key: &str) -> bool {
    let of_the_app = ["command", "unprivileged-binary-patch-arg"];
    key == "attach-daemon2" || is_carried(key) && !of_the_app.contains(&key) && !hooks::is_of_the_user(key)
}

fn raise(
    pairs: &[Pair],
    kind: FileKind,
    attributes: Attributes,
    reload: Option<bool>,
    lookup: &dyn Lookup,
    report: &mut Report,
) -> VassalSpec {
    let options = Options::new(pairs);
    jail::refuse(&options, report);
    let mut jail = Jail {
        pivot_root: pivot_root(&options, report),
        chroot: chroot(&options, report),
        unshare: namespaces::unshare(&options, "unshare", report),
        unshare2: namespaces::unshare(&options, "unshare2", report),
        jailed: options.boolean("jailed", false),
        cgroups: cgroup::raise(&options, report),
        wait_for: wait_for(&options, report),
        fresh_proc: options.boolean("vassal-proc", true),
        log_to: output::target(&options, report),
        oom_score_adjust: limits::oom_score_adjust(&options, report),
        ..Jail::default()
    };
    if kind == FileKind::Uwsgi {
        immediate(&options, &mut jail, lookup, report);
    }
    // The root changes before `as-root`; a reload begins in the one that the first start has made.
    let inside =
        reload.map_or(jail.changes_root().then_some(HookPhase::AsRoot), |inside| inside.then_some(HookPhase::AsVassalBeforeDrop));
    jail.hooks = hooks::raise(pairs, inside, lookup, report);
    if jail.immediate {
        // uWSGI is nobody's root by then: it returns at once from what it does as root.
        let never = [HookPhase::PostJail, HookPhase::AsRoot, HookPhase::AsUser];
        jail.hooks.retain(|hook| !never.contains(&hook.phase));
    }
    let who = if jail.immediate {
        None
    } else {
        identity::raise(&options, reload.unwrap_or_else(|| jail.changes_root()), lookup, report)
    };
    match who {
        Some(Who::Known(identity)) => jail.identity = Some(identity),
        Some(Who::Named(names)) => jail.names = Some(names),
        None => {}
    }
    let timeouts = timeouts(&options, report);
    let restarts = RestartRules::raise("", &options, report);
    let mut app = program::raise(pairs, kind, report);
    if kind == FileKind::Vassal {
        let uid = jail.identity.as_ref().map(|identity| identity.value.uid);
        app.environment = environment::raise(&options, uid, lookup, report);
    }
    if !matches!(app.program, ProgramSpec::Uwsgi { .. }) {
        jail.caps = caps::raise(&options, &["cap"], report);
    }
    VassalSpec {
        jail,
        app,
        checks: checks(&options, lookup, report),
        timeouts,
        restarts,
        log: output::rules(&options, report),
        attributes,
    }
}

/// `immediate-uid`: uWSGI becomes this user while it reads its file, so all of its own phases are that user's, and what it would do
/// as root later is not done at all.
fn immediate(options: &Options<'_>, jail: &mut Jail, lookup: &dyn Lookup, report: &mut Report) {
    let Some(identity) = identity::immediate(options, lookup, report) else { return };
    jail.immediate = true;
    jail.identity = Some(identity);
    (jail.chroot, jail.pivot_root, jail.unshare, jail.unshare2) = (None, None, None, None);
    jail.wait_for.clear();
    let as_root = |key: &str| {
        ["chroot", "pivot_root", "pivot-root", "unshare", "unshare2"].contains(&key)
            || key.starts_with("wait-for-")
            || hooks::is_hook(key) && ["-post-jail", "-as-root", "-as-user"].iter().any(|phase| key.ends_with(phase))
    };
    for line in options.of(&as_root) {
        let never = line.warning(Code::NoEffect, "never happens: immediate-uid has given up root before, as in uWSGI");
        report.push(never.with_hint("write uid and gid instead"));
    }
}

fn pivot_root(options: &Options<'_>, report: &mut Report) -> Option<Asked<PivotRoot>> {
    let line = options.all(&["pivot_root", "pivot-root"]).last()?;
    let words: Vec<&str> = line.value.split(' ').filter(|word| !word.is_empty()).collect();
    let [new, old] = words[..] else {
        report.push(line.error(Code::BadValue, "pivot_root needs NEW OLD: the new root, and where in it the old one goes"));
        return None;
    };
    Some(Asked::new(PivotRoot { new: new.to_owned(), old: old.to_owned() }, line.origin.clone()))
}

fn chroot(options: &Options<'_>, report: &mut Report) -> Option<Asked<String>> {
    let line = options.last("chroot")?;
    if line.value.is_empty() {
        report.push(line.error(Code::MissingValue, "chroot needs a directory"));
        return None;
    }
    Some(Asked::new(line.value.clone(), line.origin.clone()))
}

fn wait_for(options: &Options<'_>, report: &mut Report) -> Vec<Asked<Verb>> {
    let timeouts = ["wait-for-fs-timeout", "wait-for-socket-timeout", "wait-for-interface-timeout", "wait-for-iface-timeout"];
    for line in options.all(&timeouts) {
        report.push(line.warning(Code::NoEffect, "has no effect: every step that waits has the time of hook-timeout"));
    }
    let mut waits = Vec::new();
    for line in WAITS.iter().flat_map(|kind| options.all(std::slice::from_ref(kind))) {
        let path = line.value.clone();
        let verb = match line.key.as_str() {
            "wait-for-interface" | "wait-for-iface" => Verb::WaitForInterface(path),
            "wait-for-fs" => Verb::WaitForFs(path),
            "wait-for-file" => Verb::WaitForFile(path),
            "wait-for-dir" => Verb::WaitForDir(path),
            "wait-for-mountpoint" => Verb::WaitForMountpoint(path),
            _ => match verb::socket(&path) {
                Ok(address) => Verb::WaitForSocket(address),
                Err(wrong) => {
                    let mut mistake = line.error_at(&wrong.word, wrong.code, wrong.message);
                    mistake.hint = wrong.hint;
                    report.push(mistake);
                    continue;
                }
            },
        };
        waits.push(Asked::new(verb, line.origin.clone()));
    }
    waits
}

fn checks(options: &Options<'_>, lookup: &dyn Lookup, report: &mut Report) -> Vec<MountpointCheck> {
    let interval = options.duration("mountpoint-check-interval", Duration::from_secs(1), report);
    let timeout = options.duration("mountpoint-check-timeout", Duration::from_secs(5), report);
    let tolerance = |value: &str| values::integer(value).and_then(|n| u32::try_from(n).map_err(|_| "is too large".to_owned()));
    let tolerance = options.checked("mountpoint-check-tolerance", report, tolerance).unwrap_or(1);
    let required = options.boolean("mountpoint-check-required", false);
    let mut checks: Vec<MountpointCheck> = Vec::new();
    let mut paths_checked = HashSet::new();
    for line in options.all(&CHECKS) {
        let path = paths::absolute(&line.value, &lookup.directory());
        if line.value.is_empty() {
            report.push(line.error(Code::MissingValue, "needs the path of a mount point"));
        } else if !paths_checked.insert(path.clone()) {
            report.push(line.warning(Code::Duplicate, format!("{path} is checked already")));
        } else {
            if path != line.value {
                let relative = line.warning_at(
                    &line.value,
                    Code::RelativePath,
                    format!("is relative: {path} in the vassal's root is checked"),
                );
                report.push(relative.with_hint("write the whole path"));
            }
            let path = Asked::new(path, line.origin.clone());
            checks.push(MountpointCheck { path, interval, timeout, tolerance, required });
        }
    }
    checks
}

fn timeouts(options: &Options<'_>, report: &mut Report) -> Timeouts {
    let default = Timeouts::default();
    Timeouts {
        hook: options.duration("hook-timeout", default.hook, report),
        ready: options.duration("ready-timeout", default.ready, report),
        stop: options.duration("stop-timeout", default.stop, report),
    }
}

/// The pairs of `[emperor]`. uWSGI reads them from the raw file: no magic, no placeholders, no logic.
fn attributes(source: &Source<'_>, budget: &Budget<'_>) -> Attributes {
    const HEADER: &[u8] = b"[emperor";
    let has_any = || source.text.windows(HEADER.len()).any(|bytes| bytes == HEADER);
    if budget.is_over() || !has_any() {
        return Attributes::new();
    }
    let raw =
        Substituted { text: Text::new(source.text, Mark::ROOTS), from: Offsets::of_file(source.text.len()), eaten: Vec::new() };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let lines = lines::read(source.text, source.path, &raw, budget).pairs;
    let of_emperor = lines.iter().filter(|line| line.section.as_deref() == Some(b"emperor"));
    of_emperor.map(|line| (text(&line.key), text(line.value.bytes()))).collect()
}

/// Whether one of the aliases of `mountpoint-check` stands in a file.
pub(crate) fn has_checks(pairs: &[Pair]) -> bool {
    pairs.iter().any(|pair| !pair.placeholder && CHECKS.contains(&pair.key.as_str()))
}
