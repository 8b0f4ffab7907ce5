//! Who comes in at the TCP listener: how many at once, and for how long.
//!
//! One visit is one request and its answer, and it is over after a few seconds, whatever the guest does or does not do. A guest of
//! the live events may stay, as long as he reads: one who takes nothing for a while is put out, and holds nothing meanwhile but
//! what the kernel buffers for him. Whoever comes when the room is full is put out at once.

use std::{
    io,
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
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep},
};

/// Guests at once.
pub(super) const ROOM: usize = 64;
/// A whole visit, question and answer; and how long one who stays may read nothing.
pub(super) const VISIT: Duration = Duration::from_secs(8);

/// The listener.
#[derive(Debug)]
pub(super) struct Door {
    listener: TcpListener,
    room: Arc<Semaphore>,
    refused: Counter,
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
    _place: OwnedSemaphorePermit,
}

impl Door {
    /// `refused` counts those for whom there was no room.
    pub(super) fn new(listener: TcpListener, refused: Counter) -> Self {
        Self { listener, room: Arc::new(Semaphore::new(ROOM)), refused }
    }
}

impl Listener for Door {
    type Io = Guest;
    type Addr = Visit;

    async fn accept(&mut self) -> (Guest, Visit) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => match Arc::clone(&self.room).try_acquire_owned() {
                    Ok(place) => {
                        let visit = Visit::default();
                        let until = Box::pin(sleep(VISIT));
                        return (Guest { stream, until, visit: visit.clone(), _place: place }, visit);
                    }
                    Err(_) => drop(self.refused.inc()),
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

impl Guest {
    fn overstays(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.until.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
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
        Pin::new(&mut self.stream).poll_read(cx, buffer)
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
