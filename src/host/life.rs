//! One life of one vassal, from the clone to its last word: the task that owns its channel.
//!
//! The order in which the core hears of a life is fixed here: `Spawned`, then what init reports, then `Exited`. Init's last
//! words may still lie in the socket when its end is known, so they are read before the end is told. Init is the only holder
//! of its end (close-on-exec in it), and it is reaped by then: what can be read without waiting is all there is.
//!
//! A vassal without a pid namespace may leave orphans to us; they are swept before the end is told, so that "ended" always
//! means that nothing of it runs.

use std::{
    io,
    os::unix::net::UnixStream as StdStream,
    sync::{Arc, OnceLock},
};

use liege_core::{Event, Name};
use liege_spec::Namespaces;
use liege_sys::clone::{BirthError, BirthStage};
use tokio::{net::UnixStream, sync::mpsc, task::spawn_blocking};

use crate::{
    birthplace::Birthplace,
    channel::Channel,
    children::Children,
    inbox::{Mail, Post},
    lives::Born,
};

/// What a life needs of the daemon.
#[derive(Clone, Debug)]
pub(crate) struct Nursery {
    pub(crate) birthplace: Arc<Birthplace>,
    pub(crate) children: Arc<Children>,
    pub(crate) post: Post,
}

impl Nursery {
    /// Begins a life in a task of its own, which ends after the life.
    pub(crate) fn begin(&self, vassal: Name, birth: u64, namespaces: Namespaces) {
        tokio::spawn(self.clone().live(vassal, birth, namespaces));
    }

    async fn live(self, vassal: Name, birth: u64, namespaces: Namespaces) {
        let Self { birthplace, children, post } = self;
        let (ours, theirs) = match pair() {
            Ok(pair) => pair,
            Err(error) => {
                let (stage, errno) = ("make its channel".to_owned(), error.raw_os_error().unwrap_or_default());
                return post.event(Event::SpawnFailed { vassal, birth, stage, errno }).await;
            }
        };
        let clone = {
            let (children, vassal) = (Arc::clone(&children), vassal.clone());
            spawn_blocking(move || birthplace.bear(&children, &vassal, namespaces, &theirs)).await
        };
        let (child, ending) = match clone {
            Ok(Ok(born)) => born,
            Ok(Err(BirthError { stage, errno })) => {
                return post
                    .event(Event::SpawnFailed { vassal, birth, stage: words(stage).to_owned(), errno: errno as i32 })
                    .await;
            }
            Err(_) => return, // the runtime is ending
        };
        let (outbox, queue) = mpsc::unbounded_channel();
        let exits = Arc::new(OnceLock::new());
        let born = Born { vassal: vassal.clone(), birth, pid: child.pid, pidfd: child.pidfd, outbox, exits: Arc::clone(&exits) };
        post.send(Mail::Born(born)).await;
        let exit = Channel::new(ours, vassal.clone(), birth, post.clone()).talk(queue, ending).await;
        if !namespaces.pid {
            // Whoever hangs on one of its mounts would survive the sweep.
            if let Some((of, asker)) = exits.get() {
                asker.abort(*of);
            }
            spawn_blocking(move || children.sweep()).await.ok();
        }
        post.event(Event::Exited { vassal, birth, exit }).await;
    }
}

/// Our end, which never blocks, and init's, which does.
fn pair() -> io::Result<(UnixStream, StdStream)> {
    let (ours, theirs) = StdStream::pair()?;
    ours.set_nonblocking(true)?;
    Ok((UnixStream::from_std(ours)?, theirs))
}

/// The stage in words; the core adds the error.
fn words(stage: BirthStage) -> &'static str {
    match stage {
        BirthStage::Clone => "clone into new namespaces",
        BirthStage::Fds => "hand over its fds",
        BirthStage::Exec => "execute liege-init",
    }
}
