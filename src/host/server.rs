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
    /// Runs this in a thread of this name until it is over, or the server is dropped.
    ///
    /// # Errors
    /// No thread, no runtime.
    pub(crate) fn start<F: Future<Output = ()>>(name: &str, serve: impl FnOnce() -> F + Send + 'static) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = serve() => {}
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
