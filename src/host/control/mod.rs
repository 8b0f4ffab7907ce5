//! The control socket: HTTP over a unix socket, for `liege status` and its sisters.
//!
//! It has a thread and a runtime of its own, so that nobody who floods it takes time from the loop; what reaches the loop is
//! one snapshot or one request at a time. The socket is open to everybody (0666) and tells who is who by the peer's uid, which
//! the kernel vouches for, and by where the peer's process lives, which decides what that uid is worth.
//!
//! * `socket.rs`: its file
//! * `guest.rs`, `rooms.rs`: who comes in, how many, for how long
//! * `asker.rs`: what its uid is worth
//! * `routes.rs`, `asked.rs`, `openapi.rs`: the table of requests, what they say, and its description
//! * `orders.rs`, `views.rs` (with `looks.rs`, `walks.rs`), `stream.rs`, `log.rs`: what is done about them

mod asked;
mod asker;
mod guest;
mod log;
mod looks;
mod openapi;
mod orders;
mod rooms;
mod routes;
mod socket;
mod stream;
#[cfg(test)]
mod tests;
mod views;
mod walks;

use std::{path::Path, sync::Arc};

use anyhow::Context;
use tokio::{net::UnixListener, sync::mpsc};

use crate::{deaths::Records, events::Events, inbox::Post, server::Server, vassal_logs::VassalLogs};
pub(crate) use asker::Family;
use guest::{Door, Peer};
use looks::Looks;
use socket::Socket;
use walks::Walks;

/// What whoever asks is answered from.
#[derive(Clone, Debug)]
pub(crate) struct House {
    post: Post,
    looks: Looks,
    walks: Walks,
    events: Events,
    records: Records,
    logs: Arc<VassalLogs>,
}

impl House {
    pub(crate) fn new(post: Post, events: Events, records: Records, logs: Arc<VassalLogs>) -> Self {
        Self { looks: Looks::new(post.clone(), events.clone()), walks: Walks::default(), post, events, records, logs }
    }
}

/// The served socket. Dropped, it is gone, file and thread.
#[derive(Debug)]
pub(crate) struct Control {
    socket: Arc<Socket>,
    /// Dropped after the file is gone.
    _server: Server,
}

impl Control {
    /// Binds and serves. A socket left behind by an emperor that was killed is replaced; one that answers is not.
    ///
    /// # Errors
    /// Somebody else's socket or file is there, or the directory is missing.
    pub(crate) fn serve(path: &Path, house: House, family: Family) -> anyhow::Result<Self> {
        let step = || format!("the control socket {} (emperor-control)", path.display());
        let (socket, listener) = Socket::bind(path).with_context(step)?;
        let kept = Arc::clone(&socket);
        let server = Server::start("control", move || async move {
            let app = routes::router(house).into_make_service_with_connect_info::<Peer>();
            let (renew, renewed) = mpsc::channel(1);
            tokio::spawn(socket::keep(kept, renew));
            axum::serve(Door::new(UnixListener::from_std(listener)?, renewed, family), app).await
        });
        Ok(Self { socket, _server: server.with_context(step)? })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.socket.take_away();
    }
}
