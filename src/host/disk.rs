//! A disk that answers are read from, or written to, and that may be dead: so many threads may be stuck in it, and no more.

use std::{io, sync::Arc, time::Duration};

use tokio::{sync::Semaphore, task::AbortHandle, time::timeout};

use crate::workers::Pool;

/// How many may wait for it at once.
const AT_ONCE: usize = 16;

/// Who may go there.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    places: Arc<Semaphore>,
    threads: &'static Pool,
}

impl Disk {
    pub(crate) fn new(threads: &'static Pool) -> Self {
        Self { places: Arc::new(Semaphore::new(AT_ONCE)), threads }
    }

    /// Does this there. Whoever gives up leaves a thread behind that keeps its place until the disk answers.
    ///
    /// # Errors
    /// `TimedOut`: no answer in this time, or all places are taken for so long. `WouldBlock`: no thread can be had.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        patience: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let (places, threads) = (Arc::clone(&self.places), self.threads);
        // A task of its own: the stream of a client that does not read is not polled, and would keep the place it was given.
        let asked = tokio::spawn(async move {
            let place = places.acquire_owned().await.map_err(io::Error::other)?;
            let answer = threads.run(move || {
                let answer = work();
                drop(place);
                answer
            });
            Ok(answer.await?)
        });
        let _given_up = AbortOnDrop(asked.abort_handle());
        match timeout(patience, asked).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(ending)) => Err(io::Error::other(ending)),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// Nobody waits for a task any more: what it has not begun it does not begin.
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A stream is polled as its client reads: here, once, and then no more.
    #[tokio::test]
    async fn one_who_waits_for_ever_keeps_no_place() {
        let disk = Disk::new(&crate::workers::QUESTIONS);
        let long = Duration::from_secs(20);
        let taken = Arc::clone(&disk.places).acquire_many_owned(AT_ONCE as u32).await.unwrap();
        let mut stalled: Vec<_> = (0..AT_ONCE).map(|_| Box::pin(disk.ask(long, || 7))).collect();
        for ask in &mut stalled {
            assert!(futures::poll!(ask).is_pending());
        }
        drop(taken);
        assert_eq!(disk.ask(long, || 8).await.unwrap(), 8);
    }

    #[tokio::test]
    async fn a_dead_disk_holds_a_few_threads_and_no_more() {
        let disk = Disk::new(&crate::workers::QUESTIONS);
        let (revive, dead) = mpsc::channel::<()>();
        let dead = Arc::new(std::sync::Mutex::new(dead));
        let short = Duration::from_millis(20);
        for _ in 0..2 * AT_ONCE {
            let dead = Arc::clone(&dead);
            let answer = disk.ask(short, move || dead.lock().unwrap().recv().is_err()).await;
            assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
        assert_eq!(disk.places.available_permits(), 0);
        drop(revive);
        assert_eq!(disk.ask(Duration::from_secs(20), || 7).await.unwrap(), 7);
    }
}
