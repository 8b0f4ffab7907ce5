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
//! As many threads as a pool had at its start stay when they are free, however many others hang. [`Pool::finish_for`] shares them among
//! owners: a call takes a free thread only while its owner holds fewer threads than are free, else it takes a new one or waits. So one
//! owner whose calls all hang leaves half of them to the others, a second one a quarter, and so on. Of twelve three owners leave one, and a
//! fourth one takes that: no rule of sharing holds for any number of owners. What must not wait for that has a way without such a thread
//! (`prober/unasked.rs`).
//!
//! Each kind of call has a pool, so that calls which hang in a dead file system hold up only their own kind.

use std::{
    collections::{BTreeMap, VecDeque, btree_map::Entry},
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use liege_sys::reserve::Whose;
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
    /// So many are started with it, if they can be had, and so many stay when they are free.
    pub(crate) fixed: usize,
    pub(crate) most: usize,
    /// Bytes.
    pub(crate) stack: usize,
    /// A thread that more than the fixed ones are free with leaves when it was idle for so long.
    pub(crate) keep: Duration,
}

/// Threads, and the calls that wait for one.
#[derive(Debug)]
pub(crate) struct Pool {
    size: Size,
    state: Mutex<State>,
    /// A call was given a thread.
    given: Condvar,
    /// When it was last said that no thread can be had. Seconds since 1970.
    warned: AtomicU64,
}

/// All threads are free, on their way to a call of `given`, or make one.
#[derive(Debug)]
struct State {
    /// Calls without a thread, in the order they came.
    queue: VecDeque<Arc<Call>>,
    /// Calls that have a thread, which takes one of them next.
    given: VecDeque<Arc<Call>>,
    threads: usize,
    free: usize,
    /// Threads that each owner's calls have.
    held: BTreeMap<Whose, usize>,
}

/// Taken by the thread that makes it, or taken back by the caller.
struct Call {
    whose: Option<Whose>,
    work: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

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
        let state = State { queue: VecDeque::new(), given: VecDeque::new(), threads: 0, free: 0, held: BTreeMap::new() };
        Self { size: *size, state: Mutex::new(state), given: Condvar::new(), warned: AtomicU64::new(0) }
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
                Ok(false) | Err(_) => break,
                Ok(true) => state.free += 1,
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
        self.wait(None, call, Some(PATIENCE))
    }

    /// The same of a call that must be made, however long there is no thread for it. A thread is tried for again while
    /// what is returned is polled.
    pub(crate) fn finish<T, F>(&'static self, call: F) -> impl Future<Output = T> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.finish_of(None, call)
    }

    /// The same of a call that an owner may make last: it takes no thread that is kept for the calls of others.
    pub(crate) fn finish_for<T, F>(&'static self, whose: Whose, call: F) -> impl Future<Output = T> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.finish_of(Some(whose), call)
    }

    fn finish_of<T, F>(&'static self, whose: Option<Whose>, call: F) -> impl Future<Output = T> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let answer = self.wait(whose, call, None);
        async {
            match answer.await {
                Ok(answer) => answer,
                Err(NoThread) => std::future::pending().await, // without a bound it does not give up
            }
        }
    }

    fn wait<T, F>(
        &'static self,
        whose: Option<Whose>,
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
        let queued = self.queue(whose, move || {
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
                        self.grow_for(&queued.call, &mut self.lock());
                        retry = (2 * retry).min(LAST_RETRY);
                    }
                }
            }
        }
    }

    fn queue(&'static self, whose: Option<Whose>, work: impl FnOnce() + Send + 'static) -> Queued {
        let call = Arc::new(Call { whose, work: Mutex::new(Some(Box::new(work))) });
        let mut state = self.lock();
        state.queue.push_back(Arc::clone(&call));
        self.give_free_threads(&mut state);
        self.grow_for(&call, &mut state);
        drop(state);
        Queued { pool: self, call }
    }

    /// Gives the free threads to the calls that may take them.
    fn give_free_threads(&self, state: &mut State) {
        while let Some(next) = state.queue.iter().position(|call| state.may_take_a_free_one(call)) {
            state.give(next);
            state.free -= 1;
            self.given.notify_one();
        }
    }

    /// Starts a thread for this call if it has none. Where that is refused the call stays in the queue: a busy thread may take it, and
    /// its caller tries again.
    fn grow_for(&'static self, call: &Arc<Call>, state: &mut State) {
        let Some(place) = state.queue.iter().position(|queued| Arc::ptr_eq(queued, call)) else { return };
        match self.grow(state) {
            Ok(true) => state.give(place),
            Ok(false) => {}
            Err(error) => self.warn(&error),
        }
    }

    /// False: there may be no more. The new thread is not free: it is on its way to a call, or its starter counts it.
    fn grow(&'static self, state: &mut State) -> io::Result<bool> {
        let may = state.threads < self.size.most;
        if may {
            let thread = thread::Builder::new().name(self.size.name.into()).stack_size(self.size.stack);
            thread.spawn(move || self.serve())?;
            state.threads += 1;
        }
        Ok(may)
    }

    /// The life of a thread.
    fn serve(&'static self) {
        let mut state = self.lock();
        loop {
            if let Some(call) = state.given.pop_front() {
                drop(state);
                if let Some(work) = call.take() {
                    // Only a test unwinds; its thread still counts.
                    catch_unwind(AssertUnwindSafe(work)).ok();
                }
                state = self.lock();
                state.has_made(&call);
                self.give_free_threads(&mut state);
                continue;
            }
            if state.free <= self.size.fixed {
                state = self.given.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let waited;
            (state, waited) = self.given.wait_timeout(state, self.size.keep).unwrap_or_else(PoisonError::into_inner);
            if waited.timed_out() && state.given.is_empty() && state.free > self.size.fixed {
                state.threads -= 1;
                state.free -= 1;
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

impl State {
    fn may_take_a_free_one(&self, call: &Call) -> bool {
        let held = call.whose.and_then(|whose| self.held.get(&whose)).copied().unwrap_or(0);
        held < self.free
    }

    /// The call at this place of the queue has a thread now.
    fn give(&mut self, place: usize) {
        let Some(call) = self.queue.remove(place) else { return };
        if let Some(whose) = call.whose {
            *self.held.entry(whose).or_default() += 1;
        }
        self.given.push_back(call);
    }

    /// The thread of this call is free.
    fn has_made(&mut self, call: &Call) {
        self.free += 1;
        if let Some(whose) = call.whose
            && let Entry::Occupied(mut held) = self.held.entry(whose)
        {
            *held.get_mut() -= 1;
            if *held.get() == 0 {
                held.remove();
            }
        }
    }
}

impl Call {
    fn take(&self) -> Option<Box<dyn FnOnce() + Send>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner).take()
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
        self.call.work.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// True: it is made by no thread any more.
    fn take_back(&self) -> bool {
        let taken = self.call.take();
        if taken.is_some() {
            // Else a pool whose threads all hang would collect what nobody wants. One that was given a thread is passed over by it.
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
        busy_for(pool, None)
    }

    fn busy_for(pool: &'static Pool, whose: Option<Whose>) -> mpsc::Sender<()> {
        let (end, ended) = mpsc::channel::<()>();
        let (begin, begun) = mpsc::channel();
        tokio::spawn(pool.finish_of(whose, move || {
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

    /// Makes so many calls of this owner's that hang; the number of those that have begun.
    fn hang(pool: &'static Pool, whose: Whose, count: usize) -> usize {
        (0..count).for_each(|_| {
            drop(tokio::spawn(pool.finish_for(whose, || {
                loop {
                    thread::park();
                }
            })))
        });
        pool.lock().held.get(&whose).copied().unwrap_or(0)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn three_owners_whose_calls_hang_leave_a_thread_to_others() {
        let pool = pool(12, 12);
        assert_eq!([1, 2, 3].map(|uid| hang(pool, Whose::User(uid), 12)), [6, 3, 2]);
        assert_eq!(pool.finish_for(Whose::User(4), || 4).await, 4);
        assert_eq!(pool.run(|| 5).await, Ok(5));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn calls_that_hang_on_threads_made_for_them_leave_as_many_to_others() {
        let pool = pool(4, 14);
        assert_eq!(hang(pool, Whose::User(1), 12), 12);
        assert_eq!(pool.finish_for(Whose::User(2), || 2).await, 2);
        let state = pool.lock();
        assert_eq!((state.threads, state.queue.len()), (14, 0), "ten were made, and none has left");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_call_that_waits_for_its_owners_share_is_made_in_the_end() {
        let pool = pool(2, 2);
        let end = busy_for(pool, Some(Whose::User(1)));
        let second = tokio::spawn(pool.finish_for(Whose::User(1), || 2));
        assert_eq!(pool.finish_for(Whose::User(2), || 3).await, 3);
        assert_eq!(pool.lock().queue.len(), 1);
        drop(end);
        assert_eq!(second.await.unwrap(), 2);
        while !pool.lock().held.is_empty() {
            tokio::task::yield_now().await;
        }
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
