//! What happens to the files that links among the vassal files lead to.
//!
//! A second inotify instance, made when the first link is seen and dropped with the last one. It is apart from the instance for
//! the monitor's own directories because what links lead to may be a tenant's: whatever is written there, events of the
//! vassals' directory are neither delayed nor lost.
//!
//! * [`Follow::tracker`] before a look: makes the watches, on the look's thread.
//! * [`Follow::settle`] after it: remembers what they are for.
//! * [`Follow::next`]: names of vassal files and what happened to what they lead to.
//!
//! Race: a watch may tell something, or end, before its look has come back. Such a watch is remembered as *early*, and the look
//! that brings it is repeated. The kernel never uses the number of a watch again, so an early watch is never mistaken.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    ffi::OsString,
    io,
    path::Path,
    sync::Arc,
};

use futures::StreamExt;
use inotify::{EventMask, EventOwned, EventStream, Inotify, WatchDescriptor};

use super::{
    file::Sign,
    trail::{Tracker, Trail},
    watch::{BUFFER, sign},
};

/// Watches of one monitor, about. The limit of root's is for all its programs, and the rescans find what is not watched.
const MOST_WATCHES: usize = 16_384;
/// Early watches that are remembered. One that is forgotten costs the time until the next rescan.
const MOST_EARLY: usize = 65_536;

/// Who wants to hear of a watch.
#[derive(Debug, Default)]
struct Listeners(HashMap<Option<OsString>, HashSet<Arc<Path>>>);

/// The links of one monitor.
#[derive(Debug, Default)]
pub(super) struct Follow {
    events: Option<EventStream<Vec<u8>>>,
    watches: HashMap<WatchDescriptor, Listeners>,
    of: HashMap<Arc<Path>, Known>,
    early: HashSet<WatchDescriptor>,
    /// How many instances there were before this one.
    instance: u64,
}

/// The way of one file.
#[derive(Debug, Default)]
struct Known {
    watched: Vec<(WatchDescriptor, Option<OsString>)>,
    /// Nothing was told of it since, and all of it is watched.
    holds: bool,
}

/// What is told of links.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Of these files.
    Files(Vec<Arc<Path>>, Sign),
    /// Events are lost: of any of them.
    Overflow,
}

impl Follow {
    /// Makes watches for a look; None where there is no inotify instance yet.
    pub(super) fn tracker(&self) -> Option<Tracker> {
        let room = MOST_WATCHES.saturating_sub(self.watches.len());
        self.events.as_ref().map(|events| Tracker { watches: events.watches(), instance: self.instance, room })
    }

    /// Gets the instance.
    ///
    /// # Errors
    /// There is none left (EMFILE).
    pub(super) fn open(&mut self) -> io::Result<()> {
        if self.events.is_none() {
            self.events = Some(Inotify::init()?.into_event_stream(vec![0; BUFFER])?);
            self.instance += 1;
        }
        Ok(())
    }

    /// A look at a file has come back with its watches. False: something was told of them meanwhile, so the look is worth nothing.
    pub(super) fn settle(&mut self, path: &Arc<Path>, trail: Trail) -> bool {
        if trail.instance != self.instance || self.events.is_none() {
            return false; // the instance went while the look was under way
        }
        let mut is_late = false;
        for (watch, name) in &trail.watched {
            is_late |= self.early.remove(watch);
            let listeners = self.watches.entry(watch.clone()).or_default();
            listeners.0.entry(name.clone()).or_default().insert(Arc::clone(path));
        }
        let known = Known { watched: trail.watched, holds: !is_late && trail.blind.is_none() };
        let before = self.of.insert(Arc::clone(path), known);
        self.give_up(path, before.unwrap_or_default().watched);
        !is_late
    }

    /// Whether the way of this file is known and nothing has happened to it since.
    pub(super) fn holds(&self, path: &Path) -> bool {
        self.of.get(path).is_some_and(|known| known.holds)
    }

    /// The links that are known.
    pub(super) fn files(&self) -> impl Iterator<Item = &Arc<Path>> {
        self.of.keys()
    }

    /// A file is no link any more, or gone.
    pub(super) fn forget(&mut self, path: &Arc<Path>) {
        if let Some(before) = self.of.remove(path) {
            self.give_up(path, before.watched);
        }
        if self.of.is_empty() {
            *self = Self { instance: self.instance, ..Self::default() };
        }
    }

    /// Ends the watches that this file had and has no more, where no other file has them.
    fn give_up(&mut self, path: &Arc<Path>, before: Vec<(WatchDescriptor, Option<OsString>)>) {
        for (watch, name) in before {
            if self
                .of
                .get(path)
                .is_some_and(|kept| kept.watched.iter().any(|(other, as_name)| *other == watch && *as_name == name))
            {
                continue;
            }
            let Entry::Occupied(mut listeners) = self.watches.entry(watch.clone()) else { continue };
            if let Entry::Occupied(mut files) = listeners.get_mut().0.entry(name) {
                files.get_mut().remove(path);
                if files.get().is_empty() {
                    files.remove();
                }
            }
            if listeners.get().0.is_empty() {
                listeners.remove();
                self.is_early(watch.clone()); // a look under way may be about to bring it
                if let Some(events) = &self.events {
                    events.watches().remove(watch).ok(); // it may have ended by itself, with what it watched
                }
            }
        }
    }

    fn is_early(&mut self, watch: WatchDescriptor) {
        if self.early.len() < MOST_EARLY {
            self.early.insert(watch);
        }
    }

    /// No look is under way: no watch can be early.
    pub(super) fn rest(&mut self) {
        self.early.clear();
    }

    /// The next event; for ever none without an instance.
    pub(super) async fn next(&mut self) -> Told {
        loop {
            let Some(events) = &mut self.events else { return std::future::pending().await };
            match events.next().await {
                Some(Ok(event)) => {
                    if let Some(told) = self.name(event) {
                        self.doubt(&told);
                        return told;
                    }
                }
                Some(Err(error)) => {
                    tracing::error!(target: "emperor", "inotify: {error}; what links lead to is found by the rescans");
                    self.events = None;
                }
                None => self.events = None,
            }
        }
    }

    fn doubt(&mut self, told: &Told) {
        match told {
            Told::Files(files, _) => {
                for file in files {
                    self.of.entry(Arc::clone(file)).and_modify(|known| known.holds = false);
                }
            }
            Told::Overflow => self.of.values_mut().for_each(|known| known.holds = false),
        }
    }

    fn name(&mut self, event: EventOwned) -> Option<Told> {
        if event.mask.contains(EventMask::Q_OVERFLOW) {
            return Some(Told::Overflow);
        }
        let Some(listeners) = self.watches.get(&event.wd) else {
            self.is_early(event.wd);
            return None;
        };
        let all = || listeners.0.values().flatten().cloned().collect();
        if event.mask.intersects(EventMask::DELETE_SELF | EventMask::MOVE_SELF | EventMask::UNMOUNT | EventMask::IGNORED) {
            return Some(Told::Files(all(), Sign::Attributes)); // the look that follows makes the watches anew
        }
        // In a directory: whatever happens to such a name, the way may lead elsewhere now.
        let sign = if event.name.is_some() { Sign::Attributes } else { sign(event.mask)? };
        let files = listeners.0.get(&event.name)?;
        Some(Told::Files(files.iter().cloned().collect(), sign))
    }
}
