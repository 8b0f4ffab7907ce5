//! The control socket: HTTP over a unix socket, for `liege status` and its sisters.
//!
//! It has a thread and a runtime of its own, so that nobody who floods it takes time from the loop; what reaches the loop is
//! one snapshot or one request at a time. The socket is open to everybody (0666) and tells who is who by the peer's uid, which
//! the kernel vouches for, and by where the peer's process lives, which decides what that uid is worth.
//!
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
mod stream;
#[cfg(test)]
mod tests;
mod views;
mod walks;

use std::{
    fs,
    os::unix::{fs::PermissionsExt, net::UnixListener as StdListener},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail};
use tokio::net::UnixListener;

use crate::{deaths::Records, events::Events, inbox::Post, server::Server, vassal_logs::VassalLogs};
pub(crate) use asker::Family;
use guest::{Door, Peer};
use looks::Looks;
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
    path: PathBuf,
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
        let listener = bind(path).with_context(step)?;
        let server = Server::start("control", move || async move {
            let app = routes::router(house).into_make_service_with_connect_info::<Peer>();
            axum::serve(Door::new(UnixListener::from_std(listener)?, family), app).await
        });
        Ok(Self { path: path.to_owned(), _server: server.with_context(step)? })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        fs::remove_file(&self.path).ok();
    }
}

fn bind(path: &Path) -> anyhow::Result<StdListener> {
    use std::os::unix::fs::FileTypeExt;
    if let Ok(there) = fs::symlink_metadata(path) {
        if !there.file_type().is_socket() {
            bail!("there is something else at this path");
        }
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            bail!("somebody serves it: does another emperor run?");
        }
        fs::remove_file(path)?;
    }
    let listener = StdListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
