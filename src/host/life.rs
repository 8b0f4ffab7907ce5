//! One life of one vassal, from the clone to its last word: the task that owns its channel.
//!
//! The order in which the core hears of a life is fixed here: `Spawned`, then what init reports, then `Exited`. Init's last
//! words may still lie in the socket when its end is known, so they are read before the end is told. Init is the only holder
//! of its end (close-on-exec in it), and it is reaped by then: what can be read without waiting is all there is.
//!
//! A vassal without a pid namespace may leave orphans to us; they are swept before the end is told, so that "ended" means that
//! nothing of it runs. Who sleeps in the kernel beyond all signals is told of, and not waited for. Where that keeps init from being reaped the
//! end of the daemon takes it for reaped ([`Children::leave_behind`]).

use std::{
    convert::Infallible,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream as StdStream,
    },
    sync::{Arc, OnceLock},
};

use liege_core::{Event, Name};
use liege_spec::{Cgroups, Namespaces};
use liege_sys::{
    clone::{BirthError, BirthStage, Child},
    mountinfo,
};
use tokio::{net::UnixStream, sync::mpsc};

use crate::{
    birthplace::Birthplace,
    cgroup::{Membership, Refused, Register},
    channel::Channel,
    children::{Children, Ending},
    first_mounts::FirstMounts,
    inbox::{Mail, Post},
    inherited::Inherited,
    left_mounts,
    lives::Born,
    oom::{KillsAround, OomKills},
    own_program::OwnProgram,
    vassal_logs::{Place, VassalLogs, Wanted},
    workers::{LIVES, NoThread},
};

/// What a life needs of the daemon.
#[derive(Clone, Debug)]
pub(crate) struct Nursery {
    pub(crate) birthplace: Arc<Birthplace>,
    pub(crate) program: Arc<OwnProgram>,
    pub(crate) children: Arc<Children>,
    pub(crate) cgroups: Arc<Register>,
    pub(crate) logs: Arc<VassalLogs>,
    pub(crate) inherited: Arc<Inherited>,
    pub(crate) oom: Arc<KillsAround>,
    pub(crate) post: Post,
}

/// A life to begin, as in [`liege_core::Action::Spawn`].
#[derive(Debug)]
pub(crate) struct Birth {
    pub(crate) vassal: Name,
    pub(crate) birth: u64,
    pub(crate) namespaces: Namespaces,
    pub(crate) cgroups: Cgroups,
    pub(crate) log: Wanted,
    pub(crate) points: Vec<String>,
    pub(crate) watches: bool,
}

impl Nursery {
    /// Begins a life in a task of its own, which ends after the life. Its file is being read meanwhile (`reading`): the core hears
    /// of the clone when it has heard of the file, and so the life is what the file says now.
    pub(crate) fn begin(&self, begun: Birth, reading: Option<impl Future<Output = ()> + Send + 'static>) {
        tokio::spawn(self.clone().live(begun, reading));
    }

    async fn live(self, begun: Birth, reading: Option<impl Future<Output = ()>>) {
        let Birth { vassal, birth, namespaces, cgroups, log, points, watches } = begun;
        let failed = async |vassal, Refused { stage, errno, own_bound }| {
            self.post.event(Event::SpawnFailed { vassal, birth, stage, errno, own_bound }).await;
        };
        let (ours, theirs) = match pair() {
            Ok(pair) => pair,
            Err(error) => return failed(vassal, no_room("make its channel", &error)).await,
        };
        let owner = log.owner;
        let (log, promise) = match Arc::clone(&self.logs).place_in_time(vassal.clone(), log).await {
            Ok(Place::Daemon) => (None, None),
            Ok(Place::Log(place)) => (Some(place), None),
            Ok(Place::Promised(end, promise)) => (Some(end), Some(promise)),
            Err(error) => return failed(vassal, no_room("make a way for its log", &error)).await,
        };
        let clone = {
            let (nursery, vassal) = (self.clone(), vassal.clone());
            LIVES
                .run(move || {
                    let before = nursery.inherited.moment();
                    let born = nursery.bear(&vassal, namespaces, &cgroups, log.as_ref(), &theirs)?;
                    let own_list = || mountinfo::connections(born.0.pid).ok();
                    let inherited = if namespaces.mount { nursery.inherited.of(before, own_list) } else { Vec::new() };
                    // It has done nothing yet, so its list is what it was born with.
                    let is_read = watches || !points.is_empty();
                    let list = if is_read { mountinfo::text_of(born.0.pid).ok() } else { None };
                    let first_mounts = list.as_ref().filter(|_| watches).and_then(|list| FirstMounts::of(born.0.pid, list));
                    let mounted = list.filter(|_| !points.is_empty()).map(|list| {
                        let is_mounted = |point: &String| mountinfo::brief(&list).any(|mount| *mount.mount_point() == **point);
                        points.into_iter().filter(is_mounted).collect::<Vec<_>>()
                    });
                    Ok((born, inherited, mounted, first_mounts))
                })
                .await
        };
        let ((child, ending, membership), inherited, mounted, first_mounts) = match clone {
            Ok(Ok(born)) => born,
            Ok(Err(refused)) => return failed(vassal, refused).await,
            Err(NoThread) => {
                let error = io::Error::from_raw_os_error(nix::libc::EAGAIN);
                return failed(vassal, no_room("find a thread to clone it", &error)).await;
            }
        };
        let Self { program, children, post, .. } = self;
        let (outbox, queue) = mpsc::unbounded_channel();
        let exits = Arc::new(OnceLock::new());
        let born = Born {
            vassal: vassal.clone(),
            birth,
            owner,
            pid: child.pid,
            pidfd: child.pidfd,
            outbox,
            exits: Arc::clone(&exits),
            groups: membership.reach(),
            inherited,
            first_mounts,
        };
        let oom = (OomKills::of(membership.paths()), Arc::clone(&self.oom));
        let groups = membership.reach();
        if let Some(reading) = reading {
            reading.await;
        }
        if let Some(points) = mounted {
            post.event(Event::Mounted { vassal: vassal.clone(), birth, points }).await;
        }
        post.send(Mail::Born(born)).await;
        let kept = async {
            if let Some(promise) = promise {
                promise.keep().await;
            }
            std::future::pending::<Infallible>().await
        };
        let (exit, on_host) = tokio::select! {
            ended = Channel::new(ours, vassal.clone(), birth, oom, post.clone()).talk(queue, ending) => ended,
            never = kept => match never {},
        };
        if !namespaces.pid {
            // Whoever hangs on one of its mounts would survive the sweep.
            if let Some((of, asker)) = exits.get() {
                asker.abort(of.clone());
            }
            let sweeper = Arc::clone(&children);
            let swept = LIVES.finish(move || {
                groups.kill();
                sweeper.sweep()
            });
            let refusing = swept.await;
            if !refusing.is_empty() {
                tokio::spawn(Arc::clone(&children).insist(vassal.clone(), refusing, post.clone()));
            }
        }
        if !on_host.is_empty() {
            // After the sweep: a daemon that lives writes back at its unmount.
            LIVES.finish(move || left_mounts::take_away(&on_host, &program, &children)).await;
        }
        if !membership.is_empty() {
            LIVES.finish(move || drop(membership)).await;
        }
        post.event(Event::Exited { vassal, birth, exit }).await;
    }
}

impl Nursery {
    /// A clone in its namespaces and its groups. Blocks.
    fn bear(
        &self,
        vassal: &str,
        namespaces: Namespaces,
        cgroups: &Cgroups,
        log: Option<&OwnedFd>,
        channel: &StdStream,
    ) -> Result<(Child, Ending, Membership), Refused> {
        let membership = Membership::prepare(&self.cgroups, vassal, cgroups)?;
        let (child, ending) = self
            .birthplace
            .bear(&self.children, vassal, namespaces, membership.birthplace(), channel, log.map(AsFd::as_fd))
            .map_err(|BirthError { stage, errno }| {
                let errno = errno as i32;
                let own_bound = membership.bounds(stage, errno);
                let stage = match stage {
                    BirthStage::Clone => membership.clone_in_words(errno, own_bound),
                    BirthStage::Ids => "map the ids of its user namespace".to_owned(),
                    BirthStage::Fds => "hand over its fds".to_owned(),
                    BirthStage::Exec => "execute liege-init".to_owned(),
                };
                Refused { stage, errno, own_bound }
            })?;
        if let Err(refused) = membership.join(child.pid) {
            // It waits for a light that never comes. Not reaped before the loop has seen its end, so its number is its own.
            liege_sys::pidfd::signal(&child.pidfd, nix::libc::SIGKILL).ok();
            ending.blocking_recv().ok();
            return Err(refused);
        }
        Ok((child, ending, membership))
    }
}

/// The host, or the daemon, lacks something for this.
fn no_room(stage: &str, error: &io::Error) -> Refused {
    Refused { stage: stage.to_owned(), errno: error.raw_os_error().unwrap_or_default(), own_bound: false }
}

/// Our end, which never blocks, and init's, which does.
fn pair() -> io::Result<(UnixStream, StdStream)> {
    let (ours, theirs) = StdStream::pair()?;
    ours.set_nonblocking(true)?;
    Ok((UnixStream::from_std(ours)?, theirs))
}
