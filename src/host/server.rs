//! A listener with a thread and a runtime of its own: nobody who floods it takes time from the loop.

use std::{future::Future, io, pin::pin, sync::mpsc, task::Poll, thread::JoinHandle};

use futures::poll;
use tokio::sync::oneshot;

/// The thread. Dropped, it is gone, and all it served with it.
#[derive(Debug)]
pub(crate) struct Server {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Runs this in a thread of this name until the server is dropped; on return it waits for its first client. What ends before is
    /// told in the log.
    ///
    /// # Errors
    /// No thread, no runtime.
    pub(crate) fn start<F: Future<Output = io::Result<()>>>(
        name: &'static str,
        serve: impl FnOnce() -> F + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (tell, begun) = mpsc::channel();
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            // Made here: one that had to be dropped for want of this thread, in the context of another one, would be a panic.
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => {
                    tell.send(Err(error)).ok();
                    return;
                }
            };
            runtime.block_on(async {
                let mut serving = pin!(serve());
                let first = poll!(serving.as_mut());
                tell.send(Ok(())).ok();
                let serving = async {
                    match first {
                        Poll::Ready(served) => served,
                        Poll::Pending => serving.await,
                    }
                };
                tokio::select! {
                    served = serving => tracing::error!(target: "emperor", "the {name} server has ended: {served:?}"),
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background(); // a thread stuck in a dead file system ends with the process
        })?;
        // What it opens lazily is open when the daemon says that it is ready. Without an answer it has ended, and has said so.
        begun.recv().unwrap_or(Ok(()))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
        time::Duration,
    };

    use super::*;

    #[test]
    fn what_a_server_opens_is_open_once_it_is_started() {
        let open = Arc::<AtomicBool>::default();
        let opens = Arc::clone(&open);
        let (_never, slow) = mpsc::channel::<()>();
        let server = Server::start("slow", move || async move {
            slow.recv_timeout(Duration::from_millis(100)).ok();
            opens.store(true, Ordering::Release);
            std::future::pending().await
        });
        assert!(server.is_ok() && open.load(Ordering::Acquire));
        let ended = Server::start("ends", || async { Err(io::ErrorKind::Other.into()) });
        assert!(ended.is_ok(), "which is told in the log");
    }
}
