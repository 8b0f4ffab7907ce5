//! Processes that ask for a look, kept for the time when none can be made (`EAGAIN`, `ENOMEM`: `pids.max`, a fork bomb).
//!
//! In peace a child is made for each question (`switch.rs`), so that nothing an owner does to it outlasts the question. One of these is
//! used for many, so it does not go on as it pleases: it waits with the prober's ids, which no tenant can touch; it wears an owner's ids for
//! one question; then it puts the prober's back on and looks whether its limits, priority and affinity are what they were. Where they are not, it ends.
//!
//! It shares the prober's memory and no open files. Those that a question needs are handed to it over a socket, stand under the same numbers as
//! with the prober, and are closed before it has answered. So one that follows a path in a tenant's root is as it was afterwards, and asks again.
//!
//! Each belongs to a thread, its keeper, that made it and waits for its end, and makes the next one as soon as that works. The keeper does
//! nothing else, because the two share what belongs to a thread (`errno`), and it never ends, because the process dies with it.
//!
//! An owner has one of them at most: the one that asks for its vassals, or hangs in a mount of theirs, or ended over that question and could
//! not be made again. Whose vassal it is the daemon says ([`Whose`]): the mount's own word (`user_id=`) is its maker's choice.
//! So [`ASKERS`] owners whose mounts hang, at the same time and without a process left, keep the others from being asked for; fewer do not.
//! What is seen of a mount without asking it goes on (that it is dead: the prober's `unasked.rs`). The
//! memory is the prober's: one takes as much as a child that hangs, 27 KB, and its keeper as much again.
//!
//! What asks in a user namespace does not come back from it: see `insiders.rs`.

use std::{
    sync::{Mutex, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use nix::errno::Errno;

use crate::{
    asker::Asker,
    insiders::lock,
    place::{Place, Question, state},
};

/// How many there are, and how many insiders may be asked at once.
pub const ASKERS: usize = 4;

/// A question waits so long for one of them to be free: those of others take microseconds, or hang.
const PATIENCE: Duration = Duration::from_millis(50);
/// And looks for one so often.
const GLANCE: Duration = Duration::from_millis(1);

/// What is found free in time.
pub(crate) fn in_time<T>(mut free: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + PATIENCE;
    loop {
        match free() {
            None if Instant::now() <= until => thread::sleep(GLANCE),
            found => return found,
        }
    }
}

/// Whose vassal a look is for, as the daemon knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whose {
    /// This user's.
    User(u32),
    /// The vassal of this birth is root's, or nobody knows whose: root of a namespace may be any tenant.
    Life(u64),
}

impl Whose {
    /// By the uid in the vassal's file, if it tells one, and the number of the life.
    #[must_use]
    pub fn new(uid: Option<u32>, birth: u64) -> Self {
        uid.filter(|uid| *uid != 0).map_or(Self::Life(birth), Self::User)
    }

    /// Both in one number.
    fn number(self) -> i64 {
        match self {
            Self::User(uid) => i64::from(uid),
            Self::Life(birth) => i64::from(u32::MAX).saturating_add_unsigned(birth).saturating_add(1),
        }
    }
}

impl Default for Whose {
    fn default() -> Self {
        Self::Life(0)
    }
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

    /// Has this done by one of the reserve, for whom the asker asks. It begins and ends with the ids of the prober.
    ///
    /// # Errors
    /// EAGAIN: there is none for this owner; EOWNERDEAD: it was killed, or changed.
    ///
    /// # Safety
    /// What is performed makes raw calls only, allocates and locks nothing, and uses none but the question's open files; its data is valid.
    pub(crate) unsafe fn ask(&self, asker: &Asker, question: &Question<'_>) -> Result<(), Errno> {
        let place = self.take(asker.whose()).ok_or(Errno::EAGAIN)?;
        place.ask(asker, question)
    }

    /// One that waits, now this owner's.
    fn take(&self, whose: Whose) -> Option<&Place> {
        let whose = whose.number();
        in_time(|| {
            let _choosing = lock(&self.choosing);
            if self.places.iter().any(|place| place.holder.load(Ordering::Acquire) == whose) {
                return None;
            }
            let place = self.places.iter().find(|place| place.goes(state::IDLE, state::TAKEN))?;
            place.holder.store(whose, Ordering::Release);
            Some(place)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        ffi::c_void,
        os::fd::{AsRawFd, RawFd},
        ptr,
    };

    use super::*;
    use crate::{
        descendants,
        handed::{self, Hand},
        identity::ids,
        place::FREE,
        raw, switch,
    };

    const TENANT: u32 = 54_321;
    const OTHER: u32 = 54_322;

    fn of(uid: u32) -> Asker {
        Asker::new(Whose::User(uid))
    }

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
        let question = Question::new(&[], false, perform, ptr::from_mut(&mut asked).cast());
        // SAFETY: raw calls only, and `asked` outlives the call.
        unsafe { reserve.ask(asker, &question) }.map(|()| asked.answer)
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
            assert_eq!(ask(reserve, uid, &of(uid), worn), Ok(i64::from(uid)));
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
            assert_eq!(ask(reserve, TENANT, &of(TENANT), change), Err(Errno::EOWNERDEAD));
            until(|| (pids(reserve) != before).then_some(()));
            until_full(reserve);
            assert_eq!(ask(reserve, TENANT, &of(TENANT), worn), Ok(i64::from(TENANT)), "there is another one");
        }
    }

    #[test]
    fn an_owner_whose_mount_hangs_gets_no_second_one() {
        let reserve = reserve();
        until_full(reserve);
        let asker = of(TENANT);
        std::thread::scope(|scope| {
            let hanging = scope.spawn(|| ask(reserve, TENANT, &asker, hangs));
            let pid = until(|| asker.pid());
            assert_eq!(ask(reserve, TENANT, &of(TENANT), worn), Err(Errno::EAGAIN));
            assert_eq!(ask(reserve, OTHER, &of(OTHER), worn), Ok(i64::from(OTHER)));
            descendants::kill(pid, libc::SIGTERM).unwrap();
            assert_eq!(asker.pid(), Some(pid), "only two signals reach it");
            asker.kill();
            assert_eq!(hanging.join().unwrap(), Err(Errno::EOWNERDEAD));
        });
        assert_eq!(asker.pid(), None);
        until_full(reserve);
        assert_eq!(ask(reserve, TENANT, &of(TENANT), worn), Ok(i64::from(TENANT)));
    }

    #[test]
    fn one_that_is_lost_is_its_owners_until_there_is_another_one() {
        let reserve: &Reserve = Box::leak(Box::new(Reserve::new()));
        // Without a keeper: it waits, and ends over the question.
        let sockets = [const { handed::pair }; ASKERS].map(|pair| pair().unwrap());
        for (place, (ours, _)) in reserve.places.iter().zip(&sockets) {
            place.ours.store(ours.as_raw_fd(), Ordering::Release);
            place.state.store(state::IDLE, Ordering::Release);
        }
        std::thread::scope(|scope| {
            let lost = scope.spawn(|| ask(reserve, TENANT, &of(TENANT), worn));
            let place = until(|| reserve.places.iter().find(|place| place.state.load(Ordering::Acquire) == state::ASKED));
            place.has_ended();
            assert_eq!(lost.join().unwrap(), Err(Errno::EOWNERDEAD));
            assert!(reserve.take(Whose::User(TENANT)).is_none());
            assert!(reserve.take(Whose::User(OTHER)).is_some());
            place.holder.store(FREE, Ordering::Release);
            assert!(reserve.take(Whose::User(TENANT)).is_some(), "it was made again");
        });
    }

    /// What `follow` is given: a directory to be the root, and where the number of its first file goes.
    struct Followed {
        root: RawFd,
        hand: Hand,
        given: Result<(), Errno>,
    }

    /// # Safety
    /// `data` is a [`Followed`], and the caller's alone.
    unsafe fn follow(data: *mut c_void) {
        // SAFETY: `ask` gives what it owns.
        let followed = unsafe { &mut *data.cast::<Followed>() };
        let open = || {
            // SAFETY: a terminated path.
            raw::check(unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, c"/found".as_ptr(), libc::O_PATH) })
        };
        followed.given = switch::enter(followed.root).and_then(|()| open()).and_then(|fd| followed.hand.give(&[fd as RawFd]));
    }

    #[test]
    fn one_that_went_into_another_root_is_as_before() {
        let reserve = reserve();
        until_full(reserve);
        let before = pids(reserve);
        let root = std::env::temp_dir().join(format!("liege-reserve-{}", std::process::id()));
        std::fs::create_dir_all(root.join("found")).unwrap();
        let open = std::fs::File::open(&root).unwrap();
        for _ in 0..3 * ASKERS {
            let (ours, theirs) = handed::pair().unwrap();
            let files = [open.as_raw_fd(), theirs.as_raw_fd()];
            let mut followed = Followed { root: files[0], hand: Hand::of(files[1]), given: Err(Errno::EINVAL) };
            let question = Question::new(&files, true, follow, ptr::from_mut(&mut followed).cast());
            // SAFETY: raw calls only, and `followed` outlives the call.
            assert_eq!(unsafe { reserve.ask(&of(TENANT), &question) }, Ok(()));
            assert_eq!(followed.given, Ok(()));
            let taken = handed::take(std::os::fd::AsFd::as_fd(&ours)).unwrap();
            assert_eq!(std::fs::read_link(format!("/proc/self/fd/{}", taken.as_raw_fd())).unwrap(), root.join("found"));
        }
        until_full(reserve);
        assert_eq!(pids(reserve), before, "none ended over it");
        for pid in before {
            assert_eq!(std::fs::read_link(format!("/proc/{pid}/root")).unwrap(), std::path::Path::new("/"));
            assert_eq!(std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(), 2, "its socket and its root");
        }
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn root_of_one_life_is_not_the_owner_of_another() {
        assert_eq!(Whose::new(Some(TENANT), 1), Whose::new(Some(TENANT), 2));
        assert_ne!(Whose::new(Some(0), 1), Whose::new(Some(0), 2));
        assert_ne!(Whose::new(None, 1), Whose::new(None, 2));
        assert_ne!(Whose::new(None, 1).number(), Whose::new(Some(1), 1).number());
        assert_ne!(Whose::new(Some(u32::MAX), 1).number(), Whose::new(None, 0).number());
    }
}
