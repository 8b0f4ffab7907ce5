//! The prober's own side: `liege prober`, with the socket as fd 3.
//!
//! One thread reads requests; each probe runs on a thread of the blocking pool, which has room for every check there is, so
//! that a thousand hung mounts do not make a healthy one look ill. Ends at EOF without waiting for probes that hang.
//!
//! Lean on purpose: it inherits nothing but the socket and stderr, and its threads get small stacks.

use std::{io, process::ExitCode, sync::Arc, time::Instant};

use anyhow::{Context, anyhow};
use liege_core::Health;
use liege_plan::{FrameReader, encode};
use liege_sys::{
    Errno,
    probe::{ProbeError, ProbeStage, probe},
};
use tokio::{net::UnixStream, sync::mpsc};

use super::protocol::{Answer, Ask, Probed};

/// The number under which the socket is inherited.
pub(crate) const SOCKET: i32 = 3;

/// More checks than one daemon has fds for: a probe never waits for a thread.
const PROBES_AT_ONCE: usize = 16_384;

/// A probe formats a path and reads a mountinfo line by line.
const STACK: usize = 128 << 10;

/// Serves until the daemon closes the socket.
///
/// # Errors
/// There is no socket at fd 3 (somebody called the verb by hand), or no runtime.
pub fn serve() -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .max_blocking_threads(PROBES_AT_ONCE)
        .thread_stack_size(STACK)
        .thread_name("probe")
        .build()
        .context("make the prober's runtime")?;
    let socket = liege_sys::fds::inherited(SOCKET).ok_or_else(|| anyhow!("`prober` is started by the daemon, not by hand"))?;
    let result = runtime.block_on(async {
        let socket = std::os::unix::net::UnixStream::from(socket);
        socket.set_nonblocking(true)?;
        converse(Arc::new(UnixStream::from_std(socket)?)).await
    });
    runtime.shutdown_background(); // threads that hang in a probe end with the process
    // An error means the daemon is gone, which is the ordinary end.
    Ok(if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn converse(socket: Arc<UnixStream>) -> io::Result<()> {
    let (answers, outgoing) = mpsc::unbounded_channel();
    tokio::spawn(send(Arc::clone(&socket), outgoing));
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
        while let Some(ask) = frames.next::<Ask>().map_err(io::Error::other)? {
            let answers = answers.clone();
            tokio::task::spawn_blocking(move || answers.send(answer(ask)));
        }
    }
}

async fn send(socket: Arc<UnixStream>, mut outgoing: mpsc::UnboundedReceiver<Answer>) {
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

fn answer(ask: Ask) -> Answer {
    let began = Instant::now();
    let health = judge(probe(ask.pid, &ask.path).map(drop));
    let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    Answer { id: ask.id, probed: Probed { health, micros } }
}

/// Tells an answer of the mount from an obstacle on the way to it.
///
/// uWSGI's check fails on any error of its `statfs`, also on a path that is not there. So following the path counts as the
/// mount's answer too (a dead FUSE root says `ENOTCONN` there already), unless the vassal itself is going away.
fn judge(found: Result<(), ProbeError>) -> Health {
    match found {
        Ok(()) => Health::Healthy,
        // We may everything, so this is a FUSE mount on the way that answers to its owner only, dead or alive.
        Err(ProbeError { stage: ProbeStage::Path, errno: Errno::EACCES }) => Health::Unknown { errno: Errno::EACCES as i32 },
        Err(ProbeError { stage: ProbeStage::Statfs | ProbeStage::Path | ProbeStage::Stat, errno }) if !is_ours(errno) => {
            Health::Dead { errno: errno as i32 }
        }
        Err(ProbeError { errno, .. }) => Health::Unknown { errno: errno as i32 },
    }
}

/// Errors of a prober in need, or of a vassal that ends, which no mount gives.
fn is_ours(errno: Errno) -> bool {
    matches!(errno, Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EAGAIN | Errno::EINTR | Errno::ESRCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(stage: ProbeStage, errno: Errno) -> Health {
        judge(Err(ProbeError { stage, errno }))
    }

    #[test]
    fn an_error_of_the_mount_is_its_death() {
        assert_eq!(judged(ProbeStage::Statfs, Errno::ENOTCONN), Health::Dead { errno: 107 });
        assert_eq!(judged(ProbeStage::Path, Errno::ENOENT), Health::Dead { errno: 2 });
    }

    #[test]
    fn an_error_on_the_way_says_nothing_about_the_mount() {
        assert_eq!(judged(ProbeStage::Root, Errno::ENOENT), Health::Unknown { errno: 2 });
        assert_eq!(judged(ProbeStage::Identity, Errno::EPERM), Health::Unknown { errno: 1 });
        assert_eq!(judged(ProbeStage::Path, Errno::EMFILE), Health::Unknown { errno: 24 });
        assert_eq!(judged(ProbeStage::Path, Errno::EACCES), Health::Unknown { errno: 13 });
    }
}
