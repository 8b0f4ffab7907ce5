//! Who comes in at the TCP listener: how many at once, and for how long.
//!
//! One visit is one request and its answer, and it is over after a few seconds, whatever the guest does or does not do. A guest of
//! the live events may stay, as long as he reads: one who takes nothing for a while is put out, and holds nothing meanwhile but
//! what the kernel buffers for him.
//!
//! A connection costs nothing to make, so one that says nothing keeps nobody out: it has less time, and whoever comes when there is no
//! place puts out the guest who has not asked for longest. One peer has a share of the room only. Whoever comes when all places of the
//! room or of his share belong to guests who have asked is put out at once.

use std::{
    io,
    net::{IpAddr, Ipv6Addr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use prometheus_client::metrics::counter::Counter;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    time::{Instant, Sleep, sleep},
};

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
    listener: TcpListener,
    /// In the order they came.
    seats: Vec<Seat>,
    refused: Counter,
}

/// The place of a guest, until his connection is dropped.
#[derive(Debug)]
struct Seat {
    peer: IpAddr,
    has_asked: Arc<AtomicBool>,
    /// Dropped, he has to leave.
    stays: oneshot::Sender<()>,
}

/// What a route may say of a visit.
#[derive(Clone, Debug, Default)]
pub(super) struct Visit {
    stays: Arc<AtomicBool>,
}

impl Visit {
    /// From now on each byte that is read prolongs it.
    pub(super) fn stay(&self) {
        self.stays.store(true, Ordering::Relaxed);
    }

    fn stays(&self) -> bool {
        self.stays.load(Ordering::Relaxed)
    }
}

/// One connection.
#[derive(Debug)]
pub(super) struct Guest {
    stream: TcpStream,
    until: Pin<Box<Sleep>>,
    visit: Visit,
    came: Instant,
    question: Question,
    has_asked: Arc<AtomicBool>,
    put_out: oneshot::Receiver<()>,
}

/// How far the head of a request has come: its end is an empty line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    Unasked,
    /// Within a line that has something in it.
    InLine,
    /// At the beginning of a further line.
    AtLine,
    Whole,
}

impl Question {
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Whole, _) | (Self::AtLine, b'\n') => Self::Whole,
            (Self::InLine, b'\n') => Self::AtLine,
            (Self::Unasked | Self::AtLine, b'\r') | (Self::Unasked, b'\n') => self,
            (Self::Unasked | Self::InLine | Self::AtLine, _) => Self::InLine,
        }
    }
}

impl Door {
    /// `refused` counts those for whom there was no room.
    pub(super) fn new(listener: TcpListener, refused: Counter) -> Self {
        Self { listener, seats: Vec::with_capacity(ROOM), refused }
    }

    /// A place for somebody from there, if need be that of one who has not asked.
    fn seat(&mut self, stream: TcpStream, peer: IpAddr) -> Option<Guest> {
        self.seats.retain(|seat| !seat.stays.is_closed());
        let has_share = self.seats.iter().filter(|seat| seat.peer == peer).count() < SHARE;
        if !has_share || self.seats.len() >= ROOM {
            let silent = |seat: &Seat| (has_share || seat.peer == peer) && !seat.has_asked.load(Ordering::Relaxed);
            let longest = self.seats.iter().position(silent)?;
            self.seats.remove(longest);
            self.refused.inc();
        }
        let (has_asked, (stays, put_out)) = (Arc::<AtomicBool>::default(), oneshot::channel());
        self.seats.push(Seat { peer, has_asked: Arc::clone(&has_asked), stays });
        let (came, visit) = (Instant::now(), Visit::default());
        let until = Box::pin(sleep(QUESTION));
        Some(Guest { stream, until, visit, came, question: Question::Unasked, has_asked, put_out })
    }
}

impl Listener for Door {
    type Io = Guest;
    type Addr = Visit;

    async fn accept(&mut self) -> (Guest, Visit) {
        loop {
            match self.listener.accept().await {
                Ok((stream, from)) => match self.seat(stream, peer(from.ip())) {
                    Some(guest) => {
                        let visit = guest.visit.clone();
                        return (guest, visit);
                    }
                    None => drop(self.refused.inc()),
                },
                // No fd left, for one: the next try comes when somebody may have closed one.
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<Visit> {
        Ok(Visit::default())
    }
}

impl Connected<IncomingStream<'_, Door>> for Visit {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        stream.remote_addr().clone()
    }
}

/// Addresses that one peer has as many of as he likes count as one: those of the loopback, and the lower half of IPv6's.
fn peer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) if address.is_loopback() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        IpAddr::V6(address) if !address.is_loopback() => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address @ (IpAddr::V4(_) | IpAddr::V6(_)) => address,
    }
}

impl Guest {
    fn overstays(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.question != Question::Whole && Pin::new(&mut self.put_out).poll(cx).is_ready() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        match self.until.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }

    /// He has said something. When his question is whole he has the time of a visit.
    fn hear(&mut self, bytes: &[u8], cx: &mut Context<'_>) {
        let before = self.question;
        self.question = bytes.iter().fold(before, |question, &byte| question.after(byte));
        if before != Question::Whole && self.question == Question::Whole {
            self.has_asked.store(true, Ordering::Relaxed);
            self.until.as_mut().reset(self.came + VISIT);
            let _ = self.until.as_mut().poll(cx); // to be woken when it is over
        }
    }

    /// He has taken something.
    fn prolong(&mut self, cx: &mut Context<'_>) {
        if self.visit.stays() {
            self.until.as_mut().reset(Instant::now() + VISIT);
            let _ = self.until.as_mut().poll(cx); // not over yet; to be woken when it is
        }
    }
}

impl AsyncRead for Guest {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.overstays(cx)?;
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.hear(&buffer.filled()[before..], cx);
        read
    }
}

impl AsyncWrite for Guest {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.overstays(cx)?;
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if matches!(written, Poll::Ready(Ok(_))) {
            self.prolong(cx);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
