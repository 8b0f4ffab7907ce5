//! The prober's own side: `liege prober`, with the socket as fd 3.
//!
//! One thread reads requests; each probe runs on a thread of the pool [`PROBES`], which has room for every check there is, so
//! that a thousand hung mounts do not make a healthy one look ill. What judges a late one, and what ends connections, has threads
//! of its own, which are there when no further thread can be had. Ends at EOF without waiting for probes that hang.
//!
//! What a look needs: a thread, and at most five fds (root, mount, user namespace, a pipe) of which one or two are left while it hangs. A
//! life with FUSE mounts has one for its pid namespace and one for each connection. So the limit of fds is raised as far as it goes; a
//! thread that cannot be had is told after the look's own timeout.
//!
//! What a look needs when no process or thread can be made is there from the start: [`LOOKERS`] threads, and the processes that ask as a
//! mount's owner (`sys/reserve.rs`), which are fewer, so that their hanging leaves threads for what needs none of them. Those that ask in a
//! life's user namespace are there a second after the first such look. The threads are shared among the owners of vassals (`workers.rs`):
//! as many owners as there are processes in reserve keep the others from a thread, if the mounts of all of them hang; fewer do not. However
//! many there are, a mount that dies meanwhile is seen: for that a look needs neither (`unasked.rs`).
//!
//! Lean on purpose: it inherits nothing but the socket and stderr, and its threads get small stacks.

use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use liege_plan::{FrameReader, encode};
use liege_sys::{fuse_daemon::Outside, fusectl::Connections, insiders, limits, process, reserve, signals};
use tokio::{net::UnixStream, sync::mpsc, time::sleep};

use super::{
    exits::Exits,
    late::Signs,
    look::look,
    protocol::{FromProber, ToProber},
    threads::Threads,
};
use crate::{
    own_program::SOCKET,
    workers::{Pool, Size},
};

/// More checks than one daemon has fds for: a probe never waits for a thread.
const PROBES_AT_ONCE: usize = 20_000;

/// Each probe renews the life of the thread it gets: with a long one a pool that was large stays so.
const KEEP: Duration = Duration::from_millis(250);

/// Threads that look and are there when no further thread can be had. Three owners whose looks all hang leave one of them.
const LOOKERS: usize = 3 * reserve::ASKERS;

/// Looks at mounts; each may hang.
pub(super) static PROBES: Pool =
    Pool::new(&Size { name: "probe", fixed: LOOKERS, most: PROBES_AT_ONCE, stack: STACK, keep: KEEP });
/// Looks for the one to blame, and at what cannot be asked; none hangs.
pub(super) static JUDGES: Pool = Pool::new(&Size { name: "judge", fixed: 1, most: 64, stack: STACK, keep: KEEP });
/// Holds and ends connections; a long mount table takes seconds.
pub(super) static EXITS: Pool = Pool::new(&Size { name: "exit", fixed: 1, most: 512, stack: STACK, keep: KEEP });

/// How often it is looked whether threads hang for nobody.
const ROUND: Duration = Duration::from_secs(1);

/// A keeper of the reserve makes a clone and waits for its end.
const KEEPERS_STACK: usize = 64 << 10;

/// A probe formats a path and reads a mountinfo line by line.
const STACK: usize = 128 << 10;

/// Serves until the daemon closes the socket.
///
/// # Errors
/// There is no socket at fd 3 (somebody called the verb by hand), or no runtime.
pub fn serve() -> anyhow::Result<ExitCode> {
    signals::outlive_file_limit().ok(); // its stderr is the daemon's log
    process::keep_to_itself(); // vassals without a pid namespace see it, and its children that enter theirs
    limits::raise_for_many().ok(); // what it has is what the daemon has
    [&PROBES, &JUDGES, &EXITS].into_iter().try_for_each(Pool::start).context("start the prober's threads")?;
    let kept = keep_in_reserve(0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("make the prober's runtime")?;
    let socket = liege_sys::fds::inherited(SOCKET).ok_or_else(|| anyhow!("`prober` is started by the daemon, not by hand"))?;
    let connections = Arc::new(Connections::open().unwrap_or_else(|errno| {
        // Ordinary mounts can be watched without it; the log is our stderr.
        // (`eprintln!` panics where nobody reads it.)
        writeln!(
            io::stderr(),
            "liege prober: no FUSE control file system ({errno}): hung FUSE mounts cannot be told from slow ones, nor freed"
        )
        .ok();
        Connections::none()
    }));
    let (answers, outgoing) = mpsc::unbounded_channel();
    let result = runtime.block_on(async {
        let socket = std::os::unix::net::UnixStream::from(socket);
        socket.set_nonblocking(true)?;
        let socket = Arc::new(UnixStream::from_std(socket)?);
        let threads = Arc::new(Threads::default());
        tokio::spawn(send(Arc::clone(&socket), outgoing));
        tokio::spawn(watch(Arc::clone(&threads), kept, answers.clone()));
        converse(&socket, &connections, &threads, &answers).await
    });
    runtime.shutdown_background(); // threads that hang in a probe end with the process
    // An error means the daemon is gone, which is the ordinary end.
    Ok(if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn converse(
    socket: &UnixStream,
    connections: &Arc<Connections>,
    threads: &Arc<Threads>,
    answers: &mpsc::UnboundedSender<FromProber>,
) -> io::Result<()> {
    let mut exits = Exits::new(Arc::clone(connections), answers.clone());
    let signs = Arc::new(Signs { connections: Arc::clone(connections), outside: Outside::default() });
    let mut frames = FrameReader::default();
    let mut buffer = vec![0; 16 << 10];
    loop {
        socket.readable().await?;
        match socket.try_read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => frames.push(&buffer[..n]),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => continue,
            Err(e) => return Err(e),
        }
        while let Some(message) = frames.next::<ToProber>().map_err(io::Error::other)? {
            // Whom an answer does not reach any more is gone, and the socket's end says so next.
            match message {
                ToProber::Look { id, look: asked } => {
                    let answers = answers.clone();
                    let tell = move |probed, last, is_need| drop(answers.send(FromProber::Probed { id, probed, last, is_need }));
                    let under_way = threads.enter(id, &asked);
                    let judge = tokio::spawn(look(&PROBES, asked, under_way, Arc::clone(&signs), tell));
                    threads.judged_by(id, judge.abort_handle());
                }
                ToProber::Cancel { id } => threads.cancel(id),
                ToProber::Ping => drop(answers.send(FromProber::Pong)),
                request => exits.hear(request),
            }
        }
    }
}

/// Starts the keepers of the reserve; so many are started. Gives how many are now: one that cannot be had now is tried for again.
fn keep_in_reserve(kept: usize) -> usize {
    let start =
        |place| thread::Builder::new().name("reserve".into()).stack_size(KEEPERS_STACK).spawn(move || reserve::keep(place));
    (kept..reserve::ASKERS).find(|&place| start(place).is_err()).unwrap_or(reserve::ASKERS)
}

/// Starts the keeper of a process in a user namespace. One that cannot be had is wanted again by the next look.
fn keep_inside(keeper: insiders::Keeper) {
    thread::Builder::new().name("inside".into()).stack_size(KEEPERS_STACK).spawn(move || keeper.keep()).ok();
}

/// Tells of threads that hang for nobody, and sees to the reserve.
async fn watch(threads: Arc<Threads>, mut kept: usize, answers: mpsc::UnboundedSender<FromProber>) {
    loop {
        sleep(ROUND).await;
        kept = keep_in_reserve(kept);
        insiders::wanted().into_iter().for_each(keep_inside);
        if let Some(found) = threads.stranded(Instant::now()) {
            answers.send(FromProber::Stranded { found }).ok();
        }
    }
}

async fn send(socket: Arc<UnixStream>, mut outgoing: mpsc::UnboundedReceiver<FromProber>) {
    while let Some(answer) = outgoing.recv().await {
        let Ok(bytes) = encode(&answer) else { return };
        if write_all(&socket, &bytes).await.is_err() {
            return;
        }
    }
}

/// Writes everything, waiting for room.
pub(super) async fn write_all(socket: &UnixStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        socket.writable().await?;
        match socket.try_write(bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
