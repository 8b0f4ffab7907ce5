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
    runtime::Handle,
    time::{Instant, Sleep, sleep},
};

use super::{
    entrance::{Parting, Stream},
    linger::linger,
    room::{Idle, Place},
};

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
pub(crate) struct Guest<S: Stream> {
    /// Taken when it is dropped.
    stream: Option<S>,
    times: Times,
    parting: Parting,
    /// It hears nothing any more, or does not listen: its connection is closed at once.
    is_over: bool,
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

impl<S: Stream> Guest<S> {
    /// Who is let in to a place.
    pub(crate) fn new(stream: S, place: Place, times: Times, parting: Parting) -> Self {
        Self {
            stream: Some(stream),
            times,
            parting,
            is_over: false,
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
        let in_time = in_time(stalled.as_mut(), cx);
        self.is_over |= in_time.is_err();
        in_time
    }
}

impl<S: Stream> Guest<S> {
    fn stream(&mut self) -> io::Result<Pin<&mut S>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Whether his time is over, or his place wanted.
    fn may_stay(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let stays = {
            let mut visit = self.visit.lock();
            if visit.place.is_lost(cx) {
                drop(visit);
                let farewell = self.parting.farewell;
                if self.question != Question::Whole {
                    let _ = self.stream()?.poll_write(cx, farewell); // as far as he listens
                } else {
                    self.is_over = true; // he leaves his answer unread
                }
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            visit.stays.is_some()
        };
        let in_time = if stays { Ok(()) } else { in_time(self.until.as_mut(), cx) };
        self.is_over |= in_time.is_err();
        in_time
    }
}

fn in_time(time: Pin<&mut Sleep>, cx: &mut Context<'_>) -> io::Result<()> {
    match time.poll(cx) {
        Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
        Poll::Pending => Ok(()),
    }
}

impl<S: Stream> AsyncRead for Guest<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.may_stay(cx)?;
        let before = buffer.filled().len();
        let read = self.stream()?.poll_read(cx, buffer);
        self.is_over |= match &read {
            Poll::Ready(Ok(())) => buffer.filled().len() == before && buffer.remaining() > 0,
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        };
        self.hear(&buffer.filled()[before..], cx);
        read
    }
}

impl<S: Stream> AsyncWrite for Guest<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.may_stay(cx)?;
        let written = self.stream()?.poll_write(cx, bytes);
        self.is_over |= matches!(written, Poll::Ready(Err(_)));
        self.waits(written.is_pending(), cx)?;
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }
}

impl<S: Stream> Drop for Guest<S> {
    fn drop(&mut self) {
        let Some(stream) = self.stream.take().filter(|_| !self.is_over) else { return };
        if let (Some(place), Ok(runtime)) = ((self.parting.place)(), Handle::try_current()) {
            runtime.spawn(linger(stream, place));
        }
    }
}
