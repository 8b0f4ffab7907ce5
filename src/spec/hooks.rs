//! The hook lines of a vassal: which phase, which family, in which order.

use crate::budget::HOOKS;
use crate::known;
use crate::pair::Pair;
use crate::report::Report;
use crate::verb::{self, NamesOf};
use crate::{Asked, Code, Hook, HookPhase, Lookup, Verb, mount, values};

/// The phases and how options call them, in the order in which they happen.
const PHASES: [(HookPhase, &str); 9] = [
    (HookPhase::AsVassalBeforeDrop, "as-vassal-before-drop"),
    (HookPhase::AsVassal, "as-vassal"),
    (HookPhase::Asap, "asap"),
    (HookPhase::PreJail, "pre-jail"),
    (HookPhase::InJail, "in-jail"),
    (HookPhase::PostJail, "post-jail"),
    (HookPhase::AsRoot, "as-root"),
    (HookPhase::AsUser, "as-user"),
    (HookPhase::AsUserAtexit, "as-user-atexit"),
];

/// The phases of a vassal that the emperor's own file has hooks for: what uWSGI's Emperor does between the clone and the exec.
const OF_THE_EMPEROR: [HookPhase; 2] = [HookPhase::AsVassalBeforeDrop, HookPhase::AsVassal];

/// The phases of a vassal that stay uwsgi's own.
const OF_UWSGI: [&str; 14] = [
    "hook-accepting",
    "hook-accepting-once",
    "hook-accepting1",
    "hook-accepting1-once",
    "hook-as-gateway",
    "hook-as-mule",
    "hook-emperor-lost",
    "hook-emperor-reload",
    "hook-emperor-stop",
    "hook-master-start",
    "hook-post-app",
    "hook-post-fork",
    "hook-pre-app",
    TOUCH,
];

/// Its value is FILE VERB:ARGUMENT.
const TOUCH: &str = "hook-touch";

/// The families of one phase, in uWSGI's order.
const FAMILIES: [&str; 5] = ["hook", "mount", "umount", "exec", "call"];

/// Whether an option is a hook that liege carries out. uWSGI has not every family in every phase (nothing mounts as the user);
/// what it does not have is no hook here either.
pub(crate) fn is_hook(key: &str) -> bool {
    known::is_uwsgi_option(key) && split(key).is_some()
}

/// Whether an option is a hook that runs with the rights of the vassal's user.
pub(crate) fn is_of_the_user(key: &str) -> bool {
    is_hook(key) && split(key).is_some_and(|(_, phase)| matches!(phase, HookPhase::AsUser | HookPhase::AsUserAtexit))
}

fn split(key: &str) -> Option<(&str, HookPhase)> {
    let (family, phase) = key.split_once('-')?;
    let phase = phase.strip_suffix(['1', '3']).filter(|_| family == "call").unwrap_or(phase);
    let phase = PHASES.iter().find(|(_, name)| *name == phase)?.0;
    FAMILIES.contains(&family).then_some((family, phase))
}

/// Whether an option is a hook that the emperor's file may hold for all its vassals.
pub(crate) fn is_of_the_emperor(key: &str) -> bool {
    is_hook(key) && split(key).is_some_and(|(_, phase)| OF_THE_EMPEROR.contains(&phase))
}

/// All hooks, phase by phase, family by family, line by line. From the phase `inside` on they run in another root than the
/// host's, if there is one.
pub(crate) fn raise(pairs: &[Pair], inside: Option<HookPhase>, lookup: &dyn Lookup, report: &mut Report) -> Vec<Hook> {
    let mut hooks = Vec::new();
    other_shells(pairs, report);
    for (phase, _) in PHASES {
        if phase == HookPhase::Asap {
            hooks.extend(surroundings(pairs));
        }
        let names = if inside.is_some_and(|first| phase >= first) { NamesOf::NewRoot } else { NamesOf::Host(lookup) };
        hooks.extend(of_phase(phase, pairs, names, report));
    }
    too_many(&mut hooks, pairs, report);
    hooks
}

/// A plan is sent and walked as a whole.
fn too_many(hooks: &mut Vec<Hook>, pairs: &[Pair], report: &mut Report) {
    if hooks.len() > HOOKS {
        if let Some(pair) = pairs.iter().rfind(|pair| is_hook(&pair.key)) {
            report.push(pair.error_at_key(Code::TooMuch, format!("more than {HOOKS} hooks")));
        }
        hooks.truncate(HOOKS);
    }
}

/// The hooks the emperor's file has for every vassal.
pub(crate) fn of_the_emperor(pairs: &[Pair], lookup: &dyn Lookup, report: &mut Report) -> Vec<Hook> {
    let of = |phase, report: &mut Report| of_phase(phase, pairs, NamesOf::Host(lookup), report);
    let mut hooks = OF_THE_EMPEROR.into_iter().flat_map(|phase| of(phase, report)).collect();
    too_many(&mut hooks, pairs, report);
    hooks
}

/// Hooks that uwsgi is given: what it cannot understand would end it when the hook's turn comes, again and again.
pub(crate) fn check_for_uwsgi(pairs: &[Pair], report: &mut Report) {
    for pair in pairs.iter().filter(|pair| !pair.placeholder && OF_UWSGI.contains(&pair.key.as_str())) {
        let checked = if pair.key == TOUCH {
            match pair.value.split_once(' ') {
                Some((_, action)) => verb::check_for_uwsgi(action),
                None => Err(mount::Wrong::new(&pair.value, "hook-touch needs FILE VERB:ARGUMENT")),
            }
        } else {
            verb::check_for_uwsgi(&pair.value)
        };
        if let Err(wrong) = checked {
            report_wrong(pair, wrong, report);
        }
    }
}

fn report_wrong(pair: &Pair, wrong: mount::Wrong, report: &mut Report) {
    let mut mistake = pair.error_at(&wrong.word, wrong.code, wrong.message);
    mistake.hint = wrong.hint;
    report.push(mistake);
}

fn of_phase(phase: HookPhase, pairs: &[Pair], names: NamesOf<'_>, report: &mut Report) -> Vec<Hook> {
    let mut hooks = Vec::new();
    for family in FAMILIES {
        let wanted = |pair: &&Pair| !pair.placeholder && is_hook(&pair.key) && split(&pair.key) == Some((family, phase));
        for pair in pairs.iter().filter(wanted) {
            hooks.extend(hook(family, phase, pair, names, report));
        }
    }
    hooks
}

/// uWSGI sets `umask` when it reads its configuration and `env` when it has, so every hook from then on has them. Only where
/// there are hooks that could tell: in a jail without them, another environment is no other jail.
fn surroundings(pairs: &[Pair]) -> Vec<Hook> {
    let lines = || pairs.iter().filter(|pair| !pair.placeholder);
    let hook =
        |verb: Verb, pair: &Pair| Hook { phase: HookPhase::Asap, verb: Asked::new(verb, pair.origin.clone()), hidden: false };
    let mut set = Vec::new();
    if lines().any(|pair| is_hook(&pair.key)) {
        // One that is no number is told where the app's own is read.
        let mask = lines().rfind(|pair| pair.key == "umask");
        set.extend(mask.and_then(|pair| Some(hook(Verb::Umask(values::octal(&pair.value).ok()?), pair))));
    }
    if lines().any(|pair| is_hook(&pair.key) && (pair.key.starts_with("exec-") || pair.value.contains("exec:"))) {
        let env = lines().filter(|pair| pair.key == "env" && pair.value.contains('='));
        set.extend(env.map(|pair| hook(Verb::Putenv(pair.value.clone()), pair)));
    }
    set
}

/// Shells that uWSGI would try before `/bin/sh`.
fn other_shells(pairs: &[Pair], report: &mut Report) {
    for pair in pairs.iter().filter(|pair| !pair.placeholder && pair.key == "binsh" && pair.value != "/bin/sh") {
        report.push(
            pair.warning(Code::NoEffect, "hooks are run by /bin/sh here")
                .with_hint(format!("write exec:{} -c '...'", pair.value)),
        );
    }
}

fn hook(family: &str, phase: HookPhase, pair: &Pair, names: NamesOf<'_>, report: &mut Report) -> Option<Hook> {
    let parsed = match family {
        "mount" => mount::mount(&pair.value).map(|verb| (verb, false)),
        "umount" => mount::umount(&pair.value).map(|verb| (verb, false)),
        "exec" if pair.value.trim().is_empty() => Err(mount::Wrong::new("", "the command is empty").of(Code::MissingValue)),
        "exec" => Ok((Verb::Exec(pair.value.clone()), false)),
        "call" => {
            let why = format!("{} calls a C function inside uWSGI, which liege cannot", pair.key);
            Err(mount::Wrong::new(&pair.value, why).of(Code::NotSupported).hint("say it with a hook verb, or a command"))
        }
        _ => verb::parse(&pair.value, names),
    };
    match parsed {
        Ok((Verb::Alarm, _)) => {
            report
                .push(pair.warning(Code::NoEffect, "does nothing in this phase, in uWSGI neither: alarms begin with its master"));
            None
        }
        Ok((verb, hidden)) => Some(Hook { phase, verb: Asked::new(verb, pair.origin.clone()), hidden }),
        Err(wrong) => {
            report_wrong(pair, wrong, report);
            None
        }
    }
}
