//! The emperor's file and flags to its typed spec.

use std::net::SocketAddr;
use std::time::Duration;

use crate::budget::{Budget, Metered};
use crate::known;
use crate::logic::Logic;
use crate::options::Options;
use crate::pair::Pair;
use crate::report::{Reading, Report};
use crate::text::Text;
use crate::{
    Asked, Code, Diagnostic, EmperorDeath, EmperorSpec, Lookup, RestartLimits, RestartRules, Severity, Source, caps, flatten,
    hooks, namespaces, traps, values,
};

/// Sections whose pairs are the emperor's options.
pub(crate) const SECTIONS: [&str; 2] = ["uwsgi", "liege"];

/// `emperor-state-dir` unless told otherwise.
const STATE_DIR: &str = "/run/liege";

/// `emperor-shrink-guard` unless told otherwise.
const SHRINK_GUARD: Duration = Duration::from_secs(60);

/// Options this file may hold.
const OWN: [&str; 32] = [
    "emperor",
    "emperor-cap",
    "emperor-control",
    "emperor-curse-tolerance",
    "emperor-death",
    "emperor-extra-ext",
    "emperor-extra-extension",
    "emperor-flapping-failures",
    "emperor-flapping-window",
    "emperor-freq",
    "emperor-graceful-shutdown",
    "emperor-health-log",
    "emperor-log-dir",
    "emperor-max-starts",
    "emperor-max-throttle",
    "emperor-metrics",
    "emperor-metrics-host",
    "emperor-nofollow",
    "emperor-pidfile",
    "emperor-required-heartbeat",
    "emperor-shrink-guard",
    "emperor-start-limit",
    "emperor-state-dir",
    "emperor-throttle",
    "emperor-use-clone",
    "pidfile",
    "vassal-cap",
    "vassal-set",
    "vassals-cap",
    "vassals-set",
    "set-placeholder",
    "set-ph",
];

/// What does here what an option of uWSGI's Emperor does there.
const INSTEAD: [(&str, &str); 11] = [
    ("emperor-no-blacklist", "a vassal that fails waits for itself alone; emperor-max-throttle bounds how long"),
    ("emperor-stats", METRICS),
    ("emperor-stats-server", METRICS),
    ("emperor-tyrant", TYRANT),
    ("emperor-tyrant-nofollow", TYRANT),
    ("vassal-set-ph", "vassal-set = KEY=VALUE"),
    ("vassals-include", INCLUDE),
    ("vassals-include-before", INCLUDE),
    ("vassals-inherit", INCLUDE),
    ("vassals-start-hook", "hook-as-vassal = exec:COMMAND runs before each vassal"),
    ("vassals-stop-hook", "liege events --follow tells of each end"),
];
const METRICS: &str = "emperor-metrics = ADDRESS:PORT serves metrics and a page; liege status --json is for programs";
const TYRANT: &str = "each vassal's file says its uid and gid";
const INCLUDE: &str = "vassal-set = KEY=VALUE gives an option to all of them; a file: include = FILE in each";

/// Understands the emperor's file, if there is one, and its flags: any `--KEY VALUE`, which count after the file.
#[must_use]
pub fn read_emperor(source: Option<&Source<'_>>, flags: &[(String, String)], world: &dyn Lookup) -> Reading<EmperorSpec> {
    let mut report = Report::default();
    if let Some(other) = source.and_then(Source::other_format) {
        return Reading { value: None, diagnostics: vec![other] };
    }
    let budget = Budget::new(world);
    let lookup = &Metered { budget: &budget };
    let pairs = flatten::flatten_into(source, flags, &SECTIONS, false, lookup, &mut report).pairs;
    traps::pairs(&pairs, true, &mut report);
    refuse_the_rest(&pairs, &mut report);
    let mut spec = raise(&Options::new(&pairs), source.map_or("command line", |source| source.path), &mut report);
    spec.vassal_hooks = hooks::of_the_emperor(&pairs, lookup, &mut report);
    let file = source.map_or("command line", |source| source.path);
    report.tell_the_end(&budget, |code, why| Diagnostic::of_file(Severity::Error, code, file, why));
    report.close(spec)
}

fn raise(options: &Options<'_>, file: &str, report: &mut Report) -> EmperorSpec {
    let milliseconds = |value: &str| values::integer(value).map(Duration::from_millis);
    let state_dir = options.text("emperor-state-dir").unwrap_or_else(|| STATE_DIR.into());
    EmperorSpec {
        monitors: monitors(options, file, report),
        namespaces: namespaces::raise(options, "emperor-use-clone", report).map(|asked| asked.value).unwrap_or_default(),
        vassal_caps: caps::of_the_emperor(options, report),
        freq: options.duration("emperor-freq", Duration::from_secs(3), report),
        throttle: options.checked("emperor-throttle", report, milliseconds).unwrap_or(Duration::from_secs(1)),
        max_throttle: options.checked("emperor-max-throttle", report, milliseconds).unwrap_or(Duration::from_secs(180)),
        restarts: RestartRules::raise("emperor-", options, report).over(RestartLimits::default()),
        required_heartbeat: options.duration("emperor-required-heartbeat", Duration::from_secs(30), report),
        curse_tolerance: options.checked("emperor-curse-tolerance", report, values::positive_seconds),
        graceful_stop: options.boolean("emperor-graceful-shutdown", false),
        nofollow: options.boolean("emperor-nofollow", false),
        extra_extensions: options
            .all(&["emperor-extra-extension", "emperor-extra-ext"])
            .map(|line| dotted(&line.value))
            .collect(),
        shrink_guard: options.checked("emperor-shrink-guard", report, values::seconds).unwrap_or(SHRINK_GUARD),
        pidfiles: ["emperor-pidfile", "pidfile"].into_iter().filter_map(|name| options.text(name)).collect(),
        control: options.text("emperor-control").unwrap_or_else(|| format!("{}/control.sock", state_dir.trim_end_matches('/'))),
        log_dir: options.text("emperor-log-dir").unwrap_or_else(|| log_dir(&state_dir)),
        state_dir,
        health_log: match options.checked("emperor-health-log", report, values::seconds) {
            Some(Duration::ZERO) => None,
            other => Some(other.unwrap_or(Duration::from_secs(15))),
        },
        metrics: metrics(options, report),
        metrics_hosts: metrics_hosts(options, report),
        death: death(options, report),
        max_starts: max_starts(options, report),
        vassal_hooks: Vec::new(),
        vassal_set: vassal_set(options, report),
    }
}

/// With the default state directory the host's usual place; an emperor with its own state directory has its own logs.
fn log_dir(state_dir: &str) -> String {
    if state_dir == STATE_DIR { "/var/log/liege".into() } else { format!("{}/logs", state_dir.trim_end_matches('/')) }
}

fn monitors(options: &Options<'_>, file: &str, report: &mut Report) -> Vec<Asked<String>> {
    let mut monitors = Vec::new();
    for line in options.all(&["emperor"]) {
        let value = line.value.strip_prefix("dir://").or_else(|| line.value.strip_prefix("glob://")).unwrap_or(&line.value);
        if value.is_empty() {
            report.push(line.error(Code::MissingValue, "needs a directory or a pattern"));
        } else if let Some((scheme, _)) = value.split_once("://") {
            report.push(
                line.error(
                    Code::NotSupported,
                    format!("the monitor {scheme}:// is not supported yet: a directory or a pattern is"),
                ),
            );
        } else {
            // uWSGI changes to its directory before it looks.
            let place = match options.last("chdir") {
                Some(chdir) if !value.starts_with('/') => format!("{}/{value}", chdir.value.trim_end_matches('/')),
                _ => value.to_owned(),
            };
            monitors.push(Asked::new(place, line.origin.clone()));
        }
    }
    if monitors.is_empty() && options.last("emperor").is_none() {
        let hint = "add emperor = /etc/liege/vassals, or --emperor DIR".to_owned();
        report.whole_file(
            crate::Severity::Error,
            Code::NoVassals,
            file,
            "names no vassals: there is no emperor = DIR",
            Some(hint),
        );
    }
    monitors
}

fn dotted(extension: &str) -> String {
    if extension.starts_with('.') { extension.to_owned() } else { format!(".{extension}") }
}

fn metrics(options: &Options<'_>, report: &mut Report) -> Option<Asked<SocketAddr>> {
    let at = options.last("emperor-metrics")?.origin.clone();
    options.checked("emperor-metrics", report, values::socket_address).map(|address| Asked::new(address, at))
}

fn metrics_hosts(options: &Options<'_>, report: &mut Report) -> Vec<Asked<String>> {
    let mut names = Vec::new();
    for line in options.all(&["emperor-metrics-host"]) {
        match values::host_name(&line.value) {
            Ok(name) => names.push(Asked::new(name, line.origin.clone())),
            Err(why) => report.push(line.error(Code::BadValue, why).with_hint("one name a line, such as liege.example.com")),
        }
    }
    names
}

fn death(options: &Options<'_>, report: &mut Report) -> EmperorDeath {
    if let Some(line) = options.last("emperor-death") {
        match line.value.as_str() {
            "kill" => {}
            "survive" => report
                .push(line.error(Code::NotSupported, "vassals that outlive their emperor are not supported yet: only kill is")),
            other => report.push(line.error(Code::BadValue, format!("\"{other}\" is neither kill nor survive"))),
        }
    }
    EmperorDeath::Kill
}

fn max_starts(options: &Options<'_>, report: &mut Report) -> Option<usize> {
    let check = |value: &str| match values::integer(value)? {
        0 => Err("must be at least 1".to_owned()),
        number => usize::try_from(number).map_err(|_| "is too large".to_owned()),
    };
    options.checked("emperor-max-starts", report, check)
}

fn vassal_set(options: &Options<'_>, report: &mut Report) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for line in options.all(&["vassal-set", "vassals-set"]) {
        match line.value.split_once('=') {
            Some(_) if line.put_in => {
                let put_in =
                    line.error(Code::OthersText, "holds $( @( or %( that was put in: a vassal's reading would expand it");
                report.push(put_in.with_hint("name the file, or the variable, in the vassals' files"));
            }
            Some((key, value)) if !key.is_empty() => pairs.push((key.to_owned(), value.to_owned())),
            _ => report.push(line.error(Code::BadValue, "is written KEY=VALUE")),
        }
    }
    pairs
}

/// Everything else. What would change how vassals are governed is refused; what belongs to uWSGI's own process has no meaning.
fn refuse_the_rest(pairs: &[Pair], report: &mut Report) {
    let read = |pair: &Pair| {
        let key = pair.key.as_bytes();
        let done = [
            "chdir",
            "config",
            "inject-after",
            "inject-before",
            "js",
            "json",
            "resolve",
            "xml",
            "xmlconfig",
            "yaml",
            "yml",
            "set",
            "include",
            "ini",
            "inherit",
            "blacklist",
            "end-blacklist",
            "whitelist",
            "end-whitelist",
            "strict",
        ];
        done.contains(&pair.key.as_str()) || Logic::closes(key) || key == b"else" || Logic::parse(key, &Text::default()).is_some()
    };
    for pair in pairs.iter().filter(|pair| !pair.placeholder && !OWN.contains(&pair.key.as_str()) && !read(pair)) {
        let key = pair.key.as_str();
        // With strict an unknown option was told while the file was read.
        if hooks::is_of_the_emperor(key) || report.has(Code::UnknownOption, &pair.origin) {
            continue;
        }
        if of_vassals(key) {
            let misplaced = pair.error_at_key(Code::WrongFile, format!("{key} belongs into a vassal's file"));
            report.push(misplaced.with_hint(format!("vassal-set = {key}={} gives it to all of them", pair.value)));
        } else if governs(key) {
            let mut refused;
            if known::is_uwsgi_option(key) || known::KNOWN_OPTIONS.contains(&key) {
                refused = pair.error_at_key(Code::NotSupported, format!("{key} is not supported yet"));
                refused.hint = INSTEAD.iter().find(|(option, _)| *option == key).map(|(_, instead)| (*instead).to_owned());
            } else {
                refused = pair.error_at_key(Code::UnknownOption, format!("{key} is no option of an emperor"));
                refused.hint = report.nearest(key, OWN.into_iter()).map(|near| format!("did you mean {near}?"));
            }
            report.push(refused);
        } else if key == "uid" || key == "gid" {
            let refused = pair.error_at_key(
                Code::NotSupported,
                "an emperor that drops its own rights is not supported: it needs them to start vassals",
            );
            report.push(refused.with_hint("uid and gid belong into the vassal's file"));
        } else if key == "daemonize" || key == "daemonize2" {
            report.push(
                pair.error_at_key(Code::NotSupported, "not supported: liege runs in the foreground")
                    .with_hint("see the systemd unit in config/"),
            );
        } else if known::is_uwsgi_option(key) {
            report.push(pair.warning(
                Code::NoEffect,
                format!("{key} is an option of uWSGI's own process and means nothing to liege's emperor"),
            ));
        } else if !pair.asked_for && !pair.lacks_equal() {
            let mut unknown = pair.warning(Code::UnknownOption, format!("{key} is no option, and nothing asks for it"));
            unknown.hint = report.nearest(key, OWN.into_iter()).map(|near| format!("did you mean {near}?"));
            report.push(unknown);
        }
    }
}

/// Options that say how vassals are kept.
fn governs(key: &str) -> bool {
    let hooks_of_the_emperor = ["hook-", "exec-", "mount-", "umount-", "call-"].iter().any(|family| key.starts_with(family));
    key.starts_with("emperor")
        || key.starts_with("vassal")
        || key == "early-emperor"
        || hooks_of_the_emperor && key.contains("emperor")
        || hooks_of_the_emperor && key.contains("vassal")
}

/// Options that shape a vassal, not the emperor.
fn of_vassals(key: &str) -> bool {
    crate::vassal_file::is_carried(key)
}
