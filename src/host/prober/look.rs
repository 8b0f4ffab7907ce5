//! One look at one mount.
//!
//! The probe itself blocks for as long as the mount's daemon pleases, on a thread of its own; beside it runs a clock that starts
//! with the probe's first system call, not when it was asked for. When the clock says late, it is found out who is to blame,
//! from signs that cannot block; that is told, and told again at every interval, until the probe ends.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use liege_core::{Came, Health, Mounted, Probed};
use liege_sys::{
    Errno,
    probe::{ProbeError, Seen, probe_observed},
};
use nix::unistd::gettid;
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

use super::{
    late::{STOPPED, Signs, Suspicion},
    protocol::Look,
    server::JUDGES,
    threads::UnderWay,
    unasked,
};
use crate::workers::Pool;

/// Work is measured in hundredths of a second: over less than this it cannot be told from none.
const SHORTEST_MEASURE: Duration = Duration::from_millis(100);

/// Looks; `tell` gets the news, whether it is the last, and whether it is the prober that lacked something.
pub(super) async fn look(
    threads: &'static Pool,
    look: Look,
    under_way: UnderWay,
    signs: Arc<Signs>,
    tell: impl Fn(Probed, bool, bool),
) {
    let progress = under_way.progress();
    let (begin, mut begun) = oneshot::channel();
    let mut probe = std::pin::pin!(threads.finish_for(look.whose(), {
        let (look, progress, signs) = (look.clone(), Arc::clone(&progress), Arc::clone(&signs));
        move || {
            let began = Instant::now();
            if !under_way.begin() {
                return (Probed::of(unknown(Errno::ECANCELED)), false);
            }
            begin.send((began, gettid().as_raw())).ok();
            let seen = probe_observed(look.pid, &look.path, &progress);
            (probed(&seen, began, &signs), seen.is_err_and(|error| error.is_need()))
        }
    }));
    let mut dead = std::pin::pin!(unasked::until_dead(&look, &signs));
    let (began, tid) = loop {
        tokio::select! {
            biased;
            // An error: it was taken back before it began, and the join tells it.
            begun = &mut begun => break begun.unwrap_or_else(|_| (Instant::now(), 0)),
            heard = &mut probe => return tell_answer(heard, &look, &signs, tell).await,
            () = &mut dead => return tell(Probed::of(unasked::DEAD), true, false),
            // There is no thread for it. It is begun when there is one.
            () = sleep(look.timeout) => tell(Probed::of(unknown(Errno::EAGAIN)), false, true),
        }
    };
    // The measure of work begins before the verdict is due, so that the verdict itself is not late.
    let measure = (look.timeout / 2).clamp(SHORTEST_MEASURE, Duration::from_secs(1)).min(look.timeout);
    let mut suspicion: Option<Suspicion> = None;
    let mut patience = look.timeout - measure;
    loop {
        if let Ok(heard) = timeout(patience, &mut probe).await {
            return tell_answer(heard, &look, &signs, tell).await;
        }
        let mut judging = std::pin::pin!(JUDGES.finish({
            let (look, progress, signs) = (look.clone(), Arc::clone(&progress), Arc::clone(&signs));
            move || {
                let verdict = suspicion.map(|suspicion| suspicion.confirmed(&signs.connections));
                if verdict.as_ref().is_some_and(|(health, _)| *health == STOPPED) {
                    progress.end_asker();
                }
                // The end of one measure is the beginning of the next.
                (Suspicion::raised(&look, progress.asks(), progress.asker().unwrap_or(tid), &signs), verdict)
            }
        }));
        let (raised, verdict) = loop {
            match timeout(look.timeout, &mut judging).await {
                Ok(judged) => break judged,
                Err(_) => tell(Probed::of(unknown(Errno::EAGAIN)), false, true),
            }
        };
        suspicion = Some(raised);
        patience = measure;
        if let Some((health, late)) = verdict {
            tell(Probed { micros: micros(began), late: Some(late), ..Probed::of(health) }, false, false);
            patience = look.interval.max(SHORTEST_MEASURE);
        }
    }
}

/// The last word of a look. One that lacked something has not asked.
async fn tell_answer((probed, is_need): (Probed, bool), look: &Look, signs: &Arc<Signs>, tell: impl Fn(Probed, bool, bool)) {
    if is_need && unasked::is_dead(look, signs).await {
        return tell(Probed::of(unasked::DEAD), true, false);
    }
    tell(probed, true, is_need);
}

fn unknown(errno: Errno) -> Health {
    Health::Unknown { errno: errno as i32 }
}

fn probed(seen: &Result<Seen, ProbeError>, began: Instant, signs: &Signs) -> Probed {
    let micros = micros(began);
    let mount = seen.as_ref().ok().map(|seen| {
        let sleeps = seen.fstype == "autofs";
        // The minor is a FUSE connection's only where the device is one; others have none of this number, or a stranger's.
        let is_fuse = seen.fstype.starts_with("fuse");
        let connection = (is_fuse && !seen.is_unique).then(|| signs.connections.identity(seen.device.1)).flatten();
        let is_root = seen.is_mountpoint && !sleeps;
        let came = seen.listed.map_or(Came::Unknown, Came::Listed);
        let (not_mounted, digest) = (seen.not_mounted, seen.digest);
        Mounted { id: seen.mount_id, device: seen.device, is_root, sleeps, not_mounted, connection, digest, came }
    });
    Probed { micros, mount, ..Probed::of(judge(seen.as_ref().map(drop).map_err(|error| *error))) }
}

fn micros(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Tells an answer of the mount from an obstacle on the way to it.
///
/// uWSGI's check fails on any error of its `statfs`, also on a path that is not there. So following the path counts as the
/// mount's answer too (a dead FUSE root says `ENOTCONN` there already). A daemon that lacks something (`EMFILE`, `ENOMEM`) fails whoever
/// asks it as any other does; what the prober lacks is told apart (`probe.rs`). What is an error for
/// uWSGI and no death here is a refusal: it says that nobody may ask, or that this cannot be asked, of a mount that may live.
fn judge(found: Result<(), ProbeError>) -> Health {
    match found {
        Ok(()) => Health::Healthy,
        // EINTR: a signal came, which a daemon is told of and may answer so.
        Err(error) if error.is_answer() && !is_refusal(error.errno) && error.errno != Errno::EINTR => {
            Health::Dead { errno: error.errno as i32 }
        }
        Err(ProbeError { errno, .. }) => Health::Unknown { errno: errno as i32 },
    }
}

/// On the way EACCES means, because we may everything, a FUSE mount that answers to its owner only, dead or alive. From a statfs it is a daemon
/// that lives and wants nobody, or a security module; so is EPERM. ENOSYS comes from a filter of system calls or an old kernel: a
/// server that says so to a statfs has answered (`probe.rs`).
fn is_refusal(errno: Errno) -> bool {
    matches!(errno, Errno::EACCES | Errno::EPERM | Errno::ENOSYS)
}

#[cfg(test)]
mod tests {
    use liege_sys::{fuse_daemon::Outside, fusectl::Connections, probe::ProbeStage};

    use super::*;
    use crate::workers::Size;

    fn judged(stage: ProbeStage, errno: Errno) -> Health {
        judge(Err(ProbeError { stage, errno }))
    }

    #[test]
    fn a_look_that_gets_no_thread_says_so_and_is_made_when_there_is_one() {
        let size = Size { name: "test", fixed: 1, most: 1, stack: 128 << 10, keep: Duration::from_secs(1) };
        let threads: &'static Pool = Box::leak(Box::new(Pool::new(&size)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (busy, done) = std::sync::mpsc::channel::<()>();
        runtime.block_on(async {
            tokio::spawn(threads.finish(move || done.recv()));
            let told = std::cell::RefCell::new(Vec::new());
            let pid = i32::try_from(std::process::id()).unwrap();
            let (timeout, interval) = (Duration::from_millis(20), Duration::from_secs(1));
            let asked = Look { pid, birth: 1, owner: None, path: "/".into(), timeout, interval, answered: None };
            let under_way = Arc::new(crate::prober::threads::Threads::default()).enter(1, &asked);
            let busy = std::cell::Cell::new(Some(busy));
            let signs = Signs { connections: Arc::new(Connections::none()), outside: Outside::default() };
            look(threads, asked, under_way, Arc::new(signs), |probed, last, is_need| {
                told.borrow_mut().push((probed.health, last, is_need));
                drop(busy.take());
            })
            .await;
            let told = told.into_inner();
            assert_eq!(told.first(), Some(&(unknown(Errno::EAGAIN), false, true)), "{told:?}");
            assert_eq!(told.last(), Some(&(Health::Healthy, true, false)), "{told:?}");
        });
    }

    #[test]
    fn an_error_of_the_mount_is_its_death() {
        assert_eq!(judged(ProbeStage::Statfs, Errno::ENOTCONN), Health::Dead { errno: 107 });
        assert_eq!(judged(ProbeStage::Path, Errno::ENOENT), Health::Dead { errno: 2 });
        assert_eq!(judged(ProbeStage::Statfs, Errno::EIO), Health::Dead { errno: 5 });
        assert_eq!(judged(ProbeStage::Statfs, Errno::ESTALE), Health::Dead { errno: 116 });
        assert_eq!(judged(ProbeStage::Statfs, Errno::ENOMEM), Health::Dead { errno: 12 });
        assert_eq!(judged(ProbeStage::Path, Errno::EMFILE), Health::Dead { errno: 24 });
    }

    #[test]
    fn a_refusal_is_no_death() {
        for stage in [ProbeStage::Path, ProbeStage::Stat, ProbeStage::Statfs] {
            for errno in [Errno::EACCES, Errno::EPERM, Errno::ENOSYS] {
                assert_eq!(judged(stage, errno), Health::Unknown { errno: errno as i32 }, "{stage:?}");
            }
        }
    }

    #[test]
    fn an_error_on_the_way_says_nothing_about_the_mount() {
        assert_eq!(judged(ProbeStage::Root, Errno::ENOENT), Health::Unknown { errno: 2 });
        assert_eq!(judged(ProbeStage::Identity, Errno::EPERM), Health::Unknown { errno: 1 });
        assert_eq!(judged(ProbeStage::Means, Errno::EMFILE), Health::Unknown { errno: 24 });
        assert_eq!(judged(ProbeStage::Statfs, Errno::EINTR), Health::Unknown { errno: 4 });
        assert_eq!(judged(ProbeStage::Path, Errno::EACCES), Health::Unknown { errno: 13 });
    }
}
