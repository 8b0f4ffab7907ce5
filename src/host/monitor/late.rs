//! Waiting for a thread that a dead file system may hold (NFS without its server, FUSE without its daemon): as long as it
//! takes, for nothing can take it back, and with a word to people now and then.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// After this long it is said for the first time.
pub(super) const LATE: Duration = Duration::from_secs(10);
/// Each further time comes after twice as long, at most so much later.
const MOST_APART: Duration = Duration::from_secs(3600);

/// What came of the waiting.
#[derive(Debug)]
pub(super) struct Waited<T> {
    pub(super) answer: T,
    /// It was late, and came after so long.
    pub(super) late: Option<Duration>,
}

/// Waits for the thread; calls `late` with the time that has passed when it takes longer than [`LATE`], and ever more rarely
/// from then on.
pub(super) async fn patiently<T>(work: impl Future<Output = T>, late: impl FnMut(Duration)) -> Waited<T> {
    patiently_from(LATE, work, late).await
}

async fn patiently_from<T>(first: Duration, work: impl Future<Output = T>, mut late: impl FnMut(Duration)) -> Waited<T> {
    let mut work = std::pin::pin!(work);
    let (began, mut wait, mut next) = (Instant::now(), first, Instant::now() + first);
    let mut was_late = false;
    loop {
        if let Ok(answer) = timeout_at(next, &mut work).await {
            return Waited { answer, late: was_late.then(|| began.elapsed()) };
        }
        was_late = true;
        late(began.elapsed());
        next += wait;
        wait = (wait * 2).min(MOST_APART);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::workers::FILES;

    #[tokio::test]
    async fn what_comes_in_time_is_not_talked_about() {
        let waited = patiently(FILES.finish(|| 7), |_| panic!("it was not late")).await;
        assert!(waited.answer == 7 && waited.late.is_none());
    }

    #[tokio::test]
    async fn what_hangs_is_named_more_than_once_and_waited_for_to_the_end() {
        let (release, released) = oneshot::channel::<()>();
        let (mut release, mut times) = (Some(release), Vec::new());
        let work = FILES.finish(move || released.blocking_recv().is_ok());
        let waited = patiently_from(Duration::from_millis(1), work, |since| {
            times.push(since);
            if times.len() == 3 {
                release.take().unwrap().send(()).unwrap();
            }
        })
        .await;
        assert!(waited.answer);
        assert!(waited.late.is_some_and(|late| late >= times[2]));
        assert!(times.is_sorted() && times[2] >= Duration::from_millis(4), "{times:?}");
    }
}
