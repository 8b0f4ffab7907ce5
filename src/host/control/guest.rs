//! Who comes in at the control socket: how many at once, for how long, and who they are.
//!
//! A guest who says nothing, or reads nothing, is put out after a while; whoever comes when the room is full is put out at
//! once. Root has a room of its own, so that other users cannot keep it out.

use std::{
    io,
    pin::Pin,
    sync::Arc,
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
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep},
};

const ROOM_OF_ROOT: usize = 64;
const ROOM_OF_OTHERS: usize = 16;
/// A whole visit, question and answer.
const VISIT: Duration = Duration::from_secs(5);

/// The listener.
#[derive(Debug)]
pub(super) struct Door {
    listener: UnixListener,
    root: Arc<Semaphore>,
    others: Arc<Semaphore>,
}

/// Who is at the other end, as the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) uid: u32,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Guest {
    stream: UnixStream,
    until: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Door {
    pub(super) fn new(listener: UnixListener) -> Self {
        Self { listener, root: Arc::new(Semaphore::new(ROOM_OF_ROOT)), others: Arc::new(Semaphore::new(ROOM_OF_OTHERS)) }
    }

    fn admit(&self, stream: UnixStream) -> Option<(Guest, Peer)> {
        let uid = stream.peer_cred().ok()?.uid();
        let room = if uid == 0 { &self.root } else { &self.others };
        let place = Arc::clone(room).try_acquire_owned().ok()?;
        Some((Guest { stream, until: Box::pin(sleep(VISIT)), _place: place }, Peer { uid }))
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
        self.listener.local_addr().map(|_: SocketAddr| Peer { uid: 0 })
    }
}

impl Connected<IncomingStream<'_, Door>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        *stream.remote_addr()
    }
}

impl Guest {
    fn overstays(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.until.as_mut().poll(cx) {
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
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
