//! What a vassal stands on: what it may lose together with others.
//!
//! Layers are the absolute paths in the commands and mounts of a vassal's hooks and attached daemons, the directories these lie in, its
//! root, and what it watches without having mounted it: that is the host's. That two vassals name the same path and fail in the same
//! seconds is what counts, not what the path is; of several the most particular one is named.
//!
//! The directory stands for the device below it: zips that lie side by side lie on one disk. The device itself is not asked for, on
//! purpose. Where a host has one file system all vassals would stand on one layer, and a canary with a trouble of its own would hold the
//! failures of all others. For the same reason the directories where everybody's things lie are no layers. What is taken for
//! one layer by mistake (five daemons killed at once, whose zips lie side by side) costs the time until the canary's mount answers.

use std::{collections::BTreeSet, path::Path};

use liege_spec::{VassalSpec, Verb};

/// What everybody uses and nobody stands on: programs, devices, the kernel's own.
const EVERYBODYS: [&str; 9] =
    ["/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/usr/local/bin/", "/usr/lib/", "/dev/", "/proc/", "/sys/"];

/// So many of one vassal count: a file that names more is not asked for all of them at each failure.
const MOST: usize = 64;

/// Where everybody's things lie, one beside the other.
const COMMON: [&str; 11] = ["/", "/etc", "/home", "/media", "/mnt", "/opt", "/root", "/run", "/tmp", "/var", "/var/tmp"];

/// What a vassal stands on: the paths its hooks and daemons name, without those it mounts and watches, which are its own.
pub(crate) fn of(spec: &VassalSpec) -> BTreeSet<String> {
    let jail = &spec.jail;
    let mut named = BTreeSet::new();
    let mut points = BTreeSet::new();
    for hook in &jail.hooks {
        match &hook.verb.value {
            Verb::Exec(command) | Verb::SafeExec(command) => named.extend(arguments(command)),
            Verb::Mount { source, data, target, .. } => {
                named.extend(paths(source).chain(paths(data)));
                points.insert(target.clone());
            }
            _ => {}
        }
    }
    spec.app.daemons.iter().for_each(|daemon| named.extend(arguments(&daemon.value.command)));
    let root = root(spec);
    // What is watched, as it is called in the vassal's root and in the host's.
    let watched: Vec<(&String, String)> = spec
        .checks
        .iter()
        .map(|check| &check.path.value)
        .map(|path| (path, root.map_or_else(|| path.clone(), |root| format!("{}{path}", root.trim_end_matches('/')))))
        .collect();
    let is_own = |path: &str| named.iter().chain(&points).any(|point| Path::new(path).starts_with(point));
    let of_the_host = watched.iter().filter(|(inside, outside)| !is_own(inside) && !is_own(outside));
    let mut layers: BTreeSet<String> = of_the_host.map(|(_, outside)| outside.clone()).chain(root.cloned()).collect();
    for path in named.iter().filter(|path| !watched.iter().any(|(inside, outside)| path == inside || *path == outside)) {
        let directory = path.trim_end_matches('/').rsplit_once('/').map_or("/", |(directory, _)| directory);
        if !directory.is_empty() && !COMMON.contains(&directory) {
            layers.insert(directory.to_owned());
        }
        layers.insert(path.clone());
    }
    layers.into_iter().take(MOST).collect()
}

/// The root of its own, as the host calls it.
pub(crate) fn root(spec: &VassalSpec) -> Option<&String> {
    let jail = &spec.jail;
    jail.pivot_root.as_ref().map(|root| &root.value.new).or(jail.chroot.as_ref().map(|root| &root.value))
}

/// The paths of a command line behind its first word, the program.
fn arguments(command: &str) -> impl Iterator<Item = String> + '_ {
    command.trim_start().split_once(' ').into_iter().flat_map(|(_, words)| paths(words))
}

/// `/ns/precise` in `unionfs-fuse -ocow,chroot=/ns /cow/shop=RW:/precise=RO /ufs`.
fn paths(text: &str) -> impl Iterator<Item = String> + '_ {
    let words = text.split(|c: char| c.is_whitespace() || "=:,;&|()\"'".contains(c));
    let is_layer =
        |word: &&str| word.len() > 1 && word.starts_with('/') && !EVERYBODYS.iter().any(|start| word.starts_with(start));
    words.filter(is_layer).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_the_paths_of_commands_and_mounts() {
        let found: Vec<_> = paths("unionfs-fuse -ocow,chroot=/ns,max_files=32768 /cow/shop=RW:/precise=RO /ufs").collect();
        assert_eq!(found, ["/ns", "/cow/shop", "/precise", "/ufs"]);
    }
}
