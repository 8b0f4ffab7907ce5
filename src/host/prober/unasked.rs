//! Whether a mount that cannot be asked is dead.
//!
//! A look needs a thread, and for most FUSE mounts a process. Where none can be made, the looks have a fixed number of both (`server.rs`).
//! The mounts of as many owners, hung at once, hold all of them for as long as the files of those owners say. However they are
//! shared, one owner more takes the last. So this needs neither: [`is_dead`] reads `/proc` on a thread of the judges, whose
//! calls hang for nobody.
//!
//! The sign: a FUSE mount is dead from the moment on when no process has its connection open. A mount that answered before, that still
//! stands in the life's table, and whose connection no process has open, answers ENOTCONN to whoever asks it. Two looks at the life, one at
//! the machine between them: a daemon that forks meanwhile is in one of them. What cannot be read may be a process that serves it.
//!
//! Which processes count: of a mount of the life's own those of the life alone. It came in this life, the host's table has it not, and the life
//! has a pid namespace. An fd of the same number elsewhere is of a connection that has ended (`fuse_daemon.rs`). Of any other mount all
//! processes of the machine count, so all must be in sight: in the first pid namespace, where none refuses to be looked at.
//!
//! Kernels before 6.16 do not tell which connection an fd belongs to. There any `/dev/fuse` counts that is open in the life, so of two mounts of
//! one life the dead one is not known while the other is served.
//!
//! Deliberately not here: a hung mount. That it does not answer only a question tells; without one it stays unknown.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use liege_core::Health;
use liege_sys::{
    Errno,
    descendants::is_below,
    fuse_daemon::{self, Found},
    mountinfo,
};
use tokio::time::sleep;

use super::{
    late::Signs,
    protocol::{Answered, Look},
    server::JUDGES,
};

/// What the mount would say.
pub(super) const DEAD: Health = Health::Dead { errno: Errno::ENOTCONN as i32 };

/// A look that has no thread for so long is looked into, and again so often.
const UNHEARD: Duration = Duration::from_millis(250);

/// The first pid namespace (`PROC_PID_INIT_INO`).
const FIRST_NAMESPACE: &str = "pid:[4026531836]";

/// Comes back when the mount of a look that waits for a thread is dead.
pub(super) async fn until_dead(look: &Look, signs: &Arc<Signs>) {
    loop {
        sleep(UNHEARD).await;
        if is_dead(look, signs).await {
            return;
        }
    }
}

/// Whether the mount that answered last at the path of this look is dead now. False: it lives, or nobody can tell.
pub(super) async fn is_dead(look: &Look, signs: &Arc<Signs>) -> bool {
    let Some(answered) = look.answered else { return false };
    let since = Instant::now();
    loop {
        let (pid, signs) = (look.pid, Arc::clone(signs));
        if let Some(is_dead) = JUDGES.finish(move || seen(pid, answered, since, &signs)).await {
            return is_dead;
        }
        sleep(UNHEARD).await;
    }
}

/// None: it is asked again, because the processes of the machine were not looked at since.
fn seen(pid: i32, answered: Answered, since: Instant, signs: &Signs) -> Option<bool> {
    let minor = answered.device.1;
    let is_idle = || stands(pid, answered) && fuse_daemon::serving(pid, minor).is_empty();
    if !is_idle() {
        return Some(false);
    }
    let nobody = match signs.outside.find(minor, since) {
        Found::NotYet => return None,
        Found::Unread => false,
        Found::Holders { known, untold } if is_own(pid, answered) => {
            !known.iter().chain(&untold).any(|&holder| is_below(holder, pid))
        }
        Found::Holders { known, untold } => all_are_in_sight() && known.is_empty() && untold.is_empty(),
    };
    Some(nobody && is_idle())
}

fn stands(pid: i32, answered: Answered) -> bool {
    let stands = |mount: &mountinfo::Mount| mount.id == answered.listed && mount.device == answered.device && mount.is_fuse();
    mountinfo::of(pid).is_ok_and(|mounts| mounts.iter().any(stands))
}

fn all_are_in_sight() -> bool {
    namespace("self").as_deref() == Some(Path::new(FIRST_NAMESPACE))
}

/// Whether only processes of the life can serve it.
fn is_own(pid: i32, answered: Answered) -> bool {
    let is_apart = namespace(&pid.to_string()).is_some_and(|of_life| namespace("self").is_some_and(|own| own != of_life));
    let is_not_the_hosts = || mountinfo::own().is_ok_and(|mounts| mounts.iter().all(|mount| mount.device != answered.device));
    answered.is_of_life && is_apart && is_not_the_hosts()
}

fn namespace(of: &str) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{of}/ns/pid")).ok()
}
