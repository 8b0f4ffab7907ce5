//! The place of one process that is kept in reserve: how it is made, asked and lost (`reserve.rs`, `insiders.rs`).
//!
//! Its state is a word in memory that the process shares with the prober. Whoever wants to ask takes it (`IDLE` to `TAKEN`), writes the
//! question down, and sends a message with the files it needs. The process answers (`DONE`), or has ended, which its keeper finds
//! (`GONE`); then whoever had taken it lets go of it.

use std::{
    ffi::c_void,
    os::fd::{AsRawFd, RawFd},
    ptr,
    sync::atomic::{AtomicI32, AtomicI64, AtomicPtr, AtomicU32, Ordering},
    thread,
    time::Duration,
};

use nix::errno::Errno;

use crate::{
    asker::Asker,
    condition::Condition,
    handed::{self, Hand},
    raw, signals, switch, vfork, wait,
};

/// So often it is tried to make one that is missing.
const RETRY: Duration = Duration::from_millis(200);

/// Nobody's.
pub(crate) const FREE: i64 = -1;
/// No open file.
const NONE: RawFd = -1;

/// The states of a place. Whoever waits for another one sleeps on the number.
pub(crate) mod state {
    /// No process.
    pub(crate) const EMPTY: u32 = 0;
    /// It waits for a question.
    pub(crate) const IDLE: u32 = 1;
    /// Somebody is about to ask it.
    pub(crate) const TAKEN: u32 = 2;
    /// It is asked.
    pub(crate) const ASKED: u32 = 3;
    /// It has answered, and is as it was.
    pub(crate) const DONE: u32 = 4;
    /// It has ended, and whoever had taken it does not know yet.
    pub(crate) const GONE: u32 = 5;
}

/// A question on the stack of the thread that asks it.
pub(crate) struct Question<'a> {
    /// The files it needs, by their numbers.
    open: &'a [RawFd],
    /// It is asked in another root.
    moves: bool,
    /// SAFETY: what it is given is `data`, while that is valid.
    perform: unsafe fn(*mut c_void),
    data: *mut c_void,
    /// What came of it; 0: it was done.
    came: AtomicI32,
}

impl<'a> Question<'a> {
    pub(crate) fn new(open: &'a [RawFd], moves: bool, perform: unsafe fn(*mut c_void), data: *mut c_void) -> Self {
        Self { open, moves, perform, data, came: AtomicI32::new(Errno::EOWNERDEAD as i32) }
    }
}

/// The place of one process.
pub(crate) struct Place {
    pub(crate) state: AtomicU32,
    pub(crate) pid: AtomicI32,
    /// The owner it is for, or was lost over.
    pub(crate) holder: AtomicI64,
    question: AtomicPtr<c_void>,
    /// Our end of its socket, while it has one.
    pub(crate) ours: AtomicI32,
    /// Its end, until it has it.
    theirs: AtomicI32,
    /// The user namespace it enters, and a pidfd of the life it ends with.
    pub(crate) inside: [AtomicI32; 2],
}

impl Place {
    pub(crate) const fn new() -> Self {
        Self {
            state: AtomicU32::new(state::EMPTY),
            pid: AtomicI32::new(0),
            holder: AtomicI64::new(FREE),
            question: AtomicPtr::new(ptr::null_mut()),
            ours: AtomicI32::new(NONE),
            theirs: AtomicI32::new(NONE),
            inside: [const { AtomicI32::new(NONE) }; 2],
        }
    }

    /// The life of a keeper.
    pub(crate) fn keep(&'static self) -> ! {
        // Blocked in its processes too: KILL and STOP are all that reaches them.
        let _blocked = signals::block_all_in_thread();
        loop {
            if self.keep_one(()).is_err() {
                thread::sleep(RETRY);
            }
        }
    }

    /// Makes its process, drops what that has a copy of, and waits for its end. All signals are blocked in this thread.
    ///
    /// # Errors
    /// There is no process, or no socket for it.
    pub(crate) fn keep_one(&self, open: impl Sized) -> Result<(), Errno> {
        let (ours, theirs) = handed::pair()?;
        self.ours.store(ours.as_raw_fd(), Ordering::Release);
        self.theirs.store(theirs.as_raw_fd(), Ordering::Release);
        let mut stack = vec![0u128; vfork::STACK / size_of::<u128>()];
        let place = ptr::from_ref(self).cast_mut().cast();
        // SAFETY: signals are blocked; `live` makes raw calls only. Stack and place outlive the process, and this thread does
        // nothing but wait until that has ended.
        let pid = unsafe { vfork::beside(0, &mut stack, live, place) }?;
        // (A `close` that succeeds leaves `errno` as it is.)
        drop((theirs, open));
        wait::end_of_own(pid);
        self.has_ended();
        wait::reap_own(pid);
        Ok(())
    }

    /// Its process has ended and is not reaped yet: whoever knows its number has to forget it first.
    pub(crate) fn has_ended(&self) {
        loop {
            match self.state.load(Ordering::Acquire) {
                state::EMPTY => return,
                state::GONE => self.sleep_while(state::GONE),
                // Whoever had taken it has just let go of it.
                state::IDLE => drop(self.goes(state::IDLE, state::EMPTY)),
                is => {
                    if self.goes(is, state::GONE) {
                        self.wake();
                    }
                }
            }
        }
    }

    /// Whoever has taken it asks, and has the answer or the end of the process.
    pub(crate) fn ask(&self, asker: &Asker, question: &Question<'_>) -> Result<(), Errno> {
        asker.lend(self.pid.load(Ordering::Acquire), || self.asks(question));
        self.release();
        match question.came.load(Ordering::Acquire) {
            0 => Ok(()),
            errno => Err(Errno::from_raw(errno)),
        }
    }

    fn asks(&self, question: &Question<'_>) {
        self.question.store(ptr::from_ref(question).cast_mut().cast(), Ordering::Release);
        if self.goes(state::TAKEN, state::ASKED) {
            // Its message is what it waits for, and it takes no question without one.
            if let Err(errno) = Hand::of(self.ours.load(Ordering::Acquire)).give(question.open)
                && self.goes(state::ASKED, state::DONE)
            {
                question.came.store(errno as i32, Ordering::Release);
            }
            while self.state.load(Ordering::Acquire) == state::ASKED {
                self.sleep_while(state::ASKED);
            }
        }
    }

    /// Nobody asks it any more. One that has ended stays its holder's until there is another one.
    fn release(&self) {
        if self.state.load(Ordering::Acquire) == state::DONE {
            self.holder.store(FREE, Ordering::Release);
            if self.goes(state::DONE, state::IDLE) {
                return;
            }
        }
        self.state.store(state::EMPTY, Ordering::Release);
        self.wake();
    }

    pub(crate) fn goes(&self, from: u32, to: u32) -> bool {
        self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Until it is woken, if the state is still this one.
    fn sleep_while(&self, is: u32) {
        let op = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
        // SAFETY: a word that lives as long as the process; no time.
        unsafe { libc::syscall(libc::SYS_futex, self.state.as_ptr(), op, is, ptr::null::<u8>(), 0, 0) };
    }

    fn wake(&self) {
        let op = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
        // SAFETY: as above; it is not written to.
        unsafe { libc::syscall(libc::SYS_futex, self.state.as_ptr(), op, i32::MAX, 0, 0, 0) };
    }
}

/// The life of a process of the reserve.
///
/// # Safety
/// `data` is a [`Place`], and this process its only one.
unsafe extern "C" fn live(data: *mut c_void, _: bool) -> ! {
    // SAFETY: the caller's promise; a place is shared by atomics alone.
    let place = unsafe { &*data.cast::<Place>() };
    if let Ok(mut process) = Process::begin(place) {
        // SAFETY: no arguments.
        place.pid.store(unsafe { libc::syscall(libc::SYS_getpid) } as i32, Ordering::Release);
        place.holder.store(FREE, Ordering::Release);
        place.state.store(state::IDLE, Ordering::Release);
        while process.serve(place).is_ok() {}
    }
    // SAFETY: ends this process without running anything of the parent's.
    unsafe { libc::_exit(0) }
}

/// A process of the reserve, as it knows itself.
struct Process {
    before: Condition,
    /// What it keeps open: its socket, the prober's root, and a pidfd of the life it ends with, or the root again.
    keep: [RawFd; 3],
}

impl Process {
    fn begin(place: &Place) -> Result<Self, Errno> {
        let [namespace, life] = [0, 1].map(|which| place.inside[which].load(Ordering::Acquire));
        let socket = place.theirs.load(Ordering::Acquire);
        if namespace != NONE {
            switch::go_inside(namespace)?;
        }
        close_all_but([socket, if life == NONE { socket } else { life }]);
        let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
        // SAFETY: a terminated path.
        let root = raw::check(unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, c"/".as_ptr(), flags) })? as RawFd;
        let before = Condition::now()?;
        raw::die_with(before.parent)?;
        Ok(Self { before, keep: [socket, root, if life == NONE { root } else { life }] })
    }

    /// One question.
    ///
    /// # Errors
    /// It is over: nobody asks any more, or the process is not what it was.
    fn serve(&mut self, place: &Place) -> Result<(), Errno> {
        self.await_message()?;
        let mut got = [NONE; handed::MOST];
        let count = Hand::of(self.keep[0]).receive(&mut got)?;
        // Who could change it a moment ago may still have done so.
        if Condition::now()? != self.before {
            return Err(Errno::EOWNERDEAD);
        }
        // SAFETY: whoever asks waits for the answer, or for this process's end.
        let question = unsafe { &*place.question.load(Ordering::Acquire).cast::<Question<'_>>() };
        let came = match self.stand(&got, count, question.open) {
            Ok(()) => {
                // SAFETY: the promise of whoever asks.
                unsafe { (question.perform)(question.data) };
                0
            }
            Err(errno) => errno as i32,
        };
        // Before the answer: what is open on a mount keeps that from being unmounted.
        close_all_but(self.keep);
        self.before.put_back()?;
        if question.moves {
            switch::enter(self.keep[1])?;
        }
        if Condition::now()? != self.before {
            return Err(Errno::EOWNERDEAD);
        }
        question.came.store(came, Ordering::Release);
        if !place.goes(state::ASKED, state::DONE) {
            return Err(Errno::EOWNERDEAD);
        }
        place.wake();
        Ok(())
    }

    /// Until there is a message, or the life has ended.
    fn await_message(&self) -> Result<(), Errno> {
        let [socket, root, life] = self.keep;
        if life == root {
            return Ok(()); // the message is awaited as it is received
        }
        let mut both = [socket, life].map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
        loop {
            // SAFETY: two entries that outlive the call; no time, and the mask stays as it is.
            let polled = unsafe {
                libc::syscall(
                    libc::SYS_ppoll,
                    both.as_mut_ptr(),
                    both.len(),
                    ptr::null::<u8>(),
                    ptr::null::<u8>(),
                    size_of::<u64>(),
                )
            };
            match raw::check(polled) {
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
                Ok(_) if both[0].revents != 0 => return Ok(()),
                Ok(_) => return Err(Errno::ESRCH),
            }
        }
    }

    /// Puts the files that came with a question where whoever asks has them.
    fn stand(&mut self, got: &[RawFd; handed::MOST], count: usize, wanted: &[RawFd]) -> Result<(), Errno> {
        if count != wanted.len() {
            return Err(Errno::EMFILE); // the kernel could not give all
        }
        let mut moves: [raw::Move; handed::MOST] = [(NONE, NONE); handed::MOST];
        moves.iter_mut().zip(got).zip(wanted).for_each(|((to, got), wanted)| *to = (*got, *wanted));
        let was_root = self.keep[2] == self.keep[1];
        let arranged = raw::arrange(&mut moves[..count], &mut self.keep[..if was_root { 2 } else { 3 }]);
        if was_root {
            self.keep[2] = self.keep[1];
        }
        arranged?;
        let [socket, root, life] = self.keep;
        let mut open = [socket; 3 + handed::MOST];
        open[..3].copy_from_slice(&[socket, root, life]);
        open[3..3 + count].copy_from_slice(wanted);
        close_all_but(open);
        Ok(())
    }
}

/// Closes every fd but these.
fn close_all_but<const N: usize>(mut keep: [RawFd; N]) {
    keep.sort_unstable();
    raw::close_all_but(&keep);
}
