//! Layers of a root that its own file takes away: mounts below the old root, which end with it.
//!
//! A union's daemon opens its layers by path, in the vassal's mount namespace. A layer that is a mount of its own stands there as
//! long as the old root does: `umount:/.old_root rec,detach` takes it away, and the union answers as if it were empty. An overlay of
//! the kernel's holds its layers, and bindfs the directory it shows: both are safe.
//!
//! A layer is a source of the command. Its target, the last word, is none, and what lies below the new root stays with it.

use std::path::Path;

use crate::{Asked, Hook, Origin, VassalSpec, Verb};

/// Programs that serve directories they open by path.
const UNIONS: [&str; 4] = ["mergerfs", "unionfs", "unionfs-fuse", "unionfs-fuse2"];

/// What unmounts the old root, and the layers that may go with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenAway {
    /// The line that unmounts it.
    pub by: Origin,
    /// `umount:/.old_root`
    pub words: String,
    /// What a union's command names.
    pub layers: Vec<Layer>,
}

/// A directory that a union serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its path on the host, and the line of the command.
    pub path: Asked<String>,
    /// The directory the union is rooted in (`chroot=`), or nothing: its daemon keeps the mount that this lies on.
    root: String,
}

impl Layer {
    /// The directories that take it with them where they are mounts: itself first, then those it lies in.
    fn points(&self) -> impl Iterator<Item = &str> {
        let above = Path::new(&self.path.value).ancestors().filter_map(Path::to_str);
        let root = Path::new(&self.root);
        above.take_while(move |point| point.len() > 1 && Path::new(point) != root && Path::new(point).starts_with(root))
    }
}

impl TakenAway {
    /// Each directory that takes a layer with it where it is a mount.
    pub fn points(&self) -> impl Iterator<Item = &str> {
        self.layers.iter().flat_map(Layer::points)
    }

    /// The layers that are lost, each with the mount that takes it along: itself, or one that it lies in.
    #[must_use]
    pub fn lost(&self, is_mounted: impl Fn(&str) -> bool) -> Vec<(&Asked<String>, &str)> {
        let lost = |layer: &'_ Layer| layer.points().find(|point| is_mounted(point)).map(str::len);
        let all = self.layers.iter().filter_map(|layer| Some((&layer.path, &layer.path.value[..lost(layer)?])));
        all.collect()
    }
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
        for Union { root, sources } in line.split([';', '&', '|', '(', ')']).filter_map(Union::of) {
            let paths = sources.into_iter().map(|source| format!("{root}{source}"));
            let leaves = paths.filter(|path| !Path::new(path).starts_with(new));
            layers.extend(leaves.map(|path| Layer { path: Asked::new(path, hook.verb.at.clone()), root: root.clone() }));
        }
    }
    let words = format!("umount:{old}");
    (!layers.is_empty()).then(|| TakenAway { by: by.verb.at.clone(), words, layers })
}

/// One command that mounts a union.
struct Union {
    /// `chroot=`: its sources are named from there. Empty: from the root.
    root: String,
    sources: Vec<String>,
}

impl Union {
    /// `unionfs-fuse -o OPTIONS SOURCE=RW:SOURCE=RO TARGET`. None: another command.
    fn of(command: &str) -> Option<Self> {
        let mut words = command.split_whitespace().map(|word| word.trim_matches(['"', '\'']));
        words.find(|word| UNIONS.contains(&word.rsplit('/').next().unwrap_or_default()))?;
        let (mut options, mut operands) = (Vec::new(), Vec::new());
        while let Some(word) = words.next().filter(|word| !word.contains(['<', '>'])) {
            match word.strip_prefix("-o") {
                Some("") => options.extend(words.next()),
                Some(joined) => options.push(joined),
                None if word.starts_with('-') => {}
                None => operands.push(word),
            }
        }
        operands.pop(); // its target
        let root = options.iter().flat_map(|options| options.split(',')).find_map(|option| option.strip_prefix("chroot="));
        let source = |branch: &str| branch.split('=').next().unwrap_or_default().trim_end_matches('/').to_owned();
        let sources = operands.iter().flat_map(|operand| operand.split(':')).map(source).filter(|path| path.starts_with('/'));
        Some(Self { root: root.unwrap_or_default().trim_end_matches('/').to_owned(), sources: sources.collect() })
    }
}

/// The paths behind the first word of a command line.
pub(crate) fn paths(line: &str) -> impl Iterator<Item = String> + '_ {
    let words = line.trim_start().split_once([' ', '\t']).map_or("", |(_, words)| words);
    let words = words.split(|c: char| c.is_whitespace() || "=:,;&|()\"'".contains(c));
    words.filter(|word| word.len() > 1 && word.starts_with('/')).map(|word| word.trim_end_matches('/').to_owned())
}
