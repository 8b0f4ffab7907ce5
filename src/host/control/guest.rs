//! Who comes in at the control socket, and who he is: the rooms, and the times of a visit.
//!
//! Each connection is closed after its answer: a visit is one question. One whose question is answered by a stream takes a place
//! among those who stay, and may stay as long as he reads. A log is read by people, who stop to think: it is read from its disk piece
//! by piece as they go on, and so may wait for them much longer.

use std::{
    fs::File,
    io,
    os::{fd::AsFd, unix::net::UnixListener as StdListener},
    sync::Arc,
    time::Duration,
};

use axum::{
    extract::connect_info::Connected,
    http::StatusCode,
    serve::{IncomingStream, Listener},
};
use liege_core::{Reply, Verdict};
use liege_sys::peer;
use nix::libc::{EMFILE, ENFILE, ENOMEM};
use tokio::{
    net::{UnixListener, UnixStream, unix::SocketAddr},
    sync::mpsc,
    task::yield_now,
};

use super::{
    asker::{Belief, Family, Share},
    rooms::Rooms,
};
use crate::door::{Entrance, Guest, Refusals, Times, Visit};

/// A whole visit, question and answer; and how long one who stays may leave unread what was written to him.
const TIMES: Times = Times { question: Duration::from_secs(5), visit: Duration::from_secs(5), stall: Duration::from_secs(5) };

/// The same of a log.
const LEISURE: Duration = Duration::from_secs(3600);

/// The listener.
#[derive(Debug)]
pub(super) struct Door {
    entrance: Entrance<UnixListener, Share>,
    /// Listeners that take the place of the one before, whose file is gone.
    renewed: mpsc::Receiver<StdListener>,
    family: Family,
    rooms: Rooms,
}

/// Who is at the other end, as the kernel says.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) uid: u32,
    pub(super) belief: Belief,
    rooms: Rooms,
    visit: Visit,
}

impl Peer {
    /// The guest may stay, from now on; false: too many of his do.
    pub(super) fn stay(&self) -> bool {
        let share = self.belief.share(self.uid);
        let Some(place) = self.rooms.streams(share).enter(share) else { return false };
        self.visit.take(place);
        self.visit.stay(TIMES.stall);
        true
    }

    /// What is answered comes in pieces: it may take longer than a visit, as long as the client reads on.
    pub(super) fn read_on(&self) {
        self.visit.stay(TIMES.stall);
    }

    /// He may read at leisure what he is answered.
    pub(super) fn read_at_leisure(&self) {
        self.visit.stay(LEISURE);
    }
}

impl Door {
    pub(super) fn new(listener: UnixListener, renewed: mpsc::Receiver<StdListener>, family: Family) -> Self {
        let full = refusal("so many connections are open that there is no room for this one").leak();
        let no_descriptor = refusal("the daemon has no file descriptor left for this (RLIMIT_NOFILE)").leak();
        Self { entrance: Entrance::new(listener, Refusals { full, no_descriptor }), renewed, family, rooms: Rooms::new() }
    }

    fn admit(&self, stream: UnixStream) -> Option<(Guest<UnixStream>, Peer)> {
        let Ok(process) = peer::Peer::of(stream.as_fd()) else {
            self.entrance.turn_away_in_need(stream);
            return None;
        };
        let process = Arc::new(process);
        let (uid, mut belief) = (process.uid, self.family.belief(&process));
        if matches!(belief, Belief::No(_)) {
            // What could not be read for want of a descriptor does not speak against it.
            if lacks_descriptors() {
                self.entrance.turn_away_in_need(stream);
                return None;
            }
            belief = self.family.belief(&process); // there may have been none a moment ago
        }
        let share = belief.share(uid);
        let Some(place) = self.rooms.visits(share).enter(share) else {
            self.entrance.turn_away(share, stream);
            return None;
        };
        let guest = Guest::new(stream, place, TIMES, self.entrance.parting(share));
        let visit = guest.visit();
        Some((guest, Peer { uid, belief, rooms: self.rooms.clone(), visit }))
    }
}

fn lacks_descriptors() -> bool {
    File::open("/dev/null").is_err_and(|error| matches!(error.raw_os_error(), Some(EMFILE | ENFILE | ENOMEM)))
}

/// In HTTP, because nothing else does it for one who has not asked.
fn refusal(why: &str) -> Vec<u8> {
    let body = serde_json::to_string(&Reply { answer: Verdict::Refused, why: Some(why.to_owned()) }).unwrap_or_default();
    let (status, length) = (StatusCode::SERVICE_UNAVAILABLE, body.len());
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n");
    format!("{head}\r\n{body}").into_bytes()
}

impl Listener for Door {
    type Io = Guest<UnixStream>;
    type Addr = Peer;

    async fn accept(&mut self) -> (Guest<UnixStream>, Peer) {
        loop {
            // Whoever was let in is heard before the next one may take his place.
            yield_now().await;
            let (stream, _) = tokio::select! {
                accepted = self.entrance.accept() => accepted,
                Some(listener) = self.renewed.recv() => {
                    match UnixListener::from_std(listener) {
                        Ok(listener) => self.entrance.listen_at(listener),
                        Err(error) => tracing::error!(target: "emperor", "listen at the control socket bound anew: {error}"),
                    }
                    continue;
                }
            };
            if let Some(admitted) = self.admit(stream) {
                return admitted;
            }
        }
    }

    fn local_addr(&self) -> io::Result<Peer> {
        let _: SocketAddr = self.entrance.listener().local_addr()?;
        Err(io::ErrorKind::Unsupported.into()) // nobody's peer
    }
}

impl Connected<IncomingStream<'_, Door>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        stream.remote_addr().clone()
    }
}
