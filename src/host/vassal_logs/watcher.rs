//! What changes in the directories of logs, for all who follow: one inotify instance, because a user has few of them (128).
//!
//! It is there as long as somebody follows. Where none can be had, or no watch, a follower looks again after [`POLL`].

use std::{
    collections::HashMap,
    fs, io,
    os::{
        fd::{AsRawFd, BorrowedFd},
        unix::fs::MetadataExt,
    },
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::StreamExt;
use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask, Watches};
use nix::sys::stat::fstat;
use tokio::{sync::Notify, task::AbortHandle, time::sleep};

/// How often one looks that cannot watch.
const POLL: Duration = Duration::from_millis(500);

/// What happens in a followed directory, and to itself.
const CHANGES: WatchMask = WatchMask::MODIFY
    .union(WatchMask::CREATE)
    .union(WatchMask::MOVED_TO)
    .union(WatchMask::DELETE)
    .union(WatchMask::MOVE_SELF)
    .union(WatchMask::DELETE_SELF);

/// Where followers find the instance.
#[derive(Clone, Debug, Default)]
pub(super) struct Watcher(Arc<Mutex<Weak<Instance>>>);

/// The instance, while somebody holds it.
#[derive(Debug)]
pub(super) struct Instance {
    watches: Watches,
    /// A directory is watched once, however many follow it.
    followers: Mutex<HashMap<WatchDescriptor, Vec<Arc<Signal>>>>,
    reader: OnceLock<AbortHandle>,
}

#[derive(Debug, Default)]
struct Signal {
    changed: Notify,
    is_put_aside: AtomicBool,
}

/// What one follower hears. Dropped, its directory is watched for the others only.
#[derive(Debug)]
pub(super) enum Changes {
    Watched(Watched),
    Polled,
}

#[derive(Debug)]
pub(super) struct Watched {
    instance: Arc<Instance>,
    at: WatchDescriptor,
    signal: Arc<Signal>,
}

impl Watcher {
    /// The instance; made by the first who follows, on the runtime that calls. None: there is none to be had.
    pub(super) fn instance(&self) -> Option<Arc<Instance>> {
        let mut present = lock(&self.0);
        if let Some(instance) = present.upgrade() {
            return Some(instance);
        }
        let instance = Instance::start().inspect_err(|error| tracing::debug!(target: "control", "inotify: {error}")).ok()?;
        *present = Arc::downgrade(&instance);
        Some(instance)
    }
}

impl Instance {
    fn start() -> io::Result<Arc<Self>> {
        let inotify = Inotify::init()?;
        let watches = inotify.watches();
        let mut events = inotify.into_event_stream(vec![0; 4096])?;
        let instance = Arc::new(Self { watches, followers: Mutex::default(), reader: OnceLock::new() });
        let weak = Arc::downgrade(&instance);
        let reader = tokio::spawn(async move {
            while let Some(event) = events.next().await {
                let Some(instance) = weak.upgrade() else { return };
                match event {
                    Ok(event) => instance.tell(&event.wd, event.mask),
                    Err(_) => instance.tell_all(), // what it was is lost
                }
            }
        });
        instance.reader.set(reader.abort_handle()).ok();
        Ok(instance)
    }

    /// Watches a directory that is open.
    fn watch(self: &Arc<Self>, directory: BorrowedFd<'_>) -> io::Result<Watched> {
        // Held until it is known who follows: no event comes before.
        let mut followers = lock(&self.followers);
        let path = format!("/proc/self/fd/{}", directory.as_raw_fd());
        let at = self.watches.clone().add(path, CHANGES)?;
        let signal = Arc::<Signal>::default();
        followers.entry(at.clone()).or_default().push(Arc::clone(&signal));
        drop(followers);
        Ok(Watched { instance: Arc::clone(self), at, signal })
    }

    fn tell(&self, at: &WatchDescriptor, mask: EventMask) {
        if mask.contains(EventMask::Q_OVERFLOW) {
            return self.tell_all();
        }
        let is_put_aside = mask.intersects(EventMask::MOVE_SELF | EventMask::DELETE_SELF | EventMask::IGNORED);
        for signal in lock(&self.followers).get(at).into_iter().flatten() {
            signal.tell(is_put_aside);
        }
    }

    fn tell_all(&self) {
        lock(&self.followers).values().flatten().for_each(|signal| signal.tell(false));
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(reader) = self.reader.get() {
            reader.abort();
        }
    }
}

impl Signal {
    fn tell(&self, is_put_aside: bool) {
        self.is_put_aside.fetch_or(is_put_aside, Ordering::AcqRel);
        self.changed.notify_one();
    }
}

impl Changes {
    /// Of a directory that is open; polled where it cannot be watched.
    pub(super) fn of(instance: Option<&Arc<Instance>>, directory: BorrowedFd<'_>) -> Self {
        match instance.map(|instance| instance.watch(directory)) {
            Some(Ok(watched)) => Self::Watched(watched),
            Some(Err(_)) | None => Self::Polled,
        }
    }

    /// Waits until something may have changed. True: the directory itself was put aside.
    pub(super) async fn next(&self) -> bool {
        match self {
            Self::Watched(Watched { signal, .. }) => {
                signal.changed.notified().await;
                signal.is_put_aside.load(Ordering::Acquire)
            }
            Self::Polled => {
                sleep(POLL).await;
                false
            }
        }
    }

    pub(super) fn is_polled(&self) -> bool {
        matches!(self, Self::Polled)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut followers = lock(&self.instance.followers);
        if let Some(others) = followers.get_mut(&self.at) {
            others.retain(|signal| !Arc::ptr_eq(signal, &self.signal));
            if others.is_empty() {
                followers.remove(&self.at);
                self.instance.watches.clone().remove(self.at.clone()).ok(); // it may have gone with its directory
            }
        }
    }
}

/// Whether the directory that is open is the one at this path. Blocks.
pub(super) fn is_at(directory: BorrowedFd<'_>, path: &Path) -> bool {
    let open = fstat(directory).map(|stat| (stat.st_dev, stat.st_ino));
    open.is_ok_and(|open| fs::metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == open))
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
