//! Requests and answers of one prober, until one side ends.
//!
//! It is given up in two ways. One that is gone, or silent, has answered nothing: whoever waits for a look of its hears no more. One that
//! is only in need (it can open nothing any more, or threads of it hang for nobody) is relieved: once another one
//! answers, that takes over what stands and what comes, while this one finishes its looks, so that no hung mount is timed anew because of it.
//!
//! That it is gone the end of its socket tells, but for one case: a thread or a child that hangs beyond SIGKILL keeps open what the
//! process had open. So while anything is asked of it, it is looked at too, and one that was stopped is seen as soon.

use std::{collections::HashMap, io, os::unix::net::UnixStream as StdStream, time::Duration};

use liege_core::{Health, Probed};
use liege_plan::{FrameReader, encode};
use liege_sys::{Errno, clone::Child, pidfd};
use tokio::{
    net::UnixStream,
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};

use super::{
    client::Request,
    patience::{Patience, SILENCE},
    protocol::{FromProber, Look, ToProber},
    server::write_all,
    standing::Standing,
};

/// How often one that is asked something is looked at: so long nobody knows that it was killed while a thread of it hung, or stopped.
const GLANCE: Duration = Duration::from_millis(100);

/// So many glances in a row that find it stopped, and it is given up. One that was stopped for a moment goes on.
const STOPPED: u32 = 3;

/// So many looks in a row that it could not make, and it is relieved.
const IN_NEED: u32 = 5;

/// How a conversation ended.
#[derive(Debug)]
pub(super) enum Served {
    /// The daemon needs no prober any more.
    Over,
    /// It is gone.
    Died,
    /// It was stopped.
    Stopped,
    /// It is there and says nothing.
    Silent,
    /// It is to be relieved.
    Needs(Need),
}

/// Why a prober is relieved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// It lacks something: no fd, no thread, no memory.
    Lacks(Errno),
    /// These threads hang though nobody wants their answer.
    Stranded(Vec<String>),
}

/// One prober, as long as it is talked to.
#[derive(Debug)]
pub(super) struct Conversation {
    socket: UnixStream,
    pub(super) child: Child,
    frames: FrameReader,
    buffer: Vec<u8>,
    patience: Patience,
    /// When it is looked at next, if anything is asked of it then.
    glance: Instant,
    /// Glances in a row that found it stopped.
    stopped: u32,
    last_id: u64,
    /// Who waits for news.
    looks: HashMap<u64, mpsc::UnboundedSender<Probed>>,
    outgoing: Vec<ToProber>,
    /// Looks in a row that it could not make.
    failed: u32,
    need: Option<Need>,
}

impl Conversation {
    /// Nothing is said yet.
    pub(super) fn new(socket: StdStream, child: Child) -> io::Result<Self> {
        Ok(Self {
            socket: UnixStream::from_std(socket)?,
            child,
            frames: FrameReader::default(),
            buffer: vec![0; 16 << 10],
            patience: Patience::from(Instant::now()),
            glance: Instant::now(),
            stopped: 0,
            last_id: 0,
            looks: HashMap::new(),
            outgoing: Vec::new(),
            failed: 0,
            need: None,
        })
    }

    /// It knows nothing yet: what stands comes first.
    pub(super) fn begin(&mut self, first: Option<Request>, standing: &mut Standing) {
        self.outgoing = standing.all();
        if let Some(request) = first {
            self.ask(request, standing);
        }
    }

    /// Whether it says in time that it hears.
    pub(super) async fn answers(&mut self, within: Duration) -> bool {
        let mut nothing = Standing::default();
        self.outgoing.push(ToProber::Ping);
        let answers = async {
            if self.say(&nothing).await.is_some() {
                return false;
            }
            while self.patience.waits() {
                if Self::heard(&self.socket).await || self.hear(&mut nothing).is_err() {
                    return false;
                }
            }
            true
        };
        timeout(within, answers).await.unwrap_or(false)
    }

    /// Carries requests to it and answers back. After [`Served::Needs`] it may go on.
    pub(super) async fn run(&mut self, requests: &mut mpsc::UnboundedReceiver<Request>, standing: &mut Standing) -> Served {
        loop {
            if let Some(end) = self.say(standing).await {
                return end;
            }
            if let Some(need) = self.need.take() {
                return Served::Needs(need);
            }
            tokio::select! {
                request = requests.recv() => match request {
                    Some(request) => self.ask(request, standing),
                    None => return Served::Over,
                },
                end = Self::heard(&self.socket) => if end || self.hear(standing).is_err() {
                    return Served::Died;
                },
                () = sleep_until(self.patience.due()), if self.is_asked(standing) => if self.is_silent() {
                    return Served::Silent;
                },
                () = sleep_until(self.glance), if self.is_asked(standing) => if let Some(end) = self.glance() {
                    return end;
                },
            }
        }
    }

    /// Another one has taken over: what it has begun is finished, nothing new is asked.
    pub(super) async fn finish(&mut self) {
        let mut nothing = Standing::default();
        while !self.looks.is_empty() {
            if self.say(&nothing).await.is_some() {
                return;
            }
            tokio::select! {
                end = Self::heard(&self.socket) => if end || self.hear(&mut nothing).is_err() {
                    return;
                },
                () = sleep_until(self.patience.due()) => if self.is_silent() {
                    return;
                },
                () = sleep_until(self.glance) => if self.glance().is_some() {
                    return;
                },
            }
        }
    }

    /// It is told nothing more: the end of its socket is the end of its work.
    pub(super) fn hang_up(self) -> Child {
        self.child
    }

    /// SIGKILL: to whom the pidfd means, never to a stranger.
    pub(super) fn kill(&self) {
        pidfd::signal(&self.child.pidfd, nix::libc::SIGKILL).ok();
    }

    /// Something was asked that it has not answered.
    fn is_asked(&self, standing: &Standing) -> bool {
        self.patience.waits() || !self.looks.is_empty() || standing.waits()
    }

    fn ask(&mut self, request: Request, standing: &mut Standing) {
        if !self.is_asked(standing) {
            self.patience = Patience::from(Instant::now());
        }
        let message = match request {
            Request::Look(look, tell) => self.look(look, tell),
            Request::Secure(of, tell) => standing.secure(of, tell),
            Request::Abort(of) => standing.abort(of),
            Request::Forget(of) => standing.forget(of),
            Request::Examine(of, tell) => standing.examine(of, tell),
        };
        self.outgoing.push(message);
    }

    fn look(&mut self, look: Look, tell: mpsc::UnboundedSender<Probed>) -> ToProber {
        self.last_id += 1;
        self.looks.insert(self.last_id, tell);
        ToProber::Look { id: self.last_id, look }
    }

    /// Says what is to be said. What has no answer of its own is followed by a ping: its answer means that it was heard.
    async fn say(&mut self, standing: &Standing) -> Option<Served> {
        let has_own_answer = |message: &ToProber| match message {
            ToProber::Look { .. } | ToProber::Secure { .. } | ToProber::Examine { .. } | ToProber::Ping => true,
            ToProber::Cancel { .. } | ToProber::Abort(_) | ToProber::Forget(_) => false,
        };
        if !self.outgoing.iter().all(has_own_answer) {
            if !self.is_asked(standing) {
                self.patience = Patience::from(Instant::now());
            }
            self.outgoing.push(ToProber::Ping);
        }
        for message in self.outgoing.drain(..) {
            let Ok(frame) = encode(&message) else { continue };
            if message == ToProber::Ping {
                self.patience.pinged();
            }
            match timeout(SILENCE, write_all(&self.socket, &frame)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Some(Served::Died),
                Err(_) => return Some(Served::Silent),
            }
        }
        None
    }

    /// A ping is due. Who does not wait any more for his look takes it back on this occasion.
    fn is_silent(&mut self) -> bool {
        let cancelled = self.looks.extract_if(|_, tell| tell.is_closed()).map(|(id, _)| ToProber::Cancel { id });
        self.outgoing.extend(cancelled);
        self.outgoing.push(ToProber::Ping);
        self.patience.is_over(Instant::now())
    }

    /// A glance is due: it may be dead, though its socket does not say so, or stopped.
    fn glance(&mut self) -> Option<Served> {
        self.glance = Instant::now() + GLANCE;
        let Child { pid, pidfd } = &self.child;
        // Reaped, and the socket is still open: in a process that asked for it, and waits in the kernel.
        let is_reaped = pidfd::signal(pidfd, 0) == Err(Errno::ESRCH);
        if is_reaped || pidfd::has_ended_but_for_threads(pidfd, *pid) {
            return Some(Served::Died);
        }
        self.stopped = if pidfd::is_stopped(pidfd, *pid) { self.stopped + 1 } else { 0 };
        (self.stopped >= STOPPED).then_some(Served::Stopped)
    }

    /// There is something to read; true: an end.
    async fn heard(socket: &UnixStream) -> bool {
        socket.readable().await.is_err()
    }

    fn hear(&mut self, standing: &mut Standing) -> io::Result<()> {
        match self.socket.try_read(&mut self.buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => self.frames.push(&self.buffer[..n]),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(e) => return Err(e),
        }
        self.patience.heard(Instant::now());
        while let Some(message) = self.frames.next::<FromProber>().map_err(io::Error::other)? {
            match message {
                FromProber::Probed { id, probed, last, is_need } => self.probed(id, probed, last, is_need),
                FromProber::Secured { birth, id } => standing.secured(birth, id),
                FromProber::Examined { id, found } => standing.examined(id, found),
                FromProber::Stranded { found } => self.need = Some(Need::Stranded(found)),
                FromProber::Pong => self.patience.answered(),
            }
        }
        Ok(())
    }

    fn probed(&mut self, id: u64, probed: Probed, last: bool, is_need: bool) {
        let tell = if last { self.looks.remove(&id) } else { self.looks.get(&id).cloned() };
        // Who was taken back ends with a last word of no thread: that is no need of the prober's.
        let Some(tell) = tell else { return };
        self.failed = if is_need { self.failed + 1 } else { 0 };
        if let Health::Unknown { errno } = probed.health
            && self.failed >= IN_NEED
        {
            self.need = Some(Need::Lacks(Errno::from_raw(errno)));
        }
        tell.send(probed).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn looks_that_were_taken_back_are_no_need_of_the_prober() {
        let own = nix::unistd::getpid().as_raw();
        let (socket, _theirs) = StdStream::pair().unwrap();
        socket.set_nonblocking(true).unwrap();
        let child = Child { pid: own, pidfd: pidfd::open(own).unwrap() };
        let mut conversation = Conversation::new(socket, child).unwrap();
        let last_word = || Probed::of(Health::Unknown { errno: Errno::EAGAIN as i32 });
        for id in 1..=u64::from(IN_NEED) {
            conversation.probed(id, last_word(), true, true);
        }
        assert_eq!((conversation.failed, &conversation.need), (0, &None), "nobody waits for them");

        let (tell, mut told) = mpsc::unbounded_channel();
        for id in 1..=u64::from(IN_NEED) {
            conversation.looks.insert(id, tell.clone());
            conversation.probed(id, last_word(), true, true);
            assert_eq!(told.recv().await, Some(last_word()));
        }
        assert_eq!(conversation.need, Some(Need::Lacks(Errno::EAGAIN)));
    }
}
