//! A file that is renamed is one vassal less and one more. The one under the new name waits until the one under the old name has ended:
//! it would mount what the other one still writes back, and listen where the other one still does.
//!
//! A life is waited for where it ends, and the file it was begun with is not its vassal's any more. Who waits is the first life under
//! another name with that file. Names that share a file and stay (hard links, links to one target) wait for nothing: none of them has lost
//! its file. Where many links lead to one target, as to a template, it tells nothing of who follows whom; then only the link itself counts.
//!
//! The life is waited for, and not the file: once it waits, a vassal may be edited, and waits on.

use std::collections::{BTreeMap, BTreeSet};

use crate::{FileId, Name, vassal::Vassal};

/// The life of a vassal.
pub(crate) type LifeOf = (Name, u64);

/// Who waits for whose end.
#[derive(Debug, Default)]
pub(crate) struct Succession {
    /// Vassals in a life that ends, whose file is theirs no more.
    leaving: BTreeSet<Name>,
    /// By who waits.
    waits: BTreeMap<Name, LifeOf>,
}

impl Succession {
    /// What became of a vassal; None: it is gone.
    pub(crate) fn update(&mut self, name: &Name, vassal: Option<&Vassal>) {
        if vassal.and_then(Vassal::file_given_up).is_some() {
            self.leaving.insert(name.clone());
        } else {
            self.leaving.remove(name);
        }
        if vassal.is_none() {
            self.waits.remove(name);
        }
    }

    /// A life is over: who has waited for it.
    pub(crate) fn over(&mut self, name: &Name, birth: u64) -> Vec<Name> {
        let is_over = |life: &LifeOf| life.0 == *name && life.1 == birth;
        let freed: Vec<Name> = self.waits.iter().filter(|(_, life)| is_over(life)).map(|(who, _)| who.clone()).collect();
        self.waits.retain(|_, life| !is_over(life));
        freed
    }

    /// The vassal this one waits for.
    pub(crate) fn awaited_by(&self, name: &Name) -> Option<&Name> {
        self.waits.get(name).map(|(other, _)| other)
    }

    /// Has a vassal wait, where another one with its file is leaving; whom it waits for from now on, where that is new.
    pub(crate) fn follow(&mut self, name: &Name, vassals: &BTreeMap<Name, Vassal>) -> Option<Name> {
        if self.leaving.is_empty() || self.waits.contains_key(name) {
            return None;
        }
        let wanted = vassals.get(name)?.file_wanted_anew()?;
        let had = |(other, file): &(&Vassal, FileId)| {
            let is_alone = || !vassals.iter().any(|(who, vassal)| who != name && vassal.keeps(&wanted));
            !std::ptr::eq(*other, &vassals[name]) && (file.entry == wanted.entry || file.target == wanted.target && is_alone())
        };
        let mut leaving = self.leaving.iter().filter_map(|other| vassals.get(other));
        let (other, _) = leaving.find_map(|vassal| Some((vassal, vassal.file_given_up()?)).filter(had))?;
        let life = (other.name().clone(), other.birth()?);
        self.waits.insert(name.clone(), life.clone());
        Some(life.0)
    }
}
