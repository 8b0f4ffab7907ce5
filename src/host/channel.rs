//! The emperor's end of the socket to one init: frames in, messages out, neither waiting for the other.
//!
//! Ends with the process, not with the socket: an init that closed its end is about to end, and its exit tells the cause.

use std::{collections::VecDeque, io, os::fd::AsRawFd, sync::Arc};

use liege_core::{Event, Name};
use liege_plan::{CodecError, Exit, FrameReader, FromInit, HostMount, ToInit, encode};
use nix::sys::socket::{MsgFlags, recv};
use tokio::{io::Interest, net::UnixStream, sync::mpsc};

use crate::{
    children::Ending,
    inbox::Post,
    oom::{KillsAround, OomKills, is_kill, tells_of_a_kill},
};

/// Most bytes read at the end, of what an init that is dead already left behind: far more than a socket holds.
const LAST_WORDS: usize = 16 << 20;

/// One channel of one life.
#[derive(Debug)]
pub(crate) struct Channel {
    stream: UnixStream,
    vassal: Name,
    birth: u64,
    post: Post,
    frames: FrameReader,
    unsent: VecDeque<u8>,
    oom: OomKills,
    around: Arc<KillsAround>,
    /// What init has told last.
    on_host: Vec<HostMount>,
    /// Init has neither closed its end nor sent nonsense.
    readable: bool,
}

/// What reading brought.
enum Got {
    /// Some bytes, perhaps more to come.
    Some(usize),
    /// Nothing now.
    Nothing,
    /// Nothing ever again.
    End,
}

impl Channel {
    pub(crate) fn new(
        stream: UnixStream,
        vassal: Name,
        birth: u64,
        (oom, around): (OomKills, Arc<KillsAround>),
        post: Post,
    ) -> Self {
        let (frames, unsent) = (FrameReader::default(), VecDeque::new());
        Self { stream, vassal, birth, post, frames, unsent, oom, around, on_host: Vec::new(), readable: true }
    }

    /// Carries messages both ways until init has ended and its last word was told. Answers how it ended, and what it may have left mounted on
    /// the host.
    pub(crate) async fn talk(mut self, mut queue: mpsc::UnboundedReceiver<ToInit>, mut ending: Ending) -> (Exit, Vec<HostMount>) {
        loop {
            let interest = match (self.readable, self.unsent.is_empty()) {
                (true, true) => Some(Interest::READABLE),
                (true, false) => Some(Interest::READABLE | Interest::WRITABLE),
                (false, false) => Some(Interest::WRITABLE),
                (false, true) => None,
            };
            tokio::select! {
                exit = &mut ending => {
                    self.last_words().await;
                    // The register is dropped with the daemon only: whatever it was, it is over.
                    let exit = exit.unwrap_or(Exit::Signal(nix::libc::SIGKILL));
                    if is_kill(exit) {
                        self.tell_of_oom().await;
                    }
                    return (exit, self.on_host);
                }
                Some(message) = queue.recv() => self.queue(&message),
                _ = self.stream.ready(interest.unwrap_or(Interest::READABLE)), if interest.is_some() => {}
            }
            self.write();
            if self.readable && matches!(self.read(Self::take).await, Got::End) {
                self.readable = false;
            }
        }
    }

    fn queue(&mut self, message: &ToInit) {
        match encode(message) {
            Ok(bytes) => self.unsent.extend(bytes),
            // Init waits for a plan that never comes; the core's deadline ends it.
            Err(error) => tracing::error!(target: "emperor", vassal = &*self.vassal, "a message to its init: {error}"),
        }
    }

    fn write(&mut self) {
        while !self.unsent.is_empty() {
            match self.stream.try_write(self.unsent.as_slices().0) {
                Ok(n) => drop(self.unsent.drain(..n)),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => return self.unsent.clear(), // it is gone; its exit is on the way
            }
        }
        self.unsent = VecDeque::new(); // ten thousand idle channels keep no buffer
    }

    /// Reads once what is there, tells the whole messages in it.
    async fn read(&mut self, take: fn(&mut Self) -> Got) -> Got {
        let got = take(self);
        loop {
            match self.frames.next::<FromInit>() {
                Ok(Some(FromInit::OnHost { mounts })) => self.on_host = mounts,
                Ok(Some(report)) => {
                    if tells_of_a_kill(&report) {
                        self.tell_of_oom().await;
                    }
                    self.post.event(Event::Reported { vassal: self.vassal.clone(), birth: self.birth, report }).await;
                }
                Ok(None) => return got,
                Err(error) => {
                    self.garbled(&error).await;
                    return Got::End;
                }
            }
        }
    }

    /// Not async: the buffer is on the stack for a moment, not in ten thousand tasks for ever.
    fn take(&mut self) -> Got {
        let mut buffer = [0; 8 << 10];
        let got = self.stream.try_read(&mut buffer);
        self.taken(&buffer, got)
    }

    /// Asks the kernel itself. What the runtime knows of the socket may be older than the end of the process.
    fn take_now(&mut self) -> Got {
        let mut buffer = [0; 8 << 10];
        let got = recv(self.stream.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT).map_err(io::Error::from);
        self.taken(&buffer, got)
    }

    fn taken(&mut self, buffer: &[u8], got: io::Result<usize>) -> Got {
        match got {
            Ok(0) => Got::End,
            Ok(n) => {
                self.frames.push(&buffer[..n]);
                Got::Some(n)
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Got::Nothing,
            Err(_) => Got::End,
        }
    }

    /// Before what it led to is told.
    async fn tell_of_oom(&mut self) {
        // What its own groups count is counted around it too.
        let (own, around) = (self.oom.news(), self.around.news());
        let news = own.map(|kills| (kills, None)).or_else(|| around.map(|(kills, place)| (kills, Some(place))));
        if let Some((kills, around)) = news {
            self.post.event(Event::OomKilled { vassal: self.vassal.clone(), birth: self.birth, kills, around }).await;
        }
    }

    async fn garbled(&self, error: &CodecError) {
        tracing::error!(target: "emperor", vassal = &*self.vassal, "its init: {error}");
        self.post.event(Event::Garbled { vassal: self.vassal.clone(), birth: self.birth }).await;
    }

    async fn last_words(&mut self) {
        let mut total = 0;
        while self.readable && total < LAST_WORDS {
            let Got::Some(n) = self.read(Self::take_now).await else { return };
            total += n;
        }
    }
}
