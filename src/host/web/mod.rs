//! `emperor-metrics = ADDR`: metrics, health and the status page over HTTP, for whoever reaches the address. Nobody can change
//! anything here, and nothing is told here that a vassal's file might want hidden: no command lines, no texts of mistakes, no words of
//! programs, no files and lines. `for_everybody.rs` tries every text that there is.
//!
//! A thread and a runtime of its own, as the control socket has, so that nobody who floods it takes time from the loop. What reaches
//! the loop is at most two snapshots a second (`snapshot.rs`), and one small question for each `/healthz`.
//!
//! * `visit.rs`: who comes in, and for how long; `hosts.rs`: by which name
//! * `negotiate.rs`: in which form the exposition is wanted
//! * `routes.rs`: what can be asked
//! * `ready.rs`: what `/readyz` answers
//! * `page/`: the status page; `status.rs`: what it shows; `recent.rs`: what happened lately; `live.rs`: a look each second

#[cfg(test)]
mod for_everybody;
mod hosts;
mod live;
mod negotiate;
mod ready;
mod recent;
mod routes;
mod snapshot;
mod status;
#[cfg(test)]
mod tests;
mod visit;

use std::{
    net::{SocketAddr, TcpListener as StdListener},
    sync::Arc,
};

use anyhow::Context;
use liege_spec::Asked;
use tokio::net::TcpListener;

use crate::{inbox::Post, metrics::Book, server::Server};
use hosts::Hosts;
use live::Live;
pub(crate) use ready::Readiness;
pub(crate) use recent::Recent;
use routes::Scene;
use snapshot::Snapshots;
use visit::{Door, Watcher};

/// What there is to see.
#[derive(Clone, Debug)]
pub(crate) struct Sights {
    pub(crate) post: Post,
    pub(crate) book: Arc<Book>,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) recent: Arc<Recent>,
}

/// The served address. Dropped, nobody listens there any more and the thread is gone.
#[derive(Debug)]
pub(crate) struct Web {
    address: SocketAddr,
    _server: Server,
}

impl Web {
    /// Binds and serves; `names` are those it is asked for by, beside the machine's own.
    ///
    /// # Errors
    /// The address is in use, or not this machine's.
    pub(crate) fn serve(at: &Asked<SocketAddr>, names: &[Asked<String>], sights: Sights) -> anyhow::Result<Self> {
        let step = || format!("listen on {} ({})", at.value, at.at);
        let listener = StdListener::bind(at.value).with_context(step)?;
        listener.set_nonblocking(true).with_context(step)?;
        let address = listener.local_addr().with_context(step)?;
        let hosts = Hosts::new(names.iter().map(|name| name.value.clone()).collect());
        let server = Server::start("web", move || async {
            let refused = sights.book.guests_refused.clone();
            let snapshots = Snapshots::new(sights.post.clone(), Arc::clone(&sights.book));
            let scene = Arc::new(Scene { sights, hosts, snapshots, live: Live::new() });
            let door = Door::new(TcpListener::from_std(listener)?, refused);
            let app = routes::router(Arc::clone(&scene)).into_make_service_with_connect_info::<Watcher>();
            tokio::spawn(async move { scene.live.look(&scene).await });
            axum::serve(door, app).await
        });
        Ok(Self { address, _server: server.with_context(step)? })
    }

    /// Where it listens: the port that was found, where 0 was asked for.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}
