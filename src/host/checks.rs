//! The mountpoint checks of one life: one task per watched mount, an interval timer and a push.
//!
//! The first probe is made at once. At most one probe of a mount is in flight: while a mount hangs its task waits with it, no
//! interval is counted, no second probe is queued. The answer is told as it is; what it means is the core's business. That there is none
//! yet is told once, when it takes longer than usual: whatever holds it up, the mount or the want of a thread.
//!
//! Deliberately not here: the probe itself (what hangs on a mount keeps its process from ending, so it lives in the prober process),
//! and judging a mount that does not answer.

use std::{collections::HashMap, sync::Arc, time::Duration};

use liege_core::{Came, Check, Event, Health, Mounted, Name, Probed};
use liege_sys::Errno;
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval, timeout_at},
};

use crate::{
    first_mounts::FirstMounts,
    inbox::Post,
    prober::{Answered, Asker, Look, Prober},
};

/// No answer is unusual after so long, and after so many times as long as the last one took. Then it is told that there is none yet.
const UNUSUAL: Duration = Duration::from_secs(1);
const TIMES_USUAL: u32 = 3;

/// What a check needs.
#[derive(Clone, Debug)]
pub(crate) struct Means {
    pub(crate) prober: Prober,
    pub(crate) post: Post,
}

/// The checks of one life. Dropped with it; the tasks end then.
#[derive(Debug)]
pub(crate) struct Checks {
    vassal: Name,
    birth: u64,
    owner: Option<u32>,
    first_mounts: Option<Arc<FirstMounts>>,
    now: Arc<Notify>,
    tasks: HashMap<String, (Check, JoinHandle<()>)>,
}

impl Checks {
    /// `owner`: the uid in the vassal's file.
    pub(crate) fn new(vassal: Name, birth: u64, owner: Option<u32>, first_mounts: Option<FirstMounts>) -> Self {
        Self { vassal, birth, owner, first_mounts: first_mounts.map(Arc::new), now: Arc::default(), tasks: HashMap::new() }
    }

    /// These and no others from now on. One that stays as it was goes on undisturbed.
    pub(crate) fn set(&mut self, pid: i32, checks: Vec<Check>, means: &Means) {
        self.tasks.retain(|_, (check, task)| {
            let stays = checks.contains(check);
            if !stays {
                task.abort();
            }
            stays
        });
        // It has had a namespace of its own made for it since.
        self.first_mounts.take_if(|first| !first.is_of(pid));
        for check in checks {
            if self.tasks.contains_key(&check.path) {
                continue;
            }
            let (birth, owner, Check { path, interval, timeout }) = (self.birth, self.owner, check.clone());
            let task = Task {
                vassal: self.vassal.clone(),
                birth,
                look: Look { pid, birth, owner, path, timeout, interval, answered: None },
                first_mounts: self.first_mounts.clone(),
                now: Arc::clone(&self.now),
                asker: means.prober.asker(),
                post: means.post.clone(),
            };
            self.tasks.insert(check.path.clone(), (check, tokio::spawn(task.run())));
        }
    }

    /// All of them now, not at the next interval.
    pub(crate) fn probe_now(&self) {
        self.now.notify_waiters();
    }
}

impl Drop for Checks {
    fn drop(&mut self) {
        for (_, task) in self.tasks.values() {
            task.abort();
        }
    }
}

/// How long no answer is usual.
fn unusual(usual: Duration) -> Duration {
    UNUSUAL.max(usual * TIMES_USUAL)
}

/// What the next look is told of the mount that has answered this one.
fn answered(mount: &Mounted, came: Came) -> Option<Answered> {
    let Came::Listed(listed) = mount.came else { return None };
    Some(Answered { listed, device: mount.device, is_of_life: came == Came::Since })
}

/// One check.
struct Task {
    vassal: Name,
    birth: u64,
    look: Look,
    first_mounts: Option<Arc<FirstMounts>>,
    now: Arc<Notify>,
    asker: Asker,
    post: Post,
}

impl Task {
    async fn run(self) {
        let mut every = interval(self.look.interval);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Made before the first probe, and again before each wait: a push that comes during a probe is not lost.
        let mut pushed = Box::pin(self.now.notified());
        pushed.as_mut().enable();
        let (mut usual, mut last) = (Duration::ZERO, None);
        loop {
            tokio::select! {
                _ = every.tick() => {}
                () = &mut pushed => {
                    pushed.set(self.now.notified());
                    pushed.as_mut().enable();
                }
            }
            // The news of one probe, as many as there are: the answer, or first how late it is.
            let mut news = self.asker.look(Look { answered: last, ..self.look.clone() });
            let mut is_answered = false;
            let patience = unusual(usual);
            let early = Instant::now() + patience;
            // A look that is late by then says more itself.
            let mut is_told = patience >= self.look.timeout;
            loop {
                let heard = if is_told { Ok(news.recv().await) } else { timeout_at(early, news.recv()).await };
                is_told = true;
                match heard {
                    Ok(Some(mut probed)) => {
                        if let Some(mount) = &mut probed.mount {
                            let came = self.first_mounts.as_ref().map_or(Came::Unknown, |first| first.came(mount));
                            last = answered(mount, came);
                            mount.came = came;
                        }
                        is_answered = probed.late.is_none();
                        if is_answered {
                            usual = Duration::from_micros(probed.micros);
                        }
                        self.tell(probed).await;
                    }
                    Ok(None) => break,
                    Err(_) => self.tell(Probed::awaited(u64::try_from(patience.as_micros()).unwrap_or(u64::MAX))).await,
                }
            }
            if !is_answered {
                // The prober died over it. The next one is asked at once: this look may have been a push, and no interval stands for one.
                self.tell(Probed::of(Health::Unknown { errno: Errno::ECONNRESET as i32 })).await;
                every.reset_immediately();
            }
        }
    }

    async fn tell(&self, probed: Probed) {
        let (vassal, path) = (self.vassal.clone(), self.look.path.clone());
        self.post.event(Event::Probed { vassal, birth: self.birth, path, probed }).await;
    }
}
