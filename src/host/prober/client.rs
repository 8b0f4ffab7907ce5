//! The daemon's side: asks, and keeps a prober alive to ask.
//!
//! It lives as long as somebody may ask: the first request starts it, a daemon without checks and without FUSE mounts has none.
//! When it dies, whoever waits for a look is told so, another one is started (a little later each time it dies young, at most a second
//! later), and what stands is asked again: the exits it held are secured, the ends that were to be freed are freed. One that is stopped or
//! silent is as good as dead. So it is looked at and pinged while anything is asked of it, and killed when it does not answer. One that is in need is relieved
//! (`conversation.rs`).

use std::{
    io,
    os::{fd::AsFd, unix::net::UnixStream as StdStream},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use liege_core::{Health, Probed};
use liege_sys::{Errno, clone::BirthError, probe::CLASSIC_IDS};
use prometheus_client::metrics::counter::Counter;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep},
};

use super::{
    conversation::{Conversation, Served},
    patience::SILENCE,
    protocol::{Examined, Instance, Look},
    relief::Relief,
    standing::Standing,
    start_trouble::StartTrouble,
};
use crate::{
    children::{Children, Ending},
    own_program::{Helper, OwnProgram},
    workers::LIVES,
};

/// A prober that lived as long as this did not die young.
const SETTLED: Duration = Duration::from_secs(10);
/// No mount is looked at meanwhile. One that is started and dies at once costs milliseconds.
const LONGEST_DELAY: Duration = Duration::from_secs(1);

/// So long the one that is to take over may take to say that it hears. The other one is heard again before it counts as silent.
const TAKES_OVER: Duration = Duration::from_secs(3);

/// Where checks and lives get somebody to ask.
#[derive(Clone, Debug)]
pub(crate) struct Prober {
    children: Arc<Children>,
    program: Arc<OwnProgram>,
    /// Counts those that were replaced.
    restarts: Counter,
    /// Weak: the askers alone keep a prober alive.
    current: Arc<Mutex<mpsc::WeakUnboundedSender<Request>>>,
}

/// A handle to ask with. When the last one is dropped the prober ends.
#[derive(Clone, Debug)]
pub(crate) struct Asker(mpsc::UnboundedSender<Request>);

/// What can be asked.
#[derive(Debug)]
pub(super) enum Request {
    Look(Look, mpsc::UnboundedSender<Probed>),
    Secure(Instance, oneshot::Sender<()>),
    Abort(Instance),
    Forget(Instance),
    Examine(Instance, oneshot::Sender<Examined>),
}

impl Prober {
    /// Nothing is started yet.
    pub(crate) fn new(children: Arc<Children>, program: Arc<OwnProgram>, restarts: Counter) -> Self {
        Self { children, program, restarts, current: Arc::new(Mutex::new(mpsc::unbounded_channel().0.downgrade())) }
    }

    /// A handle to the prober that lives, or to one that will be started when it is asked.
    pub(crate) fn asker(&self) -> Asker {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let asks = current.upgrade().unwrap_or_else(|| {
            let (asks, requests) = mpsc::unbounded_channel();
            tokio::spawn(keep(Arc::clone(&self.children), Arc::clone(&self.program), requests, self.restarts.clone()));
            *current = asks.downgrade();
            asks
        });
        Asker(asks)
    }
}

impl Asker {
    /// Looks at a mount. The news end with the answer, or with the prober; while it lasts there is more than one. Dropped, the look is
    /// taken back.
    pub(crate) fn look(&self, look: Look) -> mpsc::UnboundedReceiver<Probed> {
        let (tell, news) = mpsc::unbounded_channel();
        self.ask(Request::Look(look, tell));
        news
    }

    /// Gets hold of the emergency exits of a life. The answer comes when they are held, or when there is no prober that could open them;
    /// an error: the life is over.
    pub(crate) fn secure(&self, of: Instance) -> oneshot::Receiver<()> {
        let (tell, secured) = oneshot::channel();
        self.ask(Request::Secure(of, tell));
        secured
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
    pub(crate) async fn examine(&self, of: Instance) -> Option<Examined> {
        let (tell, found) = oneshot::channel();
        self.ask(Request::Examine(of, tell));
        found.await.ok()
    }

    fn ask(&self, request: Request) {
        self.0.send(request).ok(); // who keeps the prober ends with the runtime only
    }
}

/// A prober, and its end.
type Started = (Conversation, Ending);

/// How a prober's service ended.
enum End {
    /// The daemon needs none any more.
    Over,
    /// This one takes over.
    Relieved(Box<Started>),
    Died,
    Stopped,
    Silent,
}

/// Starts probers, one after the other.
async fn keep(
    children: Arc<Children>,
    program: Arc<OwnProgram>,
    mut requests: mpsc::UnboundedReceiver<Request>,
    restarts: Counter,
) {
    let (mut standing, mut relief, mut delay) = (Standing::default(), Relief::default(), Duration::ZERO);
    let (mut next, mut trouble): (Option<Box<Started>>, _) = (None, StartTrouble::default());
    loop {
        // Where something stands, a prober is needed though nobody asks just now.
        let mut first = None;
        if standing.is_empty() && next.is_none() {
            first = requests.recv().await;
            if first.is_none() {
                return;
            }
        }
        let started = Instant::now();
        let made = match next.take() {
            Some(next) => Ok(*next),
            None => make(&children, &program).await,
        };
        match made {
            Ok((mut conversation, ending)) => {
                trouble.is_over();
                conversation.begin(first, &mut standing);
                let end = loop {
                    let need = match conversation.run(&mut requests, &mut standing).await {
                        Served::Needs(need) => need,
                        Served::Over => break End::Over,
                        Served::Died => break End::Died,
                        Served::Stopped => break End::Stopped,
                        Served::Silent => break End::Silent,
                    };
                    let successor =
                        if relief.may(&need, Instant::now()) { heir(&children, &program, &relief).await } else { None };
                    relief.tell(conversation.child.pid, &need, successor.is_some());
                    if let Some(successor) = successor {
                        break End::Relieved(Box::new(successor));
                    }
                };
                let pid = conversation.child.pid;
                match &end {
                    End::Over | End::Relieved(_) => {}
                    End::Died => tracing::warn!(target: "mountpoint", "the prober (pid {pid}) died; it is started again"),
                    End::Stopped => {
                        conversation.kill();
                        tracing::warn!(
                            target: "mountpoint",
                            "the prober (pid {pid}) was stopped (SIGSTOP) and is killed; it is started again"
                        );
                    }
                    End::Silent => {
                        conversation.kill();
                        tracing::warn!(
                            target: "mountpoint",
                            "the prober (pid {pid}) was silent for {SILENCE:?} and is killed: was it frozen? It is started again"
                        );
                    }
                }
                relief.see_off(conversation, ending, matches!(end, End::Relieved(_)));
                match end {
                    End::Over => return,
                    End::Relieved(successor) => {
                        restarts.inc();
                        next = Some(successor);
                        continue;
                    }
                    End::Died | End::Stopped | End::Silent => {}
                }
            }
            Err(error) => {
                let errno = error.chain().find_map(errno_of).unwrap_or(Errno::EAGAIN);
                if let Some(said) = trouble.of(&error, errno, Instant::now()) {
                    tracing::error!(target: "mountpoint", "{said}");
                }
                first.into_iter().for_each(|request| refuse(request, &mut standing, errno));
                while let Ok(request) = requests.try_recv() {
                    refuse(request, &mut standing, errno);
                }
                standing.give_up_waiting_for_exits();
            }
        }
        restarts.inc();
        delay = if started.elapsed() > SETTLED {
            Duration::ZERO
        } else {
            (delay * 2).clamp(Duration::from_millis(50), LONGEST_DELAY)
        };
        sleep(delay).await;
    }
}

async fn make(children: &Arc<Children>, program: &Arc<OwnProgram>) -> anyhow::Result<Started> {
    let (children, program) = (Arc::clone(children), Arc::clone(program));
    LIVES.run(move || start(&children, &program)).await.unwrap_or_else(|none| Err(none.into()))
}

/// One that can take over, because it says that it hears. Until there is one the other goes on: it may still look at something.
async fn heir(children: &Arc<Children>, program: &Arc<OwnProgram>, relief: &Relief) -> Option<Started> {
    match make(children, program).await {
        Ok((mut conversation, ending)) => {
            if conversation.answers(TAKES_OVER).await {
                return Some((conversation, ending));
            }
            conversation.kill();
            relief.see_off(conversation, ending, false);
        }
        Err(error) => tracing::error!(target: "mountpoint", "start another prober: {error:#}"),
    }
    None
}

/// There is no prober: a look is answered that it cannot be made, all others stand until there is one.
fn refuse(request: Request, standing: &mut Standing, errno: Errno) {
    match request {
        Request::Look(_, tell) => drop(tell.send(Probed::of(Health::Unknown { errno: errno as i32 }))),
        Request::Secure(of, tell) => drop(standing.secure(of, tell)),
        Request::Abort(of) => drop(standing.abort(of)),
        Request::Forget(of) => drop(standing.forget(of)),
        Request::Examine(of, tell) => drop(standing.examine(of, tell)),
    }
}

fn errno_of(error: &(dyn std::error::Error + 'static)) -> Option<Errno> {
    let birth = error.downcast_ref::<BirthError>().map(|error| error.errno);
    birth.or_else(|| error.downcast_ref::<Errno>().copied()).or_else(|| {
        let code = error.downcast_ref::<io::Error>()?.raw_os_error()?;
        Some(Errno::from_raw(code))
    })
}

/// Starts a prober. That it has ended is seen at the socket.
fn start(children: &Children, program: &OwnProgram) -> anyhow::Result<(Conversation, Ending)> {
    let (ours, theirs) = StdStream::pair()?;
    ours.set_nonblocking(true)?;
    let stderr = io::stderr();
    let for_tests = format!("{CLASSIC_IDS}=yes");
    let env = ["PATH=/usr/bin:/bin", &for_tests];
    let env = if std::env::var_os(CLASSIC_IDS).is_some() { &env[..] } else { &env[..1] };
    let helper = Helper { verb: "prober", env, socket: &theirs, stderr: Some(stderr.as_fd()) };
    let (child, ending) = program.start(helper, children)?;
    tracing::debug!(target: "mountpoint", pid = child.pid, "the prober lives");
    Ok((Conversation::new(ours, child)?, ending))
}
