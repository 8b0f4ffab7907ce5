//! The vassal's own mount table, watched: a mount that comes or goes is told to the host at once.
//!
//! The kernel tells each change once, to whoever holds the table open. Held, it keeps the root busy that was init's when it was opened, and
//! shows no other: so it is let go of before the root or the namespace changes and opened again afterwards. What was there
//! before is told first, because the new root may not show it.
//!
//! Deliberately not here: which mounts are watched, and what a change means.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{Read, Seek},
    os::fd::AsFd,
    time::{Duration, Instant},
};

use liege_plan::{Act, FromInit};
use liege_sys::{
    mountinfo,
    poll::{Interest, poll},
};

/// A vassal that mounts all the time is heard so often.
const PAUSE: Duration = Duration::from_millis(50);

/// Whether an act changes which mounts init sees.
pub(crate) fn moves(act: &Act) -> bool {
    matches!(act, Act::PivotRoot { .. } | Act::Chroot(_) | Act::Unshare(_))
}

/// The table, as far as init cares.
#[derive(Debug)]
pub(crate) struct Mounts {
    /// None: there is no `/proc`, so changes are seen at the next probe only.
    table: Option<File>,
    /// FUSE connections that came with the namespace: the host's.
    inherited: BTreeSet<u32>,
    /// The table could not be opened again: own connections are taken for granted.
    is_blind: bool,
    /// After a change: until then nobody looks.
    silent_until: Option<Instant>,
}

impl Mounts {
    /// From now on.
    pub(crate) fn watched() -> Self {
        let mut mounts = Self {
            table: File::open("/proc/self/mountinfo").ok(),
            inherited: BTreeSet::new(),
            is_blind: false,
            silent_until: None,
        };
        mounts.inherited = mounts.connections();
        mounts
    }

    /// What to wait for.
    pub(crate) fn interest(&self, now: Instant) -> Option<Interest<'_>> {
        let table = self.table.as_ref().filter(|_| self.silent_until(now).is_none())?;
        Some(Interest::changed(table.as_fd()))
    }

    /// When to wait for it again; what happens meanwhile is told then.
    pub(crate) fn silent_until(&self, now: Instant) -> Option<Instant> {
        self.silent_until.filter(|until| *until > now)
    }

    /// The root or the namespace is about to change. What to tell before.
    pub(crate) fn let_go(&mut self) -> Option<FromInit> {
        let news = self.own_fuse();
        self.table = None;
        news
    }

    /// It has changed.
    pub(crate) fn follow(&mut self) {
        self.table = mountinfo::watched().ok();
        self.is_blind = self.table.is_none();
    }

    /// The steps are done. What they mounted is told once, and only where a FUSE daemon could hold up the vassal's end: most
    /// vassals have nothing to tell.
    pub(crate) fn settled(&mut self) -> Option<FromInit> {
        if let Some(table) = &self.table {
            let _ = poll(&[Interest::changed(table.as_fd())], Some(Duration::ZERO)); // takes the change, if there was one
        }
        self.own_fuse()
    }

    fn own_fuse(&mut self) -> Option<FromInit> {
        let own_fuse = self.has_own_connections();
        own_fuse.then_some(FromInit::MountsChanged { own_fuse })
    }

    /// It changed: what to tell.
    pub(crate) fn changed(&mut self) -> FromInit {
        self.silent_until = Some(Instant::now() + PAUSE);
        FromInit::MountsChanged { own_fuse: self.has_own_connections() }
    }

    fn has_own_connections(&mut self) -> bool {
        self.is_blind || !self.connections().is_subset(&self.inherited)
    }

    fn connections(&mut self) -> BTreeSet<u32> {
        let mut text = Vec::new();
        if let Some(table) = &mut self.table {
            // What cannot be read is a table without mounts, and the next change is another chance.
            let _ = table.rewind().and_then(|()| table.read_to_end(&mut text));
        }
        mountinfo::parse(&text).iter().filter(|mount| mount.is_fuse()).map(|mount| mount.device.1).collect()
    }
}
