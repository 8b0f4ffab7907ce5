//! Accepting, whatever the machine lacks: an error is no end of it, and a client that cannot be served is told so.
//!
//! Where no descriptor is left, one that was kept for this moment is given away to accept a client, to answer it 503, and to close
//! it; then another one is kept. So a client of a daemon in need is answered, though not served, instead of waiting in the backlog.

use std::{
    fmt,
    fs::File,
    future::poll_fn,
    io,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use nix::libc::{EMFILE, ENFILE};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    time::{Instant, sleep, timeout},
};

use super::{
    linger::{self, linger},
    room::{Place, Room, Size},
};

/// What a connection is made of.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

/// A listening socket.
pub(crate) trait Accepts {
    type Stream: Stream;
    type From;

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Self::Stream, Self::From)>>;
}

impl Accepts for UnixListener {
    type Stream = UnixStream;
    type From = tokio::net::unix::SocketAddr;

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(UnixStream, Self::From)>> {
        Self::poll_accept(self, cx)
    }
}

impl Accepts for TcpListener {
    type Stream = TcpStream;
    type From = std::net::SocketAddr;

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, Self::From)>> {
        Self::poll_accept(self, cx)
    }
}

/// After an error it is tried again after so long.
const BACK_OFF: Duration = Duration::from_millis(100);
/// How long the client has that is served by the kept descriptor.
const REFUSAL: Duration = Duration::from_millis(500);
/// Between two lines of the log about the same trouble.
const WARNINGS_APART: Duration = Duration::from_secs(60);
/// Connections that linger, and of one client.
const LINGERING: Size = Size { all: 256, each: 128 };

/// A whole HTTP answer each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusals {
    /// There is no place for this one.
    pub(crate) full: &'static [u8],
    /// There is no descriptor.
    pub(crate) no_descriptor: &'static [u8],
}

/// A listening socket, its clients named by a `W`.
#[derive(Debug)]
pub(crate) struct Entrance<L, W> {
    listener: L,
    refusals: Refusals,
    lingering: Room<W>,
    /// Kept for the moment when there is no other descriptor.
    spare: Option<File>,
    warned: Option<Instant>,
}

impl<L: Accepts, W: Copy + Eq + Send + Sync + 'static> Entrance<L, W> {
    pub(crate) fn new(listener: L, refusals: Refusals) -> Self {
        let lingering = Room::new(LINGERING.within(4), <_>::default());
        Self { listener, refusals, lingering, spare: spare(), warned: None }
    }

    pub(crate) fn listener(&self) -> &L {
        &self.listener
    }

    /// The next connection.
    pub(crate) async fn accept(&mut self) -> (L::Stream, L::From) {
        loop {
            match poll_fn(|cx| self.listener.poll_accept(cx)).await {
                Ok(accepted) => return accepted,
                Err(error) if matches!(error.raw_os_error(), Some(EMFILE | ENFILE)) => self.refuse_one(&error).await,
                // A client that has gone away, no memory, no buffer.
                Err(_) => sleep(BACK_OFF).await,
            }
        }
    }

    /// No descriptor is left: the next client is told.
    async fn refuse_one(&mut self, error: &io::Error) {
        if self.warned.is_none_or(|last| last.elapsed() >= WARNINGS_APART) {
            self.warned = Some(Instant::now());
            tracing::warn!(target: "emperor", "accept: {error}; clients are refused until a descriptor is free");
        }
        match self.spare.take() {
            Some(spare) => {
                drop(spare);
                let accepted = timeout(BACK_OFF, poll_fn(|cx| self.listener.poll_accept(cx))).await;
                if let Ok(Ok((stream, _))) = accepted {
                    timeout(REFUSAL, refuse(stream, self.refusals.no_descriptor)).await.ok();
                } else {
                    sleep(BACK_OFF).await; // another thread was faster
                }
            }
            None => sleep(BACK_OFF).await,
        }
        self.spare = spare();
    }

    /// The client is told that there is no place for it.
    pub(crate) fn turn_away(&self, who: W, mut stream: L::Stream) {
        let (full, place) = (self.refusals.full, self.lingering.enter(who));
        tokio::spawn(async move {
            let _ = poll_fn(|cx| Poll::Ready(std::pin::Pin::new(&mut stream).poll_write(cx, full))).await;
            if let Some(place) = place {
                linger(stream, place).await;
            }
        });
    }

    /// The client is told that the daemon has not even a descriptor to find out who it is.
    pub(crate) fn turn_away_in_need(&self, stream: L::Stream) {
        let refusal = self.refusals.no_descriptor;
        tokio::spawn(timeout(REFUSAL, refuse(stream, refusal)));
    }

    /// Where a connection of this client may linger.
    pub(crate) fn parting(&self, who: W) -> Parting {
        let lingering = self.lingering.clone();
        Parting { farewell: self.refusals.full, place: Arc::new(move || lingering.enter(who)) }
    }
}

async fn refuse(mut stream: impl Stream, why: &'static [u8]) {
    stream.write_all(why).await.ok();
    linger::drain(&mut stream).await;
}

fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}

/// How a connection ends that is not wanted any more.
#[derive(Clone)]
pub(crate) struct Parting {
    /// What a client is told that has to leave before it has asked.
    pub(super) farewell: &'static [u8],
    pub(super) place: Arc<dyn Fn() -> Option<Place> + Send + Sync>,
}

impl fmt::Debug for Parting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Parting")
    }
}
