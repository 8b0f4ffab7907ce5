//! One look at one mount.
//!
//! The probe itself blocks for as long as the mount's daemon pleases, on a thread of its own; beside it runs a clock that starts
//! with the probe's first system call, not when it was asked for. When the clock says late, it is found out who is to blame,
//! from signs that cannot block; that is told, and told again at every interval, until the probe ends.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use liege_core::{Health, Mounted, Probed};
use liege_sys::{
    Errno,
    fusectl::Connections,
    probe::{ProbeError, ProbeStage, Progress, Seen, probe_observed},
};
use tokio::{sync::oneshot, task::spawn_blocking, time::timeout};

use super::{late::Suspicion, protocol::Look};

/// Work is measured in hundredths of a second: over less than this it cannot be told from none.
const SHORTEST_MEASURE: Duration = Duration::from_millis(100);

/// Looks; `tell` gets the news, and whether it is the last.
pub(super) async fn look(look: Look, connections: Arc<Connections>, tell: impl Fn(Probed, bool)) {
    let last_word = LastWord(&tell);
    let progress = Arc::new(Progress::default());
    let (begin, begun) = oneshot::channel();
    let mut probe = spawn_blocking({
        let (look, progress) = (look.clone(), Arc::clone(&progress));
        move || {
            let began = Instant::now();
            begin.send(began).ok();
            let seen = probe_observed(look.pid, &look.path, &progress);
            probed(seen, began)
        }
    });
    // A thread that dies takes its sender along; then the join below tells it.
    let began = begun.await.unwrap_or_else(|_| Instant::now());
    // The measure of work begins before the verdict is due, so that the verdict itself is not late.
    let measure = (look.timeout / 2).clamp(SHORTEST_MEASURE, Duration::from_secs(1)).min(look.timeout);
    let mut suspicion: Option<Suspicion> = None;
    let mut patience = look.timeout - measure;
    loop {
        if let Ok(done) = timeout(patience, &mut probe).await {
            std::mem::forget(last_word);
            return tell(done.unwrap_or_else(|_| Probed::of(UNKNOWN)), true);
        }
        let judging = spawn_blocking({
            let (look, asks, connections) = (look.clone(), progress.asks(), Arc::clone(&connections));
            move || {
                let verdict = suspicion.map(|suspicion| suspicion.confirmed(&connections));
                // The end of one measure is the beginning of the next.
                (Suspicion::raised(&look, asks, &connections), verdict)
            }
        });
        let Ok((raised, verdict)) = judging.await else { return };
        suspicion = Some(raised);
        patience = measure;
        if let Some((health, late)) = verdict {
            tell(Probed { health, micros: micros(began), mount: None, late: Some(late) }, false);
            patience = look.interval.max(SHORTEST_MEASURE);
        }
    }
}

/// Whatever goes wrong on the way, whoever asked hears an end of it: else that mount would never be looked at again.
struct LastWord<'a, F: Fn(Probed, bool)>(&'a F);

impl<F: Fn(Probed, bool)> Drop for LastWord<'_, F> {
    fn drop(&mut self) {
        self.0(Probed::of(UNKNOWN), true);
    }
}

const UNKNOWN: Health = Health::Unknown { errno: Errno::EIO as i32 };

fn probed(seen: Result<Seen, ProbeError>, began: Instant) -> Probed {
    let micros = micros(began);
    let mount = seen.as_ref().ok().map(|seen| Mounted { id: seen.mount_id, device: seen.device, is_root: seen.is_mountpoint });
    Probed { health: judge(seen.map(drop)), micros, mount, late: None }
}

fn micros(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX)
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
