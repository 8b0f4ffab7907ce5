//! A listener with a thread and a runtime of its own: nobody who floods it takes time from the loop.

use std::{future::Future, io, thread::JoinHandle};

use tokio::sync::oneshot;

/// The thread. Dropped, it is gone, and all it served with it.
#[derive(Debug)]
pub(crate) struct Server {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Runs this in a thread of this name until the server is dropped. What ends before is told in the log.
    ///
    /// # Errors
    /// No thread, no runtime.
    pub(crate) fn start<F: Future<Output = io::Result<()>>>(
        name: &'static str,
        serve: impl FnOnce() -> F + Send + 'static,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    served = serve() => tracing::error!(target: "emperor", "the {name} server has ended: {served:?}"),
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background(); // a thread stuck in a dead file system ends with the process
        })?;
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
