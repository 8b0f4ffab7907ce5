//! What makes a rebuild necessary: the first difference between two jails, as the line that made it.

use crate::compile::is_told;
use liege_spec::{Asked, Cgroups, Hook, HookPhase, Jail, Verb};

/// The first difference, in words with its place; None where the jails are the same.
pub(super) fn jail_difference(old: &Jail, new: &Jail) -> Option<String> {
    let Jail {
        identity,
        immediate,
        names,
        hooks,
        pivot_root,
        chroot,
        unshare,
        unshare2,
        jailed,
        caps,
        cgroups,
        wait_for,
        fresh_proc,
        log_to,
        oom_score_adjust,
    } = new;
    option("the identity", old.identity.as_ref(), identity.as_ref())
        .or_else(|| (old.immediate != *immediate).then(|| "immediate-uid changed".to_owned()))
        .or_else(|| option("the identity", old.names.as_ref(), names.as_ref()))
        .or_else(|| option("the root", old.pivot_root.as_ref(), pivot_root.as_ref()))
        .or_else(|| option("the root", old.chroot.as_ref(), chroot.as_ref()))
        .or_else(|| option("a namespace", old.unshare.as_ref(), unshare.as_ref()))
        .or_else(|| option("a namespace", old.unshare2.as_ref(), unshare2.as_ref()))
        .or_else(|| (old.jailed != *jailed).then(|| "jailed changed".to_owned()))
        .or_else(|| option("the capabilities", old.caps.as_ref(), caps.as_ref()))
        .or_else(|| cgroup(&old.cgroups, cgroups))
        .or_else(|| {
            let (old, new) = (lasting(&old.hooks), lasting(hooks));
            list("a hook", &old, &new, |(_, verb, _)| verb.at.to_string())
        })
        .or_else(|| list("what is waited for", &old.wait_for, wait_for, |wait| wait.at.to_string()))
        .or_else(|| (old.fresh_proc != *fresh_proc).then(|| "vassal-proc changed".to_owned()))
        .or_else(|| (old.log_to != *log_to).then(|| "vassal-log changed".to_owned()))
        .or_else(|| option("oom-score-adjust", old.oom_score_adjust.as_ref(), oom_score_adjust.as_ref()))
}

/// A group of its own is where a vassal is born.
fn cgroup(old: &Cgroups, new: &Cgroups) -> Option<String> {
    let Cgroups { paths, mode, options } = new;
    list("a cgroup", &old.paths, paths, |path| path.at.to_string())
        .or_else(|| list("a cgroup", &old.options, options, |option| option.at.to_string()))
        .or_else(|| (old.mode != *mode).then(|| "cgroup-dir-mode changed".to_owned()))
}

/// The hooks that leave something behind in the jail. `env` and `umask`, which hooks have too, are only told again when the app
/// is replaced.
fn lasting(hooks: &[Hook]) -> Vec<(HookPhase, &Asked<Verb>, bool)> {
    hooks.iter().filter(|hook| !is_told(hook)).map(|h| (h.phase, &h.verb, h.hidden)).collect()
}

fn option<T: PartialEq>(what: &str, old: Option<&Asked<T>>, new: Option<&Asked<T>>) -> Option<String> {
    if old == new {
        return None;
    }
    Some(match (old, new) {
        (_, Some(new)) => format!("{what} changed at {}", new.at),
        (Some(old), None) => format!("{what} was asked for by {}, which is gone", old.at),
        (None, None) => return None,
    })
}

fn list<T: PartialEq>(what: &str, old: &[T], new: &[T], place: impl Fn(&T) -> String) -> Option<String> {
    let first = old.iter().zip(new).position(|(a, b)| a != b).unwrap_or(old.len().min(new.len()));
    match (old.get(first), new.get(first)) {
        (None, None) => None,
        (_, Some(new)) => Some(format!("{what} changed at {}", place(new))),
        (Some(old), None) => Some(format!("{what} of {} is gone", place(old))),
    }
}
