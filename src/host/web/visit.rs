//! Who comes in at the TCP listener: the room, the share of one peer, and the times of a visit.
//!
//! A guest of the live events may stay as long as he reads; he holds nothing meanwhile but what the kernel buffers for him.

use std::{
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use prometheus_client::metrics::counter::Counter;
use tokio::net::{TcpListener, TcpStream};

use crate::door::{Entrance, Guest, Refusals, Room, Size, Times, Visit};

/// Guests at once.
pub(super) const ROOM: usize = 64;
/// Of one peer among them: all who may watch, and some who ask. The others are for everybody else.
pub(super) const SHARE: usize = 48;
/// How long the question may take to come.
pub(super) const QUESTION: Duration = Duration::from_secs(2);
/// A whole visit, question and answer; and how long one who stays may read nothing.
pub(super) const VISIT: Duration = Duration::from_secs(8);

/// The listener.
#[derive(Debug)]
pub(super) struct Door {
    entrance: Entrance<TcpListener, IpAddr>,
    room: Room<IpAddr>,
}

/// A guest, for the routes.
#[derive(Clone, Debug)]
pub(super) struct Watcher(Visit);

impl Watcher {
    /// From now on he may stay as long as he reads.
    pub(super) fn stay(&self) {
        self.0.stay(VISIT);
    }
}

impl Door {
    /// `refused` counts those for whom there was no room.
    pub(super) fn new(listener: TcpListener, refused: Counter) -> Self {
        let full = refusal("so many connections are open that there is no room for this one").leak();
        let no_descriptor = refusal("the daemon has no file descriptor left for this (RLIMIT_NOFILE)").leak();
        let room = Room::new(Size { all: ROOM, each: SHARE }.within(16), refused);
        Self { entrance: Entrance::new(listener, Refusals { full, no_descriptor }), room }
    }
}

impl Listener for Door {
    type Io = Guest<TcpStream>;
    type Addr = Watcher;

    async fn accept(&mut self) -> (Guest<TcpStream>, Watcher) {
        loop {
            let (stream, from) = self.entrance.accept().await;
            let who = peer(from.ip());
            let Some(place) = self.room.enter(who) else {
                self.entrance.turn_away(who, stream);
                continue;
            };
            let times = Times { question: QUESTION, visit: VISIT, stall: VISIT };
            let guest = Guest::new(stream, place, times, self.entrance.parting(who));
            let watcher = Watcher(guest.visit());
            return (guest, watcher);
        }
    }

    fn local_addr(&self) -> io::Result<Watcher> {
        let _: SocketAddr = self.entrance.listener().local_addr()?;
        Err(io::ErrorKind::Unsupported.into()) // nobody's visit
    }
}

impl Connected<IncomingStream<'_, Door>> for Watcher {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        stream.remote_addr().clone()
    }
}

/// In HTTP, because nothing else does it for one who has not asked.
fn refusal(why: &str) -> Vec<u8> {
    let head = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\nconnection: close\r\n";
    format!("{head}content-length: {}\r\n\r\n{why}\n", why.len() + 1).into_bytes()
}

/// Addresses that one peer has as many of as he likes count as one: those of the loopback, and the lower half of IPv6's.
fn peer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) if address.is_loopback() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        IpAddr::V6(address) if !address.is_loopback() => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address @ (IpAddr::V4(_) | IpAddr::V6(_)) => address,
    }
}
