//! Accepting, whatever the machine lacks: an error is no end of it, and a client that cannot be served is told so.
//!
//! Where no descriptor is left, one of a few that were kept for this moment is given away to accept a client and to answer it 503. So a
//! client of a daemon in need is answered, though not served, instead of waiting in the backlog. Nobody waits for that client: its
//! connection lingers until the next one needs the descriptor, or for a while, and is closed then; what it has sent is read before, so that
//! the close resets nothing.

use std::{
    collections::VecDeque,
    fmt,
    fs::File,
    future::poll_fn,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use nix::libc::{EMFILE, ENFILE};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    time::{Instant, sleep, sleep_until, timeout},
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
/// How long a client has that is refused for want of a descriptor.
const REFUSAL: Duration = Duration::from_millis(500);
/// Descriptors that are kept for refusals.
const KEPT: usize = 4;
/// Reads before a close, of a buffer each.
const LAST_READS: usize = 16;
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
pub(crate) struct Entrance<L: Accepts, W> {
    listener: L,
    refusals: Refusals,
    lingering: Room<W>,
    /// Kept for the moment when there is no other descriptor.
    spares: Vec<File>,
    /// Who was refused with one of these descriptors, and may read that until then.
    refused: VecDeque<(Instant, L::Stream)>,
    warned: Option<Instant>,
}

impl<L: Accepts, W: Copy + Eq + Send + Sync + 'static> Entrance<L, W> {
    pub(crate) fn new(listener: L, refusals: Refusals) -> Self {
        let lingering = Room::new(LINGERING.within(4), <_>::default());
        let mut entrance = Self { listener, refusals, lingering, spares: Vec::new(), refused: VecDeque::new(), warned: None };
        entrance.keep_spares();
        entrance
    }

    pub(crate) fn listener(&self) -> &L {
        &self.listener
    }

    /// Accepts at this one from now on. Whoever was let in stays.
    pub(crate) fn listen_at(&mut self, listener: L) {
        self.listener = listener;
    }

    /// The next connection.
    pub(crate) async fn accept(&mut self) -> (L::Stream, L::From) {
        loop {
            let oldest = self.refused.front().map(|(until, _)| *until);
            let accepted = tokio::select! {
                accepted = poll_fn(|cx| self.listener.poll_accept(cx)) => accepted,
                () = sleep_until(oldest.unwrap_or_else(Instant::now)), if oldest.is_some() => {
                    self.part_with_oldest().await;
                    self.keep_spares();
                    continue;
                }
            };
            match accepted {
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
        let is_free = self.spares.pop().map(drop).is_some() || self.part_with_oldest().await;
        let accepted = if is_free { timeout(BACK_OFF, poll_fn(|cx| self.listener.poll_accept(cx))).await.ok() } else { None };
        if let Some(Ok((mut stream, _))) = accepted {
            // As soon as the runtime knows that it can be written to: nothing of it is unread yet.
            timeout(BACK_OFF, tell(&mut stream, self.refusals.no_descriptor)).await.ok();
            self.refused.push_back((Instant::now() + REFUSAL, stream));
        } else {
            sleep(BACK_OFF).await; // another thread was faster
        }
        self.keep_spares();
    }

    /// Closes the connection that was refused first. False: there is none.
    async fn part_with_oldest(&mut self) -> bool {
        let Some((_, mut stream)) = self.refused.pop_front() else { return false };
        poll_fn(|cx| {
            let mut buffer = [0; 4096];
            for _ in 0..LAST_READS {
                let mut into = ReadBuf::new(&mut buffer);
                let read = Pin::new(&mut stream).poll_read(cx, &mut into);
                if !matches!(read, Poll::Ready(Ok(()))) || into.filled().is_empty() {
                    break;
                }
            }
            Poll::Ready(())
        })
        .await;
        true
    }

    /// Those who are refused have the descriptors of the others.
    fn keep_spares(&mut self) {
        let most = KEPT.saturating_sub(self.refused.len());
        while self.spares.len() < most
            && let Some(spare) = spare()
        {
            self.spares.push(spare);
        }
    }

    /// The client is told that there is no place for it.
    pub(crate) fn turn_away(&self, who: W, mut stream: L::Stream) {
        let (full, place) = (self.refusals.full, self.lingering.enter(who));
        tokio::spawn(async move {
            // It cannot be written to before the runtime knows that it can.
            timeout(BACK_OFF, stream.write_all(full)).await.ok();
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

async fn tell(stream: &mut impl Stream, why: &'static [u8]) -> io::Result<()> {
    stream.write_all(why).await?;
    stream.shutdown().await
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::io::AsyncReadExt;

    use super::*;

    /// Lacks a descriptor for each client, until one is given away.
    struct Needy {
        listener: UnixListener,
        has_said_so: AtomicBool,
    }

    impl Accepts for Needy {
        type Stream = UnixStream;
        type From = tokio::net::unix::SocketAddr;

        fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(UnixStream, Self::From)>> {
            if !self.has_said_so.swap(true, Ordering::Relaxed) {
                return Poll::Ready(Err(io::Error::from_raw_os_error(EMFILE)));
            }
            let accepted = self.listener.poll_accept(cx);
            self.has_said_so.store(accepted.is_pending(), Ordering::Relaxed);
            accepted
        }
    }

    #[tokio::test]
    async fn a_refusal_waits_for_no_silent_client() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = Needy { listener: UnixListener::bind(&path).unwrap(), has_said_so: AtomicBool::new(false) };
        let mut silent = Vec::new();
        for _ in 0..100 {
            silent.push(UnixStream::connect(&path).await.unwrap());
        }
        let mut client = UnixStream::connect(&path).await.unwrap();
        let mut entrance: Entrance<_, ()> = Entrance::new(listener, Refusals { full: b"full", no_descriptor: b"no" });
        let answered = async {
            client.write_all(b"a question").await.unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            answer
        };
        tokio::select! {
            _ = entrance.accept() => panic!("there is no descriptor for it"),
            answer = answered => assert_eq!(answer, "no"),
            () = sleep(Duration::from_secs(10)) => panic!("it waits for the silent"),
        }
        assert!(entrance.refused.len() <= KEPT, "so many linger");
        for mut client in silent {
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            assert_eq!(answer, "no", "whoever reads later reads it too");
        }
    }
}
