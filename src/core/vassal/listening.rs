//! An app ended because an address is taken: which one, and by which process.
//!
//! It is asked when the app has ended, because by then no socket of its own listens any more, and the answer comes before the life is
//! over. The processes of a host are none of a tenant's business: where the holder is not the same owner's, only root is told of it.

use liege_plan::Notice;

use super::{Phase, Vassal};
use crate::{
    Action, Address, Cause, Listener, Name,
    address::{named_by, named_in},
    emperor::Context,
};

/// The vassal a process belongs to.
#[derive(Debug)]
pub(crate) struct Whose {
    vassal: Name,
    owner: Option<u32>,
    changes_root: bool,
}

impl Vassal {
    /// What of it must be known to name it as the holder of a socket, if this is its init.
    pub(crate) fn whose(&self, init: i32) -> Option<Whose> {
        let life = self.life.as_ref().filter(|life| life.pid == Some(init))?;
        let changes_root = life.running.as_ref().is_some_and(|config| config.fresh.jail.changes_root());
        Some(Whose { vassal: self.name.clone(), owner: life.owner, changes_root })
    }

    /// Asks for the addresses it may have wanted.
    pub(super) fn ask_what_listens(&self, cx: &mut Context<'_>) {
        let wanted = self.wanted(cx);
        if let Some(birth) = self.birth().filter(|_| !wanted.is_empty()) {
            cx.act(Action::FindListeners { vassal: self.name.clone(), birth, wanted });
        }
    }

    /// The address its line names, else those its file names; none where it has not failed of that, or none can be found.
    fn wanted(&self, cx: &Context<'_>) -> Vec<Address> {
        let Some((life, config)) = self.life.as_ref().and_then(|life| Some((life, life.running.as_ref()?))) else {
            return Vec::new();
        };
        let jail = &config.fresh.jail;
        let is_apart =
            cx.settings.namespaces.net || [&jail.unshare, &jail.unshare2].into_iter().flatten().any(|asked| asked.value.net);
        // In a network namespace of its own what listens is its own.
        if is_apart || !matches!(life.cause, Some(Cause::AddressInUse { .. })) {
            return Vec::new();
        }
        let said = life.doubts.line(Notice::AddressInUse).map(named_in).unwrap_or_default();
        let mut wanted = if said.is_empty() { named_by(&config.fresh) } else { said };
        if jail.changes_root() {
            // A path means something else out there.
            wanted.retain(|address| !is_a_file(address));
        }
        wanted
    }

    /// What was found, each with the vassal whose process holds it.
    pub(crate) fn listening(&mut self, found: Vec<(Option<Whose>, Listener)>, cx: &mut Context<'_>) {
        let wanted = self.wanted(cx);
        match self.phase {
            Phase::Stopping | Phase::Killing => {
                let Some(life) = &mut self.life else { return };
                let Some(Cause::AddressInUse { what, place, by, roots_alone, .. }) = &mut life.cause else { return };
                let mut found = found.into_iter();
                let Some((whose, listener)) = found.find(|(whose, listener)| means_the_same(whose.as_ref(), listener)) else {
                    // To a path that is there nothing can be bound, whether something listens on it or not.
                    if let [address] = &wanted[..]
                        && is_a_file(address)
                    {
                        *place = Some(address.to_string());
                        what.push_str(
                            "; nothing listens there: where an earlier run has left it behind, remove it before the start",
                        );
                    }
                    return;
                };
                *place = Some(listener.address.to_string());
                let Some(holder) = listener.holder else { return };
                let process = (holder.name, holder.pid);
                *roots_alone = whose.as_ref().is_none_or(|whose| whose.owner.is_none() || whose.owner != life.owner);
                *by = Some(match (whose, process) {
                    (Some(whose), (name, pid)) if whose.vassal == self.name => {
                        format!("a process of its own, {name} (pid {pid})")
                    }
                    (Some(whose), (name, pid)) => format!("the vassal {} ({name}, pid {pid})", whose.vassal),
                    (None, (name, pid)) => format!("{name} (pid {pid})"),
                });
            }
            // Its end was over before, or there was none.
            Phase::Waiting
            | Phase::Spawning
            | Phase::Preparing
            | Phase::Running
            | Phase::Reloading
            | Phase::Suspended
            | Phase::Gone => {}
        }
    }
}

/// A path is another file in another root.
fn means_the_same(whose: Option<&Whose>, listener: &Listener) -> bool {
    match &listener.holder {
        Some(holder) if is_a_file(&listener.address) => whose.map_or(holder.sees_our_mounts, |whose| !whose.changes_root),
        Some(_) | None => true,
    }
}

/// A unix socket with a path, not with an abstract name.
fn is_a_file(address: &Address) -> bool {
    matches!(address, Address::Path(path) if path.starts_with('/'))
}
