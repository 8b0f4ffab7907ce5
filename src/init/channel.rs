//! The socket to the host: messages in, messages out, and its end.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use liege_plan::{DaemonNews, FrameReader, FromInit, Place, ToInit, encode};
use liege_sys::{
    poll::{Interest, poll},
    stream::{self, Read},
};

use crate::{clock, outbox::Outbox};

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
    /// Changes of the mount table that were not told: whether one of them was of own FUSE mounts, and the last number.
    untold_mounts: Option<(bool, u32)>,
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
        Self { socket, reader: FrameReader::default(), outbox: Outbox::default(), untold_mounts: None }
    }

    /// Says something to the host. What cannot be said because the host is gone is noticed by reading.
    pub(crate) fn say(&mut self, message: &FromInit) {
        let is_full = self.outbox.len() > PATIENCE;
        match message {
            FromInit::MountsChanged { own_fuse, number, .. } if is_full => {
                let before = self.untold_mounts.is_some_and(|(own_fuse, _)| own_fuse);
                self.untold_mounts = Some((*own_fuse || before, *number));
            }
            FromInit::MountsChanged { own_fuse, number, .. } if self.untold_mounts.is_some() => {
                let before = self.untold_mounts.take().is_some_and(|(own_fuse, _)| own_fuse);
                // What went before it was not told, so not all that changed is known.
                self.send(&FromInit::MountsChanged { own_fuse: *own_fuse || before, changes: None, number: *number });
            }
            message if is_full && can_be_missed(message) => {}
            message => self.send(message),
        }
    }

    fn send(&mut self, message: &FromInit) {
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
        if self.outbox.len() <= PATIENCE
            && let Some((own_fuse, number)) = self.untold_mounts.take()
        {
            self.send(&FromInit::MountsChanged { own_fuse, changes: None, number });
        }
    }

    /// Waits a little for the last words to go out.
    pub(crate) fn flush_last_words(&mut self) {
        let until = clock::now() + LAST_WORDS;
        while self.outbox.flush(&self.socket) && self.has_words() {
            let left = until.saturating_duration_since(clock::now());
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

/// Whether the host can do without it. That a daemon ended for good is the vassal's end.
fn can_be_missed(message: &FromInit) -> bool {
    match message {
        FromInit::OrphanDied { .. }
        | FromInit::OrphansDied { .. }
        | FromInit::Said(_)
        | FromInit::Noticed { .. }
        | FromInit::HooksSaid { .. } => true,
        FromInit::Daemon { news, .. } => match news {
            DaemonNews::Started { .. } => true,
            DaemonNews::Ended { again_in_ms, .. } | DaemonNews::Failed { again_in_ms, .. } => again_in_ms.is_some(),
        },
        FromInit::Entered { .. }
        | FromInit::Walked
        | FromInit::Kept
        | FromInit::Failed { .. }
        | FromInit::Started { .. }
        | FromInit::AppExited { .. }
        | FromInit::Saving { .. }
        | FromInit::Unsaved { .. }
        | FromInit::MountsChanged { .. }
        | FromInit::Writable { .. }
        | FromInit::OnHost { .. }
        | FromInit::Identified { .. } => false,
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read as _, os::unix::net::UnixStream};

    use liege_plan::{Exit, MountChange};

    use super::*;

    fn ended(again_in_ms: Option<u64>) -> FromInit {
        FromInit::Daemon { index: 0, news: DaemonNews::Ended { exit: Some(Exit::Code(1)), again_in_ms, said: None } }
    }

    fn mounts(own_fuse: bool) -> FromInit {
        FromInit::MountsChanged { own_fuse, changes: Some(vec![MountChange::Came { point: "/a".into() }]), number: 7 }
    }

    #[test]
    fn a_host_that_does_not_read_is_told_the_last_of_the_mounts_and_the_end_of_a_control_daemon() {
        let (ours, mut host) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut channel = Channel::new(ours.into());
        for _ in 0..200_000 {
            channel.say(&ended(Some(0)));
            channel.say(&mounts(false));
        }
        assert!(channel.outbox.len() < PATIENCE + 1024, "{} bytes wait", channel.outbox.len());
        channel.say(&mounts(true));
        channel.say(&ended(None));

        host.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let (mut reader, mut told, mut bytes) = (FrameReader::default(), Vec::new(), vec![0; 1 << 16]);
        while let Ok(n) = host.read(&mut bytes) {
            channel.flush();
            reader.push(&bytes[..n]);
            while let Some(message) = reader.next::<FromInit>().unwrap() {
                told.push(message);
            }
        }
        let unsure = FromInit::MountsChanged { own_fuse: true, changes: None, number: 7 };
        assert!(told.contains(&ended(None)) && !channel.has_words());
        assert_eq!(told.iter().filter(|message| **message == unsure).count(), 1);
        channel.say(&mounts(true));
        let n = host.read(&mut bytes).unwrap();
        reader.push(&bytes[..n]);
        assert_eq!(reader.next::<FromInit>().unwrap(), Some(mounts(true)), "all is told again");
    }
}
