//! Where the lines of a file mount something, as far as their words tell: what a script does they do not.

use std::path::Path;

use crate::{Hook, HookPhase, Origin, VassalSpec, Verb, doubts::PRIVATE_MOUNTS, layers, mount};

/// Programs whose last path is where they mount, beside those that mount for one user alone. `rclone`, `borg` and their like say `mount`.
const MOUNTS: [&str; 18] = [
    "bindfs",
    "ceph-fuse",
    "fuse-overlayfs",
    "fuse2fs",
    "gcsfuse",
    "glusterfs",
    "goofys",
    "jmtpfs",
    "lowntfs-3g",
    "lxcfs",
    "mergerfs",
    "mount",
    "mount-s3",
    "ntfs-3g",
    "s3fs",
    "squashfuse_ll",
    "unionfs-fuse2",
    "vdfuse",
];

/// A place where something is to be mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// As it is written.
    pub written: String,
    /// As the app sees it; None: not at all, because it lies outside the new root.
    pub path: Option<String>,
    /// The line.
    pub at: Origin,
}

/// In the order of the file; those of the end are none.
#[must_use]
pub fn points(spec: &VassalSpec) -> Vec<Point> {
    let jail = &spec.jail;
    let new_root = jail.pivot_root.as_ref().map(|pivot| pivot.value.new.as_str());
    let new_root = new_root.or_else(|| jail.chroot.as_ref().map(|root| root.value.as_str())).unwrap_or("/");
    let seen = |written: &str, is_before: bool| {
        let written = Path::new(written);
        let inside = if is_before { written.strip_prefix(new_root).ok()? } else { written.strip_prefix("/").ok()? };
        Some(Path::new("/").join(inside).to_str()?.to_owned())
    };
    let of_hook = |hook: &Hook| {
        let (written, is_before) = (hook_mounts(hook), is_before_the_root(hook.phase));
        written.into_iter().map(move |written| (written, is_before, hook.verb.at.clone())).collect::<Vec<_>>()
    };
    let hooks = jail.hooks.iter().filter(|hook| hook.phase != HookPhase::AsUserAtexit).flat_map(of_hook);
    let daemons =
        spec.app.daemons.iter().flat_map(|daemon| {
            command_mounts(&daemon.value.command).into_iter().map(|written| (written, false, daemon.at.clone()))
        });
    let point = |(written, is_before, at): (String, bool, Origin)| {
        let path = seen(&written, is_before);
        Point { written, path, at }
    };
    hooks.chain(daemons).map(point).collect()
}

/// How a path is called in the new root that is written as it was called before the root changed. None: it is not of the new root, or
/// a line that counts in the new root names it.
#[must_use]
pub fn called_inside(spec: &VassalSpec, path: &str) -> Option<String> {
    let jail = &spec.jail;
    let new_root = jail.pivot_root.as_ref().map(|pivot| pivot.value.new.as_str());
    let new_root = new_root.or_else(|| jail.chroot.as_ref().map(|root| root.value.as_str())).filter(|root| *root != "/")?;
    let inside = Path::new(path).strip_prefix(new_root).ok()?;
    let hooks = jail.hooks.iter().filter(|hook| !is_before_the_root(hook.phase));
    let of_hook = |hook: &Hook| match &hook.verb.value {
        Verb::Exec(line) | Verb::SafeExec(line) => layers::paths(line).collect(),
        Verb::Mount { target, .. } => vec![target.clone()],
        _ => Vec::new(),
    };
    let of_daemons = spec.app.daemons.iter().flat_map(|daemon| layers::paths(&daemon.value.command));
    let mut named = hooks.flat_map(of_hook).chain(of_daemons);
    let is_named = named.any(|named| named != "/" && Path::new(path).starts_with(named));
    if is_named { None } else { Some(Path::new("/").join(inside).to_str()?.to_owned()) }
}

/// Whether a phase is over when the root changes.
fn is_before_the_root(phase: HookPhase) -> bool {
    match phase {
        HookPhase::AsVassalBeforeDrop
        | HookPhase::AsVassal
        | HookPhase::Asap
        | HookPhase::PreJail
        | HookPhase::InJail
        | HookPhase::PostJail => true,
        HookPhase::AsRoot | HookPhase::AsUser | HookPhase::AsUserAtexit => false,
    }
}

fn hook_mounts(hook: &Hook) -> Vec<String> {
    match &hook.verb.value {
        Verb::Exec(line) | Verb::SafeExec(line) => command_mounts(line),
        Verb::Mount { target, flags, fstype, .. } if mount::is_new(fstype, *flags) => vec![trimmed(target).to_owned()],
        _ => Vec::new(),
    }
}

/// The mount points in a command line, of which a shell may run several commands.
fn command_mounts(line: &str) -> Vec<String> {
    line.split([';', '&', '|', '\n', '(', ')', '<', '>']).filter_map(mounts).collect()
}

/// Of one command: the last path that is no value of an option behind the others.
fn mounts(command: &str) -> Option<String> {
    let mut words = command.split([' ', '\t', '\'', '"']).filter(|word| !word.is_empty());
    words.find(|word| {
        let name = word.rsplit('/').next().unwrap_or_default();
        let is_private = PRIVATE_MOUNTS.contains(&name) && name != "rclone";
        is_private || MOUNTS.contains(&name) || name == "cmount" || name.starts_with("mount.")
    })?;
    let (mut point, mut before) = (None, "");
    for word in words {
        if word.contains("remount") || word.starts_with("--make-") {
            return None;
        }
        let is_value = point.is_some() && before.starts_with('-') && !before.contains('=');
        if word.len() > 1 && word.starts_with('/') && !is_value {
            point = Some(word);
        }
        before = word;
    }
    point.map(|word| trimmed(word).to_owned())
}

fn trimmed(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() { path } else { trimmed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_mounts_on_its_last_path() {
        for (line, found) in [
            ("fuse-zip -r /w/z.zip /w/m6", &["/w/m6"][..]),
            ("/usr/bin/fuse-zip /a.zip /m/ -o ro,allow_other", &["/m"]),
            ("su shop -c 'sshfs h:/x /m -F /etc/ssh_config'", &["/m"]),
            ("rclone copy r:x /m", &[]),
            ("rclone mount --config /c r:x /m --cache-dir /var/cache", &["/m"]),
            ("unionfs-fuse -ocow,chroot=/ns /precise=RO:/cow=RW /ufs >/dev/null 2>&1", &["/ufs"]),
            ("mkdir -p /m; mount --bind /a /m && mount -t tmpfs none /n", &["/m", "/n"]),
            ("mount -o remount,ro /m", &[]),
            ("mount --make-rprivate /", &[]),
            ("fusermount -u /m", &[]),
            ("umount /m", &[]),
            ("sh /etc/mounts /m", &[]),
            ("fuse-zip a.zip m", &[]),
        ] {
            assert_eq!(command_mounts(line), found, "{line}");
        }
    }
}
