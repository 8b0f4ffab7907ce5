//! Layers of a root that its own file takes away: mounts below the old root, which end with it.
//!
//! A union's daemon opens its layers by path, in the vassal's mount namespace. A layer that is a mount of its own stands there as
//! long as the old root does: `umount:/.old_root rec,detach` takes it away, and the union answers as if it were empty. An overlay of
//! the kernel's holds its layers, and is safe.

use crate::{Asked, Hook, Origin, VassalSpec, Verb};

/// Programs that serve directories they open by path.
const UNIONS: [&str; 5] = ["bindfs", "mergerfs", "unionfs", "unionfs-fuse", "unionfs-fuse2"];

/// What unmounts the old root, and the layers that may go with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenAway {
    /// The line that unmounts it.
    pub by: Origin,
    /// `umount:/.old_root`
    pub words: String,
    /// Paths on the host that a union's command names, and its line.
    pub layers: Vec<Asked<String>>,
}

/// None: the old root is not left, stays, or no union stands on it.
#[must_use]
pub fn taken_away(spec: &VassalSpec) -> Option<TakenAway> {
    let pivot = &spec.jail.pivot_root.as_ref()?.value;
    let new = pivot.new.trim_end_matches('/');
    let old = pivot.old.strip_prefix(new)?.trim_end_matches('/');
    let unmounts = |hook: &&Hook| matches!(&hook.verb.value, Verb::Umount { target, .. } if target.trim_end_matches('/') == old);
    let by = spec.jail.hooks.iter().find(unmounts)?;
    let mut layers = Vec::new();
    for hook in &spec.jail.hooks {
        let (Verb::Exec(line) | Verb::SafeExec(line)) = &hook.verb.value else { continue };
        let mut words = line.split([' ', '\t', ';', '&', '|', '(']);
        if words.any(|word| UNIONS.contains(&word.rsplit('/').next().unwrap_or_default())) {
            let base = line.split("chroot=").nth(1).and_then(|rest| rest.split([',', ' ', '\t']).next()).unwrap_or_default();
            let base = base.trim_end_matches('/');
            let named = paths(line).filter(|path| path != new && path != base);
            let named = named.map(|path| format!("{base}{path}")).chain((!base.is_empty()).then(|| base.to_owned()));
            layers.extend(named.map(|path| Asked::new(path, hook.verb.at.clone())));
        }
    }
    let words = format!("umount:{old}");
    (!layers.is_empty()).then(|| TakenAway { by: by.verb.at.clone(), words, layers })
}

/// The paths behind the first word of a command line.
pub(crate) fn paths(line: &str) -> impl Iterator<Item = String> + '_ {
    let words = line.trim_start().split_once([' ', '\t']).map_or("", |(_, words)| words);
    let words = words.split(|c: char| c.is_whitespace() || "=:,;&|()\"'".contains(c));
    words.filter(|word| word.len() > 1 && word.starts_with('/')).map(|word| word.trim_end_matches('/').to_owned())
}
