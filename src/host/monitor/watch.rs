//! inotify's events as an async stream, and their names.
//!
//! A scan (re)makes the watches, so an event may belong to a directory the scan has not reported yet, or to one that is watched
//! no more. Neither is known here: such an event only asks for another scan.
//!
//! Where no inotify instance is to be had there are no events, and the scans find what changes. One is tried for at each scan.

use std::{collections::HashMap, io, path::PathBuf};

use futures::StreamExt;
use inotify::{EventMask, EventOwned, EventStream, Inotify, WatchDescriptor, Watches};

use super::{file::Sign, walk::Role};

/// Room for about a hundred events with long names per read.
pub(super) const BUFFER: usize = 16 << 10;

/// What an event means for the monitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Something about names in directories of vassal files.
    Names(Vec<PathBuf>, Sign),
    /// Something only a scan can find out.
    Unclear,
    /// A watched directory is not what its path means any more: nothing known about its files can be trusted.
    Upheaval,
    /// The queue overflowed: events are lost.
    Overflow,
    /// Nothing.
    Nothing,
}

/// The stream and what its watches mean.
#[derive(Default)]
pub(super) struct Watch {
    /// None: there was no instance left, or its stream broke.
    events: Option<EventStream<Vec<u8>>>,
    /// One inode may be reached by two paths.
    directories: HashMap<WatchDescriptor, Vec<(PathBuf, Role)>>,
}

impl Watch {
    /// Gets an instance where there is none.
    ///
    /// # Errors
    /// No inotify instance left, or no fd.
    pub(super) fn open(&mut self) -> io::Result<()> {
        if self.events.is_none() {
            self.events = Some(Inotify::init()?.into_event_stream(vec![0; BUFFER])?);
        }
        Ok(())
    }

    /// For the walk, which makes the watches; None without an instance.
    pub(super) fn watches(&self) -> Option<Watches> {
        self.events.as_ref().map(EventStream::watches)
    }

    /// The watches of the last walk; all others end.
    pub(super) fn set(&mut self, watched: Vec<(WatchDescriptor, PathBuf, Role)>) {
        let Some(mut watches) = self.watches() else { return };
        let mut directories: HashMap<WatchDescriptor, Vec<(PathBuf, Role)>> = HashMap::new();
        for (descriptor, path, role) in watched {
            directories.entry(descriptor).or_default().push((path, role));
        }
        for (descriptor, _) in std::mem::replace(&mut self.directories, directories) {
            if !self.directories.contains_key(&descriptor) {
                watches.remove(descriptor).ok(); // it may have ended by itself, with its directory
            }
        }
    }

    /// The next event; for ever none without an instance.
    pub(super) async fn next(&mut self) -> Seen {
        let Some(events) = &mut self.events else { return std::future::pending().await };
        match events.next().await {
            Some(Ok(event)) => return self.name(event),
            Some(Err(error)) => tracing::error!(target: "emperor", "inotify: {error}; the rescans go on"),
            None => {}
        }
        *self = Self::default();
        Seen::Nothing
    }

    fn name(&mut self, event: EventOwned) -> Seen {
        if event.mask.contains(EventMask::Q_OVERFLOW) {
            return Seen::Overflow;
        }
        if event.mask.intersects(EventMask::DELETE_SELF | EventMask::MOVE_SELF | EventMask::UNMOUNT | EventMask::IGNORED) {
            // Forgotten at once: what happens in a directory that was moved away happens to none of our files. (One that is
            // unknown was given up by the last walk.)
            if self.directories.remove(&event.wd).is_none() {
                return Seen::Nothing;
            }
            if let Some(mut watches) = self.watches() {
                watches.remove(event.wd).ok(); // the next walk watches what is at the path then
            }
            return Seen::Upheaval;
        }
        let (Some(directories), Some(name)) = (self.directories.get(&event.wd), event.name) else { return Seen::Unclear };
        let sign = match sign(event.mask) {
            Some(sign) if directories.iter().all(|(_, role)| *role == Role::Files) => sign,
            _ => return Seen::Unclear,
        };
        if event.mask.contains(EventMask::ISDIR) {
            return Seen::Unclear; // `..data` of a ConfigMap's next version, for one
        }
        Seen::Names(directories.iter().map(|(directory, _)| directory.join(&name)).collect(), sign)
    }
}

pub(super) fn sign(mask: EventMask) -> Option<Sign> {
    let signs = [
        (EventMask::CLOSE_WRITE, Sign::Complete),
        (EventMask::MOVED_TO, Sign::Complete),
        (EventMask::CREATE, Sign::Created),
        (EventMask::MODIFY, Sign::Modified),
        (EventMask::ATTRIB, Sign::Attributes),
        (EventMask::DELETE, Sign::Deleted),
        (EventMask::MOVED_FROM, Sign::MovedAway),
    ];
    signs.iter().find(|(bit, _)| mask.contains(*bit)).map(|(_, sign)| *sign)
}
