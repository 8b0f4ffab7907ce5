//! Threads for calls that block.
//!
//! The runtime has a pool of its own, `spawn_blocking`, and nothing in this house uses it: it panics where no thread can be had
//! and none of its own is left, and a panic is the end of the daemon and of all vassals. A [`Pool`] has some threads from its
//! start on, which never leave. [`Pool::run`] and [`Pool::finish`] hand it a call; more threads are started while all are busy,
//! and leave when they were idle for a while.
//!
//! A call that finds neither a free thread nor a new one waits in a queue, and a thread is tried for again while it waits.
//! [`Pool::run`] gives up after [`PATIENCE`]: the caller answers 503, skips the look, or tries again later.
//!
//! Each kind of call has a pool, so that calls which hang in a dead file system hold up only their own kind.

use std::{
    collections::VecDeque,
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{
    runtime::Handle,
    sync::oneshot,
    time::{Instant, timeout},
};

/// Clones, sweeps, groups: what a vassal needs to begin and to end. Also the place of its log.
pub(crate) static LIVES: Pool = Pool::new(&Size { name: "lives", fixed: 2, most: 512, stack: USUAL_STACK, keep: USUAL_KEEP });
/// Vassal files and their directories.
pub(crate) static FILES: Pool = Pool::new(&Size { name: "files", fixed: 2, most: 640, stack: USUAL_STACK, keep: USUAL_KEEP });
/// What the control socket is asked.
pub(crate) static QUESTIONS: Pool =
    Pool::new(&Size { name: "questions", fixed: 2, most: 64, stack: USUAL_STACK, keep: USUAL_KEEP });

const USUAL_STACK: usize = 2 << 20;
const USUAL_KEEP: Duration = Duration::from_secs(10);

/// How long [`Pool::run`] waits for a thread.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);
/// A thread is tried for again after so long, each time after twice as long.
const FIRST_RETRY: Duration = Duration::from_millis(20);
const LAST_RETRY: Duration = Duration::from_millis(500);
/// Seconds between two lines of the log about the same trouble.
const WARNINGS_APART: u64 = 60;

/// How many threads a pool has, and of which kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// The name of its threads.
    pub(crate) name: &'static str,
    /// So many are started with it, if they can be had, and stay.
    pub(crate) fixed: usize,
    pub(crate) most: usize,
    /// Bytes.
    pub(crate) stack: usize,
    /// A thread beyond the fixed ones leaves when it was idle for so long.
    pub(crate) keep: Duration,
}

/// Threads, and the calls that wait for one.
#[derive(Debug)]
pub(crate) struct Pool {
    size: Size,
    state: Mutex<State>,
    /// A call was queued.
    queued: Condvar,
    /// When it was last said that no thread can be had. Seconds since 1970.
    warned: AtomicU64,
}

#[derive(Debug)]
struct State {
    queue: VecDeque<Arc<Call>>,
    threads: usize,
    idle: usize,
}

/// Taken by the thread that makes it, or taken back by the caller.
struct Call(Mutex<Option<Box<dyn FnOnce() + Send>>>);

/// No thread was free for it in time, and none could be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoThread;

/// Starts the fixed threads of the daemon's pools.
///
/// # Errors
/// There is not even one thread for each.
pub(crate) fn start() -> io::Result<()> {
    [&LIVES, &FILES, &QUESTIONS].into_iter().try_for_each(Pool::start)
}

impl Pool {
    pub(crate) const fn new(size: &Size) -> Self {
        let state = State { queue: VecDeque::new(), threads: 0, idle: 0 };
        Self { size: *size, state: Mutex::new(state), queued: Condvar::new(), warned: AtomicU64::new(0) }
    }

    /// Starts the threads that stay. Those that cannot be had are started when they are needed.
    ///
    /// # Errors
    /// There is not even one thread.
    pub(crate) fn start(&'static self) -> io::Result<()> {
        let mut state = self.lock();
        while state.threads < self.size.fixed {
            match self.grow(&mut state) {
                Err(error) if state.threads == 0 => return Err(error),
                Err(_) => break,
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// Makes a call; it is queued at once. Where what is returned is dropped before a thread has it, it is not made.
    ///
    /// # Errors
    /// No thread within [`PATIENCE`]; the call was not made then.
    pub(crate) fn run<T, F>(&'static self, call: F) -> impl Future<Output = Result<T, NoThread>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.wait(call, Some(PATIENCE))
    }

    /// The same of a call that must be made, however long there is no thread for it. A thread is tried for again while
    /// what is returned is polled.
    pub(crate) fn finish<T, F>(&'static self, call: F) -> impl Future<Output = T> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let answer = self.wait(call, None);
        async {
            match answer.await {
                Ok(answer) => answer,
                Err(NoThread) => std::future::pending().await, // without a bound it does not give up
            }
        }
    }

    fn wait<T, F>(
        &'static self,
        call: F,
        patience: Option<Duration>,
    ) -> impl Future<Output = Result<T, NoThread>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (tell, mut answer) = oneshot::channel();
        let began = Instant::now();
        // As in `spawn_blocking`: what is made of the caller's runtime there (a socket, a task) belongs to it.
        let runtime = Handle::try_current().ok();
        let queued = self.queue(move || {
            let _runtime = runtime.as_ref().map(Handle::enter);
            // The caller may have gone away.
            tell.send(call()).ok();
        });
        async move {
            let mut retry = FIRST_RETRY;
            loop {
                match timeout(retry, &mut answer).await {
                    Ok(answer) => return answer.map_err(|_| NoThread),
                    Err(_) if queued.is_taken() => return answer.await.map_err(|_| NoThread),
                    Err(_) if patience.is_some_and(|patience| began.elapsed() >= patience) && queued.take_back() => {
                        return Err(NoThread);
                    }
                    Err(_) => {
                        self.grow_for_the_queue(&mut self.lock());
                        retry = (2 * retry).min(LAST_RETRY);
                    }
                }
            }
        }
    }

    fn queue(&'static self, call: impl FnOnce() + Send + 'static) -> Queued {
        let call = Arc::new(Call(Mutex::new(Some(Box::new(call)))));
        let mut state = self.lock();
        state.queue.push_back(Arc::clone(&call));
        self.grow_for_the_queue(&mut state);
        drop(state);
        self.queued.notify_one();
        Queued { pool: self, call }
    }

    /// Where a thread is refused the call stays in the queue: a busy one may take it, and its caller tries again.
    fn grow_for_the_queue(&'static self, state: &mut State) {
        if state.queue.len() > state.idle
            && let Err(error) = self.grow(state)
        {
            self.warn(&error);
        }
    }

    fn grow(&'static self, state: &mut State) -> io::Result<()> {
        if state.threads < self.size.most {
            let thread = thread::Builder::new().name(self.size.name.into()).stack_size(self.size.stack);
            thread.spawn(move || self.serve())?;
            state.threads += 1;
        }
        Ok(())
    }

    /// The life of a thread.
    fn serve(&'static self) {
        let mut state = self.lock();
        loop {
            if let Some(call) = state.queue.pop_front() {
                drop(state);
                if let Some(call) = call.take() {
                    // Only a test unwinds; its thread still counts.
                    catch_unwind(AssertUnwindSafe(call)).ok();
                }
                state = self.lock();
                continue;
            }
            state.idle += 1;
            let stays = state.threads <= self.size.fixed;
            let mut is_over = false;
            state = if stays {
                self.queued.wait(state).unwrap_or_else(PoisonError::into_inner)
            } else {
                let (state, waited) = self.queued.wait_timeout(state, self.size.keep).unwrap_or_else(PoisonError::into_inner);
                is_over = waited.timed_out();
                state
            };
            state.idle -= 1;
            if is_over && state.queue.is_empty() && state.threads > self.size.fixed {
                state.threads -= 1;
                return;
            }
        }
    }

    fn warn(&self, error: &io::Error) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let last = self.warned.load(Ordering::Relaxed);
        if now.saturating_sub(last) >= WARNINGS_APART
            && self.warned.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            tracing::warn!(
                target: "emperor", threads = self.size.name,
                "no further thread can be started: {error}. Is pids.max of the daemon's control group reached, or \
                 kernel.threads-max? What needs one waits, or is refused"
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Call {
    fn take(&self) -> Option<Box<dyn FnOnce() + Send>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Call")
    }
}

impl fmt::Display for NoThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no thread is free for this, and none can be started now")
    }
}

impl std::error::Error for NoThread {}

impl From<NoThread> for io::Error {
    fn from(none: NoThread) -> Self {
        Self::new(io::ErrorKind::WouldBlock, none)
    }
}

/// A call on its way, as its caller holds it.
struct Queued {
    pool: &'static Pool,
    call: Arc<Call>,
}

impl Queued {
    fn is_taken(&self) -> bool {
        self.call.0.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// True: it is made by no thread any more.
    fn take_back(&self) -> bool {
        let taken = self.call.take();
        if taken.is_some() {
            // Else a pool whose threads all hang would collect what nobody wants.
            self.pool.lock().queue.retain(|call| !Arc::ptr_eq(call, &self.call));
        }
        taken.is_some()
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.take_back();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn pool(fixed: usize, most: usize) -> &'static Pool {
        let size = Size { name: "test", fixed, most, stack: 64 << 10, keep: Duration::from_millis(1) };
        let pool: &Pool = Box::leak(Box::new(Pool::new(&size)));
        pool.start().unwrap();
        pool
    }

    /// A call that lasts until what is returned is dropped; it has begun.
    fn busy(pool: &'static Pool) -> mpsc::Sender<()> {
        let (end, ended) = mpsc::channel::<()>();
        let (begin, begun) = mpsc::channel();
        tokio::spawn(pool.finish(move || {
            begin.send(()).unwrap();
            ended.recv().ok();
        }));
        tokio::task::block_in_place(|| begun.recv()).unwrap();
        end
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_call_without_a_thread_is_given_up_or_waits() {
        let pool = pool(1, 1);
        let end = busy(pool);
        assert_eq!(pool.run(|| 1).await, Err(NoThread));
        assert!(pool.lock().queue.is_empty(), "it was taken back");
        let waits = tokio::spawn(pool.finish(|| 2));
        drop(end);
        assert_eq!(waits.await.unwrap(), 2);
        assert_eq!(pool.run(|| 3).await, Ok(3));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn it_grows_while_all_are_busy_and_shrinks_to_what_stays() {
        let pool = pool(1, 3);
        let ends = [busy(pool), busy(pool), busy(pool)];
        assert_eq!(pool.lock().threads, 3);
        drop(ends);
        while pool.lock().threads > 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.run(|| 3).await, Ok(3));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_call_whose_caller_went_away_is_not_made() {
        let pool = pool(1, 1);
        let end = busy(pool);
        let (made, is_made) = mpsc::channel();
        let mut call = Box::pin(pool.run(move || made.send(()).ok()));
        assert!(futures::poll!(&mut call).is_pending());
        drop(call);
        assert!(is_made.recv().is_err());
        drop(end);
    }
}
