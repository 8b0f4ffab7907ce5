//! Who comes in at the control socket: how many at once, for how long, and who they are.
//!
//! A guest who says nothing, or reads nothing, is put out after a while; whoever comes when his room is full is put out at
//! once. One whose question is answered by a stream may stay as long as he reads.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{UnixListener, UnixStream, unix::SocketAddr},
    time::{Sleep, sleep},
};

use super::rooms::{Place, Rooms};

/// A whole visit, question and answer.
const VISIT: Duration = Duration::from_secs(5);
/// How long one who stays may leave unread what was written to him.
const STALL: Duration = Duration::from_secs(5);

/// The listener.
#[derive(Debug)]
pub(super) struct Door {
    listener: UnixListener,
    rooms: Rooms,
}

/// Who is at the other end, as the kernel says.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) uid: u32,
    stay: Arc<Stay>,
}

/// Where a guest is: in the room of visits, or among those who stay.
#[derive(Debug)]
struct Stay {
    rooms: Rooms,
    place: Mutex<(Place, bool)>,
}

impl Peer {
    /// The guest may stay, from now on; false: too many of his do.
    pub(super) fn stay(&self) -> bool {
        let Some(place) = self.stay.rooms.streams.enter(self.uid) else { return false };
        *self.stay.place.lock().unwrap_or_else(PoisonError::into_inner) = (place, true);
        true
    }
}

impl Stay {
    fn is_granted(&self) -> bool {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

/// One connection.
#[derive(Debug)]
pub(super) struct Guest {
    stream: UnixStream,
    until: Pin<Box<Sleep>>,
    /// Running while something written waits to be read.
    stalled: Option<Pin<Box<Sleep>>>,
    stay: Arc<Stay>,
}

impl Door {
    pub(super) fn new(listener: UnixListener) -> Self {
        Self { listener, rooms: Rooms::new() }
    }

    fn admit(&self, stream: UnixStream) -> Option<(Guest, Peer)> {
        let uid = stream.peer_cred().ok()?.uid();
        let place = Mutex::new((self.rooms.visits.enter(uid)?, false));
        let stay = Arc::new(Stay { rooms: self.rooms.clone(), place });
        let guest = Guest { stream, until: Box::pin(sleep(VISIT)), stalled: None, stay: Arc::clone(&stay) };
        Some((guest, Peer { uid, stay }))
    }
}

impl Listener for Door {
    type Io = Guest;
    type Addr = Peer;

    async fn accept(&mut self) -> (Guest, Peer) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    if let Some(admitted) = self.admit(stream) {
                        return admitted;
                    }
                }
                // No fd left, for one: the next try comes when somebody may have closed one.
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<Peer> {
        let _: SocketAddr = self.listener.local_addr()?;
        Err(io::ErrorKind::Unsupported.into()) // nobody's peer
    }
}

impl Connected<IncomingStream<'_, Door>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        stream.remote_addr().clone()
    }
}

impl Guest {
    fn overstays(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.stay.is_granted() {
            return Ok(());
        }
        match self.until.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }

    /// One who does not read is put out too, however long he may stay.
    fn stalls(&mut self, cx: &mut Context<'_>, waits: bool) -> io::Result<()> {
        if !waits {
            self.stalled = None;
            return Ok(());
        }
        match self.stalled.get_or_insert_with(|| Box::pin(sleep(STALL))).as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Guest {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.overstays(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Guest {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.overstays(cx)?;
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.stalls(cx, written.is_pending())?;
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
