//! The socket to the host: messages in, messages out, and its end.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use liege_plan::{FrameReader, FromInit, Place, ToInit, encode};
use liege_sys::{
    poll::{Interest, poll},
    stream::{self, Read},
};

use crate::outbox::Outbox;

/// Above this many unread bytes, news that the host can do without are dropped: a stopped host must not make pid 1 grow.
const PATIENCE: usize = 1 << 20;

/// How long the last words may take to go out to a host that does not read.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The channel.
#[derive(Debug)]
pub(crate) struct Channel {
    socket: OwnedFd,
    reader: FrameReader,
    outbox: Outbox,
}

/// What reading the channel gave.
pub(crate) enum News {
    /// A message.
    Message(ToInit),
    /// No whole message now.
    Nothing,
    /// The host is gone.
    HostGone,
    /// Bytes that are no message of this version.
    Garbled(String),
}

impl Channel {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self { socket, reader: FrameReader::default(), outbox: Outbox::default() }
    }

    /// Says something to the host. What cannot be said because the host is gone is noticed by reading.
    pub(crate) fn say(&mut self, message: &FromInit) {
        let can_be_missed = matches!(message, FromInit::OrphanDied { .. } | FromInit::OrphansDied { .. } | FromInit::Said(_));
        if can_be_missed && self.outbox.len() > PATIENCE {
            return;
        }
        if let Ok(bytes) = encode(message) {
            self.outbox.send(&self.socket, &bytes);
        }
    }

    /// Says that something failed.
    pub(crate) fn say_failed(&mut self, at: Place, errno: i32, detail: impl Into<String>, fatal: bool) {
        self.say(&FromInit::Failed { at, errno, detail: detail.into(), fatal });
    }

    /// The next message, without waiting.
    pub(crate) fn next(&mut self) -> News {
        let mut bytes = [0; 4096];
        loop {
            match self.reader.next() {
                Ok(Some(message)) => return News::Message(message),
                Err(error) => return News::Garbled(error.to_string()),
                Ok(None) => {}
            }
            match stream::read(&self.socket, &mut bytes) {
                Read::Bytes(n) => self.reader.push(&bytes[..n]),
                Read::Nothing => return News::Nothing,
                Read::Ended => return News::HostGone,
            }
        }
    }

    /// Writes what waits, as far as there is room.
    pub(crate) fn flush(&mut self) {
        self.outbox.flush(&self.socket);
    }

    /// Waits a little for the last words to go out.
    pub(crate) fn flush_last_words(&mut self) {
        let until = Instant::now() + LAST_WORDS;
        while self.outbox.flush(&self.socket) && self.has_words() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || poll(&[self.interest()], Some(left)).is_err() {
                return;
            }
            // The host may have written too; unread, its words would wake us for ever.
            if matches!(self.next(), News::HostGone | News::Garbled(_)) {
                return;
            }
        }
    }

    pub(crate) fn interest(&self) -> Interest<'_> {
        Interest::readable(self.as_fd()).or_writable(self.has_words())
    }

    fn has_words(&self) -> bool {
        self.outbox.len() > 0
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
