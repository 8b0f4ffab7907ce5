//! FUSE mounts that a life without a mount namespace of its own has left on the host.
//!
//! Init unmounts them. It cannot where it was killed, or where no process can be made for it. One that stays is dead, and in the way of the next
//! life of the vassal, which mounts at the same place. So what init has told of last is looked for when the life is over, and detached.
//!
//! The way to a mount may lead through a FUSE mount of another, which need not answer: what walks it may hang beyond SIGKILL. So a process of its
//! own walks (`liege detach`), each way on a thread of its own, and after [`PATIENCE`] it is killed, and not waited for. Where no process can be
//! made the daemon walks those ways that no FUSE mount stands on. (None comes there meanwhile: to mount one takes a process too.)
//!
//! Races: the number of a mount, and that of a connection, may be another's by then. Both must be those init has told, at the same place.

use std::{
    fmt::Display,
    io::{self, BufRead, BufReader, Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    path::Path,
    process::ExitCode,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::anyhow;
use liege_plan::HostMount;
use liege_sys::{Errno, clone::BirthError, fds::inherited, mount::detach_exactly, mountinfo, pidfd, process, signals::SIGKILL};
use serde::{Deserialize, Serialize};

use crate::{
    children::Children,
    own_program::{Helper, OwnProgram, SOCKET},
};

/// The hidden verb.
const VERB: &str = "detach";
/// A way that takes longer leads through a mount that does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What became of one of the mounts.
#[derive(Debug, Serialize, Deserialize)]
struct Outcome {
    /// Its place among those that were sent.
    index: usize,
    /// 0: it is detached.
    errno: i32,
}

/// Takes away what stands of these, and tells what stays. Blocks for [`PATIENCE`] at most, beside the start of the helper.
pub(crate) fn take_away(left: &[HostMount], program: &OwnProgram, children: &Children) {
    let standing = standing(left.iter());
    if standing.is_empty() {
        return;
    }
    let outcomes = detach_apart(&standing, program, children).or_else(|error| match error.downcast_ref::<BirthError>() {
        Some(refused) => Ok(detach_here(&standing, refused.errno)),
        None => Err(error),
    });
    // Where one stood on another both are gone with the first, and the way to the second is refused.
    for mount in self::standing(standing.iter().copied()) {
        let index = standing.iter().position(|other| *other == mount);
        match &outcomes {
            Ok(outcomes) => match outcomes.iter().find(|outcome| Some(outcome.index) == index) {
                Some(outcome) => stays(mount, Errno::from_raw(outcome.errno)),
                None => stays(mount, format_args!("another mount on the way to it has not answered for {PATIENCE:?}")),
            },
            Err(error) => stays(mount, error),
        }
    }
}

fn stays(mount: &HostMount, why: impl Display) {
    tracing::warn!(target: "vassal", "{:?} stays mounted on the host, and dead: {why}. umount -l it", mount.point);
}

/// Those that are in the table.
fn standing<'a>(mounts: impl Iterator<Item = &'a HostMount>) -> Vec<&'a HostMount> {
    let Ok(table) = mountinfo::own() else { return Vec::new() };
    mounts.filter(|mount| table.iter().any(|line| is_line_of(line, mount))).collect()
}

fn is_line_of(line: &mountinfo::Mount, mount: &HostMount) -> bool {
    line.is_fuse() && (line.id, line.device.1) == (mount.id, mount.minor) && line.mount_point.to_str() == Some(&*mount.point)
}

/// What became of each, of those whose way came to an end.
fn detach_apart(standing: &[&HostMount], program: &OwnProgram, children: &Children) -> anyhow::Result<Vec<Outcome>> {
    let (mut ours, theirs) = UnixStream::pair()?;
    let until = Instant::now() + PATIENCE;
    let (child, _ending) = program.start(Helper { verb: VERB, env: &[], socket: &theirs, stderr: None }, children)?;
    drop(theirs);
    let mut talk = || {
        ours.set_write_timeout(Some(PATIENCE))?;
        ours.write_all(&serde_json::to_vec(standing)?)?;
        ours.shutdown(Shutdown::Write)?;
        let (mut outcomes, mut answers) = (Vec::new(), BufReader::new(&ours));
        while outcomes.len() < standing.len() {
            let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else { break };
            ours.set_read_timeout(Some(left))?;
            let mut line = String::new();
            match answers.read_line(&mut line) {
                Ok(0) => break,
                Ok(_) => outcomes.push(serde_json::from_str(&line)?),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(outcomes)
    };
    let outcomes = talk();
    pidfd::signal(&child.pidfd, SIGKILL).ok(); // it may have ended
    outcomes
}

/// What became of each, where only the way to some is walked. To the others this is the answer.
fn detach_here(standing: &[&HostMount], refused: Errno) -> Vec<Outcome> {
    let Ok(table) = mountinfo::own() else { return Vec::new() };
    let is_free = |mount: &HostMount| {
        let is_on_the_way = |line: &mountinfo::Mount| line.is_fuse() && Path::new(&mount.point).starts_with(&line.mount_point);
        !table.iter().any(|line| line.mount_point.to_str() != Some(&*mount.point) && is_on_the_way(line))
    };
    let errno = |mount| if is_free(mount) { detach(mount) } else { refused as i32 };
    standing.iter().enumerate().map(|(index, mount)| Outcome { index, errno: errno(mount) }).collect()
}

fn detach(mount: &HostMount) -> i32 {
    detach_exactly(Path::new(&mount.point), mount.id).err().map_or(0, |errno| errno as i32)
}

/// The helper's own side: `liege detach`, with the socket as fd 3.
///
/// # Errors
/// There is no socket at fd 3 (the verb was called by hand), or nothing that can be read from it.
pub fn serve() -> anyhow::Result<ExitCode> {
    process::keep_to_itself(); // vassals without a pid namespace see it
    let socket = inherited(SOCKET).ok_or_else(|| anyhow!("`{VERB}` is started by the daemon, not by hand"))?;
    let mut socket = UnixStream::from(socket);
    let mut sent = Vec::new();
    socket.read_to_end(&mut sent)?;
    let (mounts, socket): (Vec<HostMount>, _) = (serde_json::from_slice(&sent)?, Arc::new(socket));
    let ways = mounts.into_iter().enumerate().map(|(index, mount)| {
        let socket = Arc::clone(&socket);
        thread::Builder::new().stack_size(64 << 10).spawn(move || walk(index, &mount, &socket))
    });
    let ways: Vec<_> = ways.collect();
    ways.into_iter().flatten().for_each(|way| drop(way.join()));
    Ok(ExitCode::SUCCESS)
}

fn walk(index: usize, mount: &HostMount, mut socket: &UnixStream) {
    let Ok(mut line) = serde_json::to_vec(&Outcome { index, errno: detach(mount) }) else { return };
    line.push(b'\n');
    socket.write_all(&line).ok(); // nobody waits for it any more
}
