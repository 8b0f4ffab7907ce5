//! The daemon's side: asks, and keeps a prober alive to ask.
//!
//! It lives as long as somebody may ask: the first request starts it, a daemon without checks has none. When it dies, whoever
//! waits is answered "unknown", and the next request starts another one, a little later each time it dies young.

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

use liege_core::Health;
use liege_plan::{FrameReader, encode};
use liege_sys::{
    Strings,
    clone::{Birth, Namespaces},
};
use nix::{
    errno::Errno,
    fcntl::{OFlag, open},
    sys::stat::Mode,
};
use tokio::{
    net::UnixStream,
    sync::{mpsc, oneshot},
    task::spawn_blocking,
    time::{Instant, sleep},
};

use super::{
    protocol::{Answer, Ask, Probed},
    server::{SOCKET, write_all},
};
use crate::children::Children;

/// A prober that lived as long as this did not die young.
const SETTLED: Duration = Duration::from_secs(10);
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// Where checks get somebody to ask.
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
struct Request {
    pid: i32,
    path: String,
    answer: oneshot::Sender<Probed>,
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
    /// Looks at a mount; waits as long as it takes.
    pub(crate) async fn probe(&self, pid: i32, path: &str) -> Probed {
        let (answer, answered) = oneshot::channel();
        self.0.send(Request { pid, path: path.to_owned(), answer }).ok();
        answered.await.unwrap_or_else(|_| unknown(Errno::EPIPE))
    }
}

/// Not an answer of the mount.
fn unknown(errno: Errno) -> Probed {
    Probed { health: Health::Unknown { errno: errno as i32 }, micros: 0 }
}

/// Starts probers, one after the other.
async fn keep(children: Arc<Children>, mut requests: mpsc::UnboundedReceiver<Request>) {
    let mut delay = Duration::ZERO;
    while let Some(first) = requests.recv().await {
        let started = Instant::now();
        let children = Arc::clone(&children);
        match spawn_blocking(move || start(&children)).await {
            Ok(Ok(socket)) => match serve(socket, first, &mut requests).await {
                Served::Over => return,
                Served::Died => tracing::warn!(target: "mountpoint", "the prober died; it is started again"),
            },
            Ok(Err(error)) => {
                first.answer.send(unknown(Errno::EIO)).ok();
                tracing::error!(target: "mountpoint", "start the prober: {error}");
            }
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
}

/// Carries requests and answers until one side ends. Whoever still waits then gets his "unknown" by the dropped sender.
async fn serve(socket: StdStream, first: Request, requests: &mut mpsc::UnboundedReceiver<Request>) -> Served {
    let Ok(socket) = UnixStream::from_std(socket) else { return Served::Died };
    let mut waiting = HashMap::new();
    let mut frames = FrameReader::default();
    let mut buffer = vec![0; 16 << 10];
    let mut next_id = 0;
    let mut next = Some(first);
    loop {
        if let Some(Request { pid, path, answer }) = next.take() {
            next_id += 1;
            let Ok(frame) = encode(&Ask { id: next_id, pid, path }) else { continue };
            waiting.insert(next_id, answer);
            if write_all(&socket, &frame).await.is_err() {
                return Served::Died;
            }
        }
        tokio::select! {
            request = requests.recv() => match request {
                Some(request) => next = Some(request),
                None => return Served::Over,
            },
            ready = socket.readable() => {
                if ready.is_err() || read(&socket, &mut buffer, &mut frames, &mut waiting).is_err() {
                    return Served::Died;
                }
            }
        }
    }
}

fn read(
    socket: &UnixStream,
    buffer: &mut [u8],
    frames: &mut FrameReader,
    waiting: &mut HashMap<u64, oneshot::Sender<Probed>>,
) -> io::Result<()> {
    match socket.try_read(buffer) {
        Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(n) => frames.push(&buffer[..n]),
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
        Err(e) => return Err(e),
    }
    while let Some(Answer { id, probed }) = frames.next().map_err(io::Error::other)? {
        if let Some(answer) = waiting.remove(&id) {
            answer.send(probed).ok(); // a check that was taken back does not wait any more
        }
    }
    Ok(())
}

/// Starts a prober. It is registered as a child, so that its end is reaped and no sweep takes it for an orphan; that it has
/// ended is seen at the socket.
fn start(children: &Children) -> anyhow::Result<StdStream> {
    let (ours, theirs) = StdStream::pair()?;
    ours.set_nonblocking(true)?;
    let program: OwnedFd = open("/proc/self/exe", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    let stderr = io::stderr();
    let (child, _ending) = children.spawn(&Birth {
        namespaces: Namespaces::default(),
        program: program.as_fd(),
        argv: &Strings::new(["liege", "prober"])?,
        env: &Strings::new(["PATH=/usr/bin:/bin"])?,
        fds: &[(null.as_fd(), 0), (null.as_fd(), 1), (stderr.as_fd(), 2), (theirs.as_fd(), SOCKET)],
    })?;
    tracing::debug!(target: "mountpoint", pid = child.pid, "the prober lives");
    Ok(ours)
}
