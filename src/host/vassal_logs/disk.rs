//! The disk of the logs, which may be dead: so many threads may be stuck in it, and no more.

use std::{io, sync::Arc, time::Duration};

use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

/// How many may wait for it at once.
const AT_ONCE: usize = 16;

/// Who may go there.
#[derive(Clone, Debug)]
pub(super) struct Disk(Arc<Semaphore>);

impl Disk {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }

    /// Does this there. Whoever gives up leaves a thread behind that keeps its place until the disk answers.
    ///
    /// # Errors
    /// `TimedOut`: no answer in this time, or all places are taken for so long.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        patience: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let places = Arc::clone(&self.0);
        let answer = timeout(patience, async move {
            let place = places.acquire_owned().await.map_err(io::Error::other)?;
            let answer = spawn_blocking(move || {
                let answer = work();
                drop(place);
                answer
            });
            Ok(answer.await?)
        });
        answer.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_dead_disk_holds_a_few_threads_and_no_more() {
        let disk = Disk::new();
        let (revive, dead) = mpsc::channel::<()>();
        let dead = Arc::new(std::sync::Mutex::new(dead));
        let short = Duration::from_millis(20);
        for _ in 0..2 * AT_ONCE {
            let dead = Arc::clone(&dead);
            let answer = disk.ask(short, move || dead.lock().unwrap().recv().is_err()).await;
            assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
        assert_eq!(disk.0.available_permits(), 0);
        drop(revive);
        assert_eq!(disk.ask(Duration::from_secs(20), || 7).await.unwrap(), 7);
    }
}
