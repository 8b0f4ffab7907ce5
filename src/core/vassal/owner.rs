//! Whose the vassal is, and who may hear of it.

use liege_plan::Identity;
use liege_spec::{Account, Jail, ProgramSpec, VassalSpec};

use super::Vassal;
use crate::{Note, compile::identity, view::UserView};

impl Vassal {
    /// The uid it shall run as: he may order it.
    pub(crate) fn owner(&self) -> Option<u32> {
        match &self.wish {
            Some(wish) => owner_of(&wish.fresh.jail),
            None => self.life.as_ref().and_then(|life| life.owner),
        }
    }

    /// Whose is what there is to see: the life's, while there is one, whoever is the next.
    pub(crate) fn seen_by(&self) -> Option<u32> {
        self.life.as_ref().map_or_else(|| self.owner(), |life| life.owner)
    }

    /// Who may hear of this beside root.
    pub(crate) fn audience(&self, note: &Note) -> Option<u32> {
        match note {
            // Quotes the file that comes, while the life is of the one that goes.
            Note::Rebuilding { .. } if self.owner() != self.seen_by() => None,
            // They are of a life that is over.
            Note::LeftBehind { .. } if self.left_behind.1 != self.seen_by() => None,
            note => note.owner().unwrap_or_else(|| self.seen_by()),
        }
    }

    pub(super) fn identified(&mut self, identity: Identity) {
        if let Some(life) = &mut self.life {
            life.found = Some(identity);
        }
    }

    /// As whom its app is started, where that is not root: the file says so, whatever has become of the app's process.
    pub(super) fn user(&self) -> Option<UserView> {
        let spec = &self.running()?.fresh;
        let found = || self.life.as_ref()?.found.clone();
        let Identity { uid, gid, groups } = identity(spec).or_else(found).filter(|_| !is_roots(spec))?;
        Some(UserView { uid, gid, groups })
    }

    /// By name to their owner; another one is only told that they are there.
    pub(super) fn survivors(&self) -> Vec<String> {
        match &self.left_behind {
            (found, owner) if found.is_empty() || *owner == self.seen_by() => found.clone(),
            (found, _) => vec![format!("{} of a former owner's processes", found.len())],
        }
    }
}

/// Whether its app is root's.
pub(super) fn is_roots(spec: &VassalSpec) -> bool {
    let keeps_root = matches!(spec.app.program, ProgramSpec::PrivilegedShell(_));
    keeps_root || owner_of(&spec.jail) == Some(0) || !spec.jail.drops()
}

/// The uid a jail is for, as far as its file tells. A name that only its own root knows is nobody's.
pub(super) fn owner_of(jail: &Jail) -> Option<u32> {
    match (&jail.identity, &jail.names) {
        (Some(identity), _) => Some(identity.value.uid),
        (None, Some(names)) => match names.value.user {
            Account::Number(uid) => Some(uid),
            Account::Name(_) => None,
        },
        (None, None) => None,
    }
}
