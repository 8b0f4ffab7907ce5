//! Processes that ask as a mount's owner, kept for the time when none can be made (`EAGAIN`, `ENOMEM`: `pids.max`, a fork bomb).
//!
//! In peace a child is made for each question (`switch.rs`), so that nothing an owner does to it outlasts the question. One of these is
//! used for many, so it does not go on as it pleases: it waits with the prober's ids, which no tenant can touch; it wears an owner's ids for
//! one question; then it puts the prober's back on and looks whether its limits, priority and affinity are what they were. Where they are not, it ends.
//!
//! Each belongs to a thread, its keeper, that made it and waits for its end, and makes the next one as soon as that works. The keeper does
//! nothing else, because the two share what belongs to a thread (`errno`), and it never ends, because the process dies with it.
//!
//! An owner has one of them at most: the one that asks for him, or hangs in his mount, or ended over his question and could not be made again.
//! So [`ASKERS`] owners that mean ill, at the same time and without a process left, keep the others from being asked for; fewer do not. The memory
//! and files are the prober's: one takes as much as a child that hangs, 27 KB, and its keeper as much again.
//!
//! A question that needs open files of its own (`Files::Own`) uses one up: what was unshared cannot be shared again.

use std::{
    ffi::c_void,
    ptr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicPtr, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use nix::errno::Errno;

use crate::{asker::Asker, identity::ids, raw, signals, vfork, wait};

/// How many there are.
pub const ASKERS: usize = 4;

/// A question waits so long for one of them to be free: those of others take microseconds, or hang.
const PATIENCE: Duration = Duration::from_millis(50);
/// And looks for one so often.
const GLANCE: Duration = Duration::from_millis(1);
/// So often it is tried to make one that is missing.
const RETRY: Duration = Duration::from_millis(200);

/// Nobody's.
const FREE: i64 = -1;

/// The states of a place. Whoever waits for another one sleeps on the number.
mod state {
    /// No process.
    pub(super) const EMPTY: u32 = 0;
    /// It waits for a question.
    pub(super) const IDLE: u32 = 1;
    /// Somebody is about to ask it.
    pub(super) const TAKEN: u32 = 2;
    /// It is asked.
    pub(super) const ASKED: u32 = 3;
    /// It has answered, and is as it was.
    pub(super) const DONE: u32 = 4;
    /// It has ended, and whoever had taken it does not know yet.
    pub(super) const GONE: u32 = 5;
}

/// Which open files a question is asked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Files {
    /// Those of the caller.
    Shared,
    /// Copies, which are closed with the process.
    Own,
}

/// A question on the stack of the thread that asks it.
struct Errand {
    files: Files,
    /// SAFETY: what it is given is `data`, while that is valid.
    perform: unsafe fn(*mut c_void),
    data: *mut c_void,
    is_done: AtomicBool,
}

/// The place of one process.
struct Place {
    state: AtomicU32,
    pid: AtomicI32,
    /// The uid of the owner it is for, or was lost over.
    holder: AtomicI64,
    errand: AtomicPtr<Errand>,
}

/// All of them.
pub(crate) struct Reserve {
    places: [Place; ASKERS],
    /// Held by whoever chooses one.
    choosing: Mutex<()>,
}

/// The prober's.
pub(crate) static RESERVE: Reserve = Reserve::new();

/// The life of the keeper of one process of the reserve, on a thread of its own. Comes back only where there is no such place.
pub fn keep(place: usize) {
    RESERVE.keep(place);
}

impl Reserve {
    pub(crate) const fn new() -> Self {
        Self { places: [const { Place::new() }; ASKERS], choosing: Mutex::new(()) }
    }

    fn keep(&'static self, place: usize) {
        if let Some(place) = self.places.get(place) {
            place.keep();
        }
    }

    /// Has `perform` done with `data` by one of the reserve, for this uid. It begins and ends with the ids of the prober.
    ///
    /// # Errors
    /// EAGAIN: there is none for this owner; EOWNERDEAD: it was killed, or changed.
    ///
    /// # Safety
    /// `perform` makes raw calls only, allocates and locks nothing; `data` is valid for it.
    pub(crate) unsafe fn ask(
        &self,
        uid: u32,
        files: Files,
        asker: &Asker,
        perform: unsafe fn(*mut c_void),
        data: *mut c_void,
    ) -> Result<(), Errno> {
        let place = self.take(uid).ok_or(Errno::EAGAIN)?;
        let errand = Errand { files, perform, data, is_done: AtomicBool::new(false) };
        asker.lend(place.pid.load(Ordering::Acquire), || place.asks(&errand));
        place.release();
        if errand.is_done.load(Ordering::Acquire) { Ok(()) } else { Err(Errno::EOWNERDEAD) }
    }

    /// One that waits, now this owner's.
    fn take(&self, uid: u32) -> Option<&Place> {
        let (until, uid) = (Instant::now() + PATIENCE, i64::from(uid));
        loop {
            let choosing = self.choosing.lock().unwrap_or_else(PoisonError::into_inner);
            if self.places.iter().all(|place| place.holder.load(Ordering::Acquire) != uid)
                && let Some(place) = self.places.iter().find(|place| place.goes(state::IDLE, state::TAKEN))
            {
                place.holder.store(uid, Ordering::Release);
                return Some(place);
            }
            drop(choosing);
            if Instant::now() > until {
                return None;
            }
            thread::sleep(GLANCE);
        }
    }
}

impl Place {
    const fn new() -> Self {
        Self {
            state: AtomicU32::new(state::EMPTY),
            pid: AtomicI32::new(0),
            holder: AtomicI64::new(FREE),
            errand: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// The life of a keeper.
    fn keep(&'static self) -> ! {
        // Blocked in its processes too: KILL and STOP are all that reaches them.
        let _blocked = signals::block_all_in_thread();
        let mut stack = vec![0u128; vfork::STACK / size_of::<u128>()];
        loop {
            let place = ptr::from_ref(self).cast_mut().cast();
            // SAFETY: signals are blocked; `live` makes raw calls only. Stack and place outlive the process, and this thread does
            // nothing but wait until that has ended.
            match unsafe { vfork::beside(libc::CLONE_FILES as u64, &mut stack, live, place) } {
                Ok(pid) => {
                    wait::end_of_own(pid);
                    self.has_ended();
                    wait::reap_own(pid);
                }
                Err(_) => thread::sleep(RETRY),
            }
        }
    }

    /// Its process has ended and is not reaped yet: whoever knows its number has to forget it first.
    fn has_ended(&self) {
        if self.goes(state::IDLE, state::EMPTY) {
            return;
        }
        let mut is = self.state.load(Ordering::Acquire);
        while is != state::EMPTY {
            if is == state::GONE {
                self.sleep_while(is);
            } else if self.goes(is, state::GONE) {
                self.wake();
            }
            is = self.state.load(Ordering::Acquire);
        }
    }

    /// Asks, and comes back with the answer or the end of the process.
    fn asks(&self, errand: &Errand) {
        self.errand.store(ptr::from_ref(errand).cast_mut(), Ordering::Release);
        if self.goes(state::TAKEN, state::ASKED) {
            self.wake();
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

    fn goes(&self, from: u32, to: u32) -> bool {
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
    if let Ok(before) = Condition::now()
        && raw::die_with(before.parent).is_ok()
    {
        // SAFETY: no arguments.
        place.pid.store(unsafe { libc::syscall(libc::SYS_getpid) } as i32, Ordering::Release);
        place.holder.store(FREE, Ordering::Release);
        place.state.store(state::IDLE, Ordering::Release);
        loop {
            match place.state.load(Ordering::Acquire) {
                // Who could change it a moment ago may still have done so.
                state::ASKED if Condition::now() != Ok(before) => break,
                state::ASKED => {}
                is => {
                    place.sleep_while(is);
                    continue;
                }
            }
            // SAFETY: whoever asks waits for the answer, or for this process's end.
            let errand = unsafe { &*place.errand.load(Ordering::Acquire) };
            if errand.files == Files::Own {
                // SAFETY: numbers only.
                if raw::check(unsafe { libc::syscall(libc::SYS_unshare, libc::CLONE_FILES) }).is_ok() {
                    // SAFETY: the promise of whoever asks.
                    unsafe { (errand.perform)(errand.data) };
                    errand.is_done.store(true, Ordering::Release);
                }
                break;
            }
            // SAFETY: the promise of whoever asks.
            unsafe { (errand.perform)(errand.data) };
            if before.put_back().is_err() || Condition::now() != Ok(before) {
                break;
            }
            errand.is_done.store(true, Ordering::Release);
            if !place.goes(state::ASKED, state::DONE) {
                break;
            }
            place.wake();
        }
    }
    // SAFETY: ends this process without running anything of the parent's.
    unsafe { libc::_exit(0) }
}

/// Limits that a kernel knows.
const LIMITS: usize = 16;
/// Words of a set of processors: a kernel with more says EINVAL, always.
const PROCESSORS: usize = 128;

/// All of a process that its owner could change, and its ids.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Condition {
    parent: i32,
    uids: [u32; 3],
    gids: [u32; 3],
    limits: [[u64; 2]; LIMITS],
    /// Niceness, policy, class of its disk traffic.
    priority: [libc::c_long; 3],
    processors: [u64; PROCESSORS],
}

impl Condition {
    fn now() -> Result<Self, Errno> {
        let (mut limits, mut processors) = ([[0u64; 2]; LIMITS], [0u64; PROCESSORS]);
        for (which, limit) in limits.iter_mut().enumerate() {
            // SAFETY: two words that outlive the call; nothing is set.
            raw::check(unsafe { libc::syscall(libc::SYS_prlimit64, 0, which, ptr::null::<u8>(), limit.as_mut_ptr()) })?;
        }
        // SAFETY: the block is as long as we say and outlives the call.
        unsafe { libc::syscall(libc::SYS_sched_getaffinity, 0, size_of_val(&processors), processors.as_mut_ptr()) };
        // SAFETY: numbers only.
        let nice = unsafe { libc::syscall(libc::SYS_getpriority, libc::PRIO_PROCESS, 0) };
        // SAFETY: numbers only.
        let policy = unsafe { libc::syscall(libc::SYS_sched_getscheduler, 0) };
        // SAFETY: numbers only; 1: of a process.
        let disk = unsafe { libc::syscall(libc::SYS_ioprio_get, 1, 0) };
        // SAFETY: no arguments.
        let parent = unsafe { libc::syscall(libc::SYS_getppid) } as i32;
        let (uids, gids) = (ids(libc::SYS_getresuid)?, ids(libc::SYS_getresgid)?);
        Ok(Self { parent, uids, gids, limits, priority: [nice, policy, disk], processors })
    }

    /// Puts the ids back on, and dies with its keeper again, which a change of ids takes back.
    fn put_back(&self) -> Result<(), Errno> {
        let ([ruid, euid, suid], [rgid, egid, sgid]) = (self.uids, self.gids);
        // SAFETY: numbers only.
        raw::check(unsafe { libc::syscall(libc::SYS_setresgid, rgid, egid, sgid) })?;
        // SAFETY: numbers only.
        raw::check(unsafe { libc::syscall(libc::SYS_setresuid, ruid, euid, suid) })?;
        raw::die_with(self.parent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descendants;

    const TENANT: u32 = 54_321;
    const OTHER: u32 = 54_322;

    /// A reserve with all its keepers.
    fn reserve() -> &'static Reserve {
        let reserve: &Reserve = Box::leak(Box::new(Reserve::new()));
        for place in 0..ASKERS {
            std::thread::Builder::new().spawn(move || reserve.keep(place)).unwrap();
        }
        reserve
    }

    /// What `perform` is given.
    struct Asked {
        uid: u32,
        work: fn() -> i64,
        answer: i64,
    }

    /// # Safety
    /// `data` is an [`Asked`], and the caller's alone.
    unsafe fn perform(data: *mut c_void) {
        // SAFETY: `ask` gives what it owns.
        let asked = unsafe { &mut *data.cast::<Asked>() };
        // SAFETY: numbers only.
        unsafe { libc::syscall(libc::SYS_prctl, libc::PR_SET_SECUREBITS, libc::SECBIT_NO_SETUID_FIXUP, 0, 0, 0) };
        // SAFETY: numbers only.
        unsafe { libc::syscall(libc::SYS_setresuid, asked.uid, asked.uid, asked.uid) };
        asked.answer = (asked.work)();
    }

    fn ask(reserve: &Reserve, uid: u32, asker: &Asker, work: fn() -> i64) -> Result<i64, Errno> {
        let mut asked = Asked { uid, work, answer: 0 };
        // SAFETY: raw calls only, and `asked` outlives the call.
        unsafe { reserve.ask(uid, Files::Shared, asker, perform, ptr::from_mut(&mut asked).cast()) }.map(|()| asked.answer)
    }

    fn until<T>(mut found: impl FnMut() -> Option<T>) -> T {
        loop {
            if let Some(found) = found() {
                return found;
            }
            std::thread::yield_now();
        }
    }

    fn until_full(reserve: &Reserve) {
        until(|| reserve.places.iter().all(|place| place.state.load(Ordering::Acquire) == state::IDLE).then_some(()));
    }

    fn pids(reserve: &Reserve) -> [i32; ASKERS] {
        reserve.places.each_ref().map(|place| place.pid.load(Ordering::Acquire))
    }

    fn worn() -> i64 {
        ids(libc::SYS_getresuid).map_or(-1, |ids| i64::from(ids[0]))
    }

    fn limited() -> i64 {
        // SAFETY: two words that outlive the call.
        unsafe { libc::syscall(libc::SYS_prlimit64, 0, libc::RLIMIT_NOFILE, [3u64; 2].as_ptr(), ptr::null::<u8>()) }
    }

    fn slowed() -> i64 {
        // SAFETY: numbers only.
        unsafe { libc::syscall(libc::SYS_setpriority, libc::PRIO_PROCESS, 0, 19) }
    }

    fn hangs() -> i64 {
        // SAFETY: no arguments.
        unsafe { libc::syscall(libc::SYS_pause) }
    }

    #[test]
    fn one_asks_for_one_owner_after_the_other_with_the_ids_of_each() {
        let reserve = reserve();
        until_full(reserve);
        let before = pids(reserve);
        for uid in [TENANT, OTHER, TENANT] {
            assert_eq!(ask(reserve, uid, &Asker::default(), worn), Ok(i64::from(uid)));
        }
        until_full(reserve);
        assert_eq!(pids(reserve), before, "none ended over it");
        let uids = before.map(|pid| std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap());
        assert!(uids.iter().all(|status| status.contains("\nUid:\t0\t0\t0\t0\n")), "they wait with our ids");
    }

    #[test]
    fn one_that_was_changed_is_used_for_nobody_else() {
        for change in [limited, slowed] {
            let reserve = reserve();
            until_full(reserve);
            let before = pids(reserve);
            assert_eq!(ask(reserve, TENANT, &Asker::default(), change), Err(Errno::EOWNERDEAD));
            until(|| (pids(reserve) != before).then_some(()));
            until_full(reserve);
            assert_eq!(ask(reserve, TENANT, &Asker::default(), worn), Ok(i64::from(TENANT)), "there is another one");
        }
    }

    #[test]
    fn an_owner_whose_mount_hangs_gets_no_second_one() {
        let reserve = reserve();
        until_full(reserve);
        let asker = Asker::default();
        std::thread::scope(|scope| {
            let hanging = scope.spawn(|| ask(reserve, TENANT, &asker, hangs));
            let pid = until(|| asker.pid());
            assert_eq!(ask(reserve, TENANT, &Asker::default(), worn), Err(Errno::EAGAIN));
            assert_eq!(ask(reserve, OTHER, &Asker::default(), worn), Ok(i64::from(OTHER)));
            descendants::kill(pid, libc::SIGTERM).unwrap();
            assert_eq!(asker.pid(), Some(pid), "only two signals reach it");
            asker.kill();
            assert_eq!(hanging.join().unwrap(), Err(Errno::EOWNERDEAD));
        });
        assert_eq!(asker.pid(), None);
        until_full(reserve);
        assert_eq!(ask(reserve, TENANT, &Asker::default(), worn), Ok(i64::from(TENANT)));
    }

    #[test]
    fn one_that_is_lost_is_its_owners_until_there_is_another_one() {
        let reserve: &Reserve = Box::leak(Box::new(Reserve::new()));
        // Without a keeper: it waits, and ends over the question.
        for place in &reserve.places {
            place.state.store(state::IDLE, Ordering::Release);
        }
        std::thread::scope(|scope| {
            let lost = scope.spawn(|| ask(reserve, TENANT, &Asker::default(), worn));
            let place = until(|| reserve.places.iter().find(|place| place.state.load(Ordering::Acquire) == state::ASKED));
            place.has_ended();
            assert_eq!(lost.join().unwrap(), Err(Errno::EOWNERDEAD));
            assert!(reserve.take(TENANT).is_none());
            assert!(reserve.take(OTHER).is_some());
            place.holder.store(FREE, Ordering::Release);
            assert!(reserve.take(TENANT).is_some(), "it was made again");
        });
    }
}
