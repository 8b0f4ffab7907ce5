//! One connection, and its time: for the question, for the visit, and for what he leaves unread.
//!
//! One visit is one question and its answer. It is over after a few seconds, whatever the guest does or does not do, unless a route
//! lets him stay: then he may stay as long as he reads.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use super::room::{Idle, Place};

/// How long a guest may be here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// Until his question is whole.
    pub(crate) question: Duration,
    /// In all.
    pub(crate) visit: Duration,
    /// One who stays: with something unread.
    pub(crate) stall: Duration,
}

/// What a route may say of a visit.
#[derive(Clone, Debug)]
pub(crate) struct Visit(Arc<Mutex<Visiting>>);

#[derive(Debug)]
struct Visiting {
    place: Place,
    /// So long he may leave unread what was written; None: the time of a visit is his.
    stays: Option<Duration>,
}

impl Visit {
    fn new(place: Place) -> Self {
        Self(Arc::new(Mutex::new(Visiting { place, stays: None })))
    }

    /// From now on he may stay, where he is, as long as he leaves nothing unread for this time.
    pub(crate) fn stay(&self, stall: Duration) {
        self.lock().stays = Some(stall);
    }

    /// He takes another place, and gives his own back.
    pub(crate) fn take(&self, place: Place) {
        place.set(None); // only who has asked is given one
        self.lock().place = place;
    }

    fn lock(&self) -> MutexGuard<'_, Visiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Guest<S> {
    stream: S,
    times: Times,
    /// What he is told who has not asked and has to leave.
    farewell: &'static [u8],
    came: Instant,
    question: Question,
    visit: Visit,
    until: Pin<Box<Sleep>>,
    /// Running while something written waits to be read.
    stalled: Option<Pin<Box<Sleep>>>,
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

impl<S> Guest<S> {
    /// Who is let in to a place.
    pub(crate) fn new(stream: S, place: Place, times: Times, farewell: &'static [u8]) -> Self {
        Self {
            stream,
            times,
            farewell,
            came: Instant::now(),
            question: Question::Unasked,
            visit: Visit::new(place),
            until: Box::pin(sleep(times.question)),
            stalled: None,
        }
    }

    /// For the routes.
    pub(crate) fn visit(&self) -> Visit {
        self.visit.clone()
    }

    /// He has said something. When his question is whole he has the time of a visit.
    fn hear(&mut self, bytes: &[u8], cx: &mut Context<'_>) {
        let before = self.question;
        self.question = bytes.iter().fold(before, |question, &byte| question.after(byte));
        if before != Question::Whole && self.question == Question::Whole {
            self.visit.lock().place.set(None);
            self.until.as_mut().reset(self.came + self.times.visit);
            let _ = self.until.as_mut().poll(cx); // to be woken when it is over
        }
    }

    /// Whether something written waits to be read: one who stays may let it wait for so long, and may lose his place for it.
    fn waits(&mut self, waits: bool, cx: &mut Context<'_>) -> io::Result<()> {
        if !waits {
            if self.stalled.take().is_some() {
                self.visit.lock().place.set(None);
            }
            return Ok(());
        }
        let stalled = self.stalled.get_or_insert_with(|| {
            let visit = self.visit.lock();
            visit.place.set(Some(Idle::Unread(Instant::now())));
            Box::pin(sleep(visit.stays.unwrap_or(self.times.stall)))
        });
        in_time(stalled.as_mut(), cx)
    }
}

impl<S: AsyncWrite + Unpin> Guest<S> {
    /// Whether his time is over, or his place wanted.
    fn may_stay(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let stays = {
            let mut visit = self.visit.lock();
            if visit.place.is_lost(cx) {
                drop(visit);
                if self.question != Question::Whole {
                    let _ = Pin::new(&mut self.stream).poll_write(cx, self.farewell); // as far as he listens
                }
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            visit.stays.is_some()
        };
        if stays { Ok(()) } else { in_time(self.until.as_mut(), cx) }
    }
}

fn in_time(time: Pin<&mut Sleep>, cx: &mut Context<'_>) -> io::Result<()> {
    match time.poll(cx) {
        Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
        Poll::Pending => Ok(()),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guest<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.may_stay(cx)?;
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.hear(&buffer.filled()[before..], cx);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guest<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.may_stay(cx)?;
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.waits(written.is_pending(), cx)?;
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
