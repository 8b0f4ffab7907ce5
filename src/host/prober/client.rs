//! The daemon's side: asks, and keeps a prober alive to ask.
//!
//! It lives as long as somebody may ask: the first request starts it, a daemon without checks and without FUSE mounts has none.
//! When it dies, whoever waits is answered nothing more, the next request starts another one (a little later each time it dies
//! young), and the exits it held are secured again. One that is silent is as good as dead: a tenant may stop it while a thread of
//! it wears his uid. So it is pinged while anybody waits, and killed when it does not answer.

use std::{
    collections::HashMap,
    fs::File,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream as StdStream,
    },
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use liege_core::Probed;
use liege_plan::{FrameReader, encode};
use liege_sys::{
    Strings,
    clone::{Birth, Child, Namespaces},
    pidfd,
};
use nix::{
    fcntl::{OFlag, open},
    sys::stat::Mode,
};
use tokio::{
    net::UnixStream,
    sync::{mpsc, oneshot},
    task::spawn_blocking,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    protocol::{FromProber, Instance, Look, ToProber},
    server::{SOCKET, write_all},
};
use crate::children::Children;

/// A prober that lived as long as this did not die young.
const SETTLED: Duration = Duration::from_secs(10);
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// How often a prober that somebody waits for is asked whether it is there.
const PING: Duration = Duration::from_secs(2);
/// And how long it may be silent. Its answer waits for no mount.
const SILENCE: Duration = Duration::from_secs(10);

/// Where checks and lives get somebody to ask.
#[derive(Clone, Debug)]
pub(crate) struct Prober {
    children: Arc<Children>,
    /// Weak: the askers alone keep a prober alive.
    current: Arc<Mutex<mpsc::WeakUnboundedSender<Request>>>,
}

/// A handle to ask with. When the last one is dropped the prober ends.
#[derive(Clone, Debug)]
pub(crate) struct Asker(mpsc::UnboundedSender<Request>);

#[derive(Debug)]
enum Request {
    Look(Look, mpsc::UnboundedSender<Probed>),
    Secure(Instance),
    Abort(Instance),
    Forget(Instance),
    Examine(Instance, oneshot::Sender<Vec<String>>),
}

impl Prober {
    /// Nothing is started yet.
    pub(crate) fn new(children: Arc<Children>) -> Self {
        Self { children, current: Arc::new(Mutex::new(mpsc::unbounded_channel().0.downgrade())) }
    }

    /// A handle to the prober that lives, or to one that will be started when it is asked.
    pub(crate) fn asker(&self) -> Asker {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let asks = current.upgrade().unwrap_or_else(|| {
            let (asks, requests) = mpsc::unbounded_channel();
            tokio::spawn(keep(Arc::clone(&self.children), requests));
            *current = asks.downgrade();
            asks
        });
        Asker(asks)
    }
}

impl Asker {
    /// Looks at a mount. The news end with the answer, or with the prober; while it lasts there is more than one.
    pub(crate) fn look(&self, look: Look) -> mpsc::UnboundedReceiver<Probed> {
        let (tell, news) = mpsc::unbounded_channel();
        self.ask(Request::Look(look, tell));
        news
    }

    /// Gets hold of the emergency exits of a life.
    pub(crate) fn secure(&self, of: Instance) {
        self.ask(Request::Secure(of));
    }

    /// Uses them.
    pub(crate) fn abort(&self, of: Instance) {
        self.ask(Request::Abort(of));
    }

    /// Lets go of them.
    pub(crate) fn forget(&self, of: Instance) {
        self.ask(Request::Forget(of));
    }

    /// Finds out who holds up the end of a life. None: the prober died over it.
    pub(crate) async fn examine(&self, of: Instance) -> Option<Vec<String>> {
        let (tell, found) = oneshot::channel();
        self.ask(Request::Examine(of, tell));
        found.await.ok()
    }

    fn ask(&self, request: Request) {
        self.0.send(request).ok(); // who keeps the prober ends with the runtime only
    }
}

/// Starts probers, one after the other.
async fn keep(children: Arc<Children>, mut requests: mpsc::UnboundedReceiver<Request>) {
    let mut delay = Duration::ZERO;
    let mut secured = HashMap::new();
    while let Some(first) = requests.recv().await {
        let started = Instant::now();
        let children = Arc::clone(&children);
        match spawn_blocking(move || start(&children)).await {
            Ok(Ok((socket, child))) => match converse(socket, first, &mut requests, &mut secured).await {
                Served::Over => return,
                Served::Died => tracing::warn!(target: "mountpoint", "the prober died; it is started again"),
                Served::Silent => {
                    pidfd::signal(&child.pidfd, nix::libc::SIGKILL).ok();
                    tracing::warn!(
                        target: "mountpoint",
                        "the prober (pid {}) was silent for {SILENCE:?} and is killed: was it stopped? It is started again", child.pid
                    );
                }
            },
            Ok(Err(error)) => tracing::error!(target: "mountpoint", "start the prober: {error}"),
            Err(_) => return, // the runtime is ending
        }
        delay = if started.elapsed() > SETTLED {
            Duration::ZERO
        } else {
            (delay * 2).clamp(Duration::from_millis(50), LONGEST_DELAY)
        };
        sleep(delay).await;
    }
}

/// How the conversation with one prober ended.
enum Served {
    /// The daemon needs none any more.
    Over,
    /// The prober is gone.
    Died,
    /// It is there and says nothing.
    Silent,
}

/// Carries requests and answers until one side ends. Whoever still waits then hears no more, by the dropped sender.
async fn converse(
    socket: StdStream,
    first: Request,
    requests: &mut mpsc::UnboundedReceiver<Request>,
    secured: &mut HashMap<u64, Instance>,
) -> Served {
    let Ok(socket) = UnixStream::from_std(socket) else { return Served::Died };
    let mut looks = Looks::default();
    let mut frames = FrameReader::default();
    let mut buffer = vec![0; 16 << 10];
    // What the last one held first, then what is asked of this one.
    let mut outgoing: Vec<ToProber> = secured.values().cloned().map(ToProber::Secure).collect();
    outgoing.push(looks.message(first, secured));
    let mut patience = Patience::from(Instant::now());
    loop {
        for message in outgoing.drain(..) {
            let Ok(frame) = encode(&message) else { continue };
            match timeout(SILENCE, write_all(&socket, &frame)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Served::Died,
                Err(_) => return Served::Silent,
            }
        }
        tokio::select! {
            request = requests.recv() => match request {
                Some(request) => {
                    if looks.waiting.is_empty() {
                        patience = Patience::from(Instant::now());
                    }
                    outgoing.push(looks.message(request, secured));
                }
                None => return Served::Over,
            },
            ready = socket.readable() => {
                if ready.is_err() || read(&socket, &mut buffer, &mut frames, &mut looks).is_err() {
                    return Served::Died;
                }
                patience.heard = Instant::now();
            }
            () = sleep_until(patience.ping), if !looks.waiting.is_empty() => {
                if patience.is_over(Instant::now()) {
                    return Served::Silent;
                }
                outgoing.push(ToProber::Ping);
            }
        }
    }
}

/// How long a prober has been silent while somebody waited for it. While nobody does it has nothing to say, so each time somebody
/// begins to wait this begins anew.
#[derive(Debug)]
struct Patience {
    heard: Instant,
    ping: Instant,
}

impl Patience {
    fn from(now: Instant) -> Self {
        Self { heard: now, ping: now + PING }
    }

    /// A ping is due: or it has been silent for too long.
    fn is_over(&mut self, now: Instant) -> bool {
        self.ping = now + PING;
        now - self.heard > SILENCE
    }
}

/// Who waits for news.
#[derive(Default)]
struct Looks {
    last_id: u64,
    waiting: HashMap<u64, mpsc::UnboundedSender<Probed>>,
    examining: HashMap<u64, oneshot::Sender<Vec<String>>>,
}

impl Looks {
    fn message(&mut self, request: Request, secured: &mut HashMap<u64, Instance>) -> ToProber {
        match request {
            Request::Look(look, tell) => {
                self.last_id += 1;
                self.waiting.insert(self.last_id, tell);
                ToProber::Look { id: self.last_id, look }
            }
            Request::Secure(of) => {
                secured.insert(of.birth, of.clone());
                ToProber::Secure(of)
            }
            Request::Abort(of) => ToProber::Abort(of),
            Request::Examine(of, tell) => {
                self.last_id += 1;
                self.examining.insert(self.last_id, tell);
                ToProber::Examine { id: self.last_id, of }
            }
            Request::Forget(of) => {
                secured.remove(&of.birth);
                ToProber::Forget(of)
            }
        }
    }

    fn hear(&mut self, message: FromProber) {
        // A check that was taken back does not wait any more, nor does a life that is over.
        match message {
            FromProber::Probed { id, probed, last } => {
                let tell = if last { self.waiting.remove(&id) } else { self.waiting.get(&id).cloned() };
                tell.map(|tell| tell.send(probed).ok());
            }
            FromProber::Examined { id, found } => drop(self.examining.remove(&id).map(|tell| tell.send(found).ok())),
            FromProber::Pong => {}
        }
    }
}

fn read(socket: &UnixStream, buffer: &mut [u8], frames: &mut FrameReader, looks: &mut Looks) -> io::Result<()> {
    match socket.try_read(buffer) {
        Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(n) => frames.push(&buffer[..n]),
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
        Err(e) => return Err(e),
    }
    while let Some(message) = frames.next::<FromProber>().map_err(io::Error::other)? {
        looks.hear(message);
    }
    Ok(())
}

/// Starts a prober. It is registered as a child, so that its end is reaped and no sweep takes it for an orphan; that it has
/// ended is seen at the socket.
fn start(children: &Children) -> anyhow::Result<(StdStream, Child)> {
    let (ours, theirs) = StdStream::pair()?;
    ours.set_nonblocking(true)?;
    let program: OwnedFd = open("/proc/self/exe", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    let stderr = io::stderr();
    let (child, _ending) = children.spawn(&Birth {
        namespaces: Namespaces::default(),
        cgroup: None,
        program: program.as_fd(),
        argv: &Strings::new(["liege", "prober"])?,
        env: &Strings::new(["PATH=/usr/bin:/bin"])?,
        fds: &[(null.as_fd(), 0), (null.as_fd(), 1), (stderr.as_fd(), 2), (theirs.as_fd(), SOCKET)],
    })?;
    tracing::debug!(target: "mountpoint", pid = child.pid, "the prober lives");
    Ok((ours, child))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_counted_from_when_somebody_began_to_wait() {
        let begin = Instant::now();
        let mut patience = Patience::from(begin);
        assert!((1..=5).all(|n| !patience.is_over(begin + n * PING)));
        assert!(patience.is_over(begin + 6 * PING));
        // An hour later somebody else asks.
        let later = begin + Duration::from_secs(3600);
        patience = Patience::from(later);
        assert!(!patience.is_over(later + PING));
    }
}
