//! The lives that have a process: what the loop holds of each of them.
//!
//! A life is named by its birth, a number the core gives once. Two fds each: the pidfd here, the channel in the life's task.

use std::{
    collections::HashMap,
    os::fd::OwnedFd,
    sync::{Arc, OnceLock},
};

use liege_core::{Address, Check, Event, Name};
use liege_plan::ToInit;
use liege_sys::descendants::started;
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{
    cgroup::Reach,
    checks::{Checks, Means},
    children::{Children, Left},
    first_mounts::FirstMounts,
    inbox::Post,
    listeners::Listeners,
    prober::{Asker, Examined, Inherited, Instance},
    workers::LIVES,
};

/// A clone that lives, on its way to the register.
#[derive(Debug)]
pub(crate) struct Born {
    /// Whose.
    pub(crate) vassal: Name,
    /// Which birth.
    pub(crate) birth: u64,
    /// The uid in its file.
    pub(crate) owner: Option<u32>,
    /// Its pid.
    pub(crate) pid: i32,
    /// Its pidfd.
    pub(crate) pidfd: OwnedFd,
    /// Where its task takes what is to be written to init.
    pub(crate) outbox: mpsc::UnboundedSender<ToInit>,
    /// Filled when it has FUSE mounts of its own: its task needs them at its end.
    pub(crate) exits: Exits,
    /// What ends all of it at once.
    pub(crate) groups: Reach,
    /// The FUSE connections it was born with.
    pub(crate) inherited: Vec<Inherited>,
    /// All mounts it was born with, where it watches any.
    pub(crate) first_mounts: Option<FirstMounts>,
}

/// The life as the prober knows it, and the prober that holds the exits of its FUSE connections.
pub(crate) type Exits = Arc<OnceLock<(Instance, Asker)>>;

/// One life.
#[derive(Debug)]
struct Life {
    pid: i32,
    pidfd: OwnedFd,
    outbox: mpsc::UnboundedSender<ToInit>,
    checks: Checks,
    exits: Exits,
    groups: Reach,
    inherited: Vec<Inherited>,
    /// What listens where its app wanted to is being looked up.
    lookup: Option<Lookup>,
}

/// Holds the end of a life until it is done.
#[derive(Debug)]
struct Lookup {
    task: JoinHandle<()>,
    post: Post,
}

impl Life {
    /// As the prober knows it, and the prober.
    fn secured(&self, birth: u64, means: &Means) -> (Instance, Asker) {
        let secured = self.exits.get_or_init(|| {
            // Our child, and not reaped while it stands here: the pid is its own.
            let born = started(self.pid).unwrap_or_default();
            (Instance { birth, pid: self.pid, born, inherited: self.inherited.clone() }, means.prober.asker())
        });
        secured.clone()
    }
}

/// All of them, by birth. An action for one that is not here comes too late, which is nobody's fault.
#[derive(Debug, Default)]
pub(crate) struct Lives(HashMap<u64, Life>);

impl Lives {
    pub(crate) fn register(&mut self, born: Born) {
        let Born { vassal, birth, owner, pid, pidfd, outbox, exits, groups, inherited, first_mounts } = born;
        let checks = Checks::new(vassal, birth, owner, first_mounts);
        self.0.insert(birth, Life { pid, pidfd, outbox, checks, exits, groups, inherited, lookup: None });
    }

    /// Queues a message for init. The queue has no end, so that the loop never waits for one vassal; only the core's own
    /// messages get there, a handful in a life.
    pub(crate) fn tell(&self, birth: u64, message: ToInit) {
        if let Some(life) = self.0.get(&birth) {
            life.outbox.send(message).ok();
        }
    }

    /// SIGKILL to init, and to all in a group of its own. By its pidfd: never to a stranger. Its FUSE connections are ended too:
    /// whoever hangs on one is beyond SIGKILL. Whether it has any.
    pub(crate) fn kill(&self, birth: u64) -> bool {
        let Some(life) = self.0.get(&birth) else { return false };
        let exits = life.exits.get();
        if let Some((of, asker)) = exits {
            asker.abort(of.clone());
        }
        if !life.groups.is_empty() {
            let groups = life.groups.clone();
            tokio::spawn(LIVES.finish(move || groups.kill()));
        }
        if let Err(errno) = liege_sys::pidfd::signal(&life.pidfd, nix::libc::SIGKILL)
            && errno != nix::errno::Errno::ESRCH
        {
            tracing::error!(target: "emperor", pid = life.pid, "kill: {errno}");
        }
        exits.is_some()
    }

    /// Watches these mounts of a life, and no others.
    pub(crate) fn watch(&mut self, birth: u64, checks: Vec<Check>, means: &Means) {
        if let Some(life) = self.0.get_mut(&birth) {
            life.checks.set(life.pid, checks, means);
        }
    }

    /// Probes all watched mounts of a life now.
    pub(crate) fn probe_now(&self, birth: u64) {
        if let Some(life) = self.0.get(&birth) {
            life.checks.probe_now();
        }
    }

    /// Gets hold of the emergency exits of a life's FUSE connections.
    pub(crate) fn secure(&self, vassal: Name, birth: u64, number: u32, means: &Means) {
        let Some((of, asker)) = self.0.get(&birth).map(|life| life.secured(birth, means)) else { return };
        let (secured, post) = (asker.secure(of), means.post.clone());
        tokio::spawn(async move {
            if secured.await.is_ok() {
                post.event(Event::Secured { vassal, birth, number }).await;
            }
        });
    }

    /// Finds out who holds up the end of a life.
    pub(crate) fn examine(&self, vassal: Name, birth: u64, means: &Means) {
        let Some((of, asker)) = self.0.get(&birth).map(|life| life.secured(birth, means)) else { return };
        let post = means.post.clone();
        tokio::spawn(async move {
            if let Some(Examined { found, is_stuck }) = asker.examine(of).await {
                post.event(Event::Examined { vassal, birth, found, is_stuck }).await;
            }
        });
    }

    /// Init does not die of SIGKILL: its task waits for it no longer.
    pub(crate) fn leave_behind(&self, vassal: &Name, birth: u64, found: &[String], children: &Children) {
        let Some(life) = self.0.get(&birth) else { return };
        if let Ok(pidfd) = life.pidfd.try_clone() {
            children.leave_behind(life.pid, Left { vassal: vassal.clone(), found: found.to_owned(), pidfd });
        }
    }

    /// Finds out what listens where the app of a life wanted to.
    pub(crate) fn find_listeners(&mut self, vassal: Name, birth: u64, wanted: Vec<Address>, listeners: &Listeners, post: &Post) {
        let Some(life) = self.0.get_mut(&birth) else { return };
        let (finding, post) = (listeners.find(wanted), post.clone());
        let task = tokio::spawn({
            let post = post.clone();
            async move {
                if let Some(found) = finding.await {
                    post.event(Event::Listening { vassal, birth, found }).await;
                }
            }
        });
        life.lookup = Some(Lookup { task, post });
    }

    /// Gives the event back, unless something is looked up for this life: then it comes again behind the answer.
    pub(crate) fn put_off(&mut self, birth: u64, event: Event) -> Option<Event> {
        let Some(Lookup { task, post }) = self.0.get_mut(&birth).and_then(|life| life.lookup.take()) else { return Some(event) };
        tokio::spawn(async move {
            task.await.ok(); // it is bounded
            post.event(event).await;
        });
        None
    }

    /// Drops everything held of a life.
    pub(crate) fn release(&mut self, birth: u64) {
        if let Some(life) = self.0.remove(&birth)
            && let Some((of, asker)) = life.exits.get()
        {
            asker.forget(of.clone());
        }
    }
}
