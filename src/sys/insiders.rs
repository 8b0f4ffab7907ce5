//! Processes that ask in the user namespaces of vassals, kept for the time when none can be made (`reserve.rs`).
//!
//! No process comes back from a user namespace, so one of these stays there. It is wanted as soon as a child has asked there in peace, one
//! for each life with such a mount, and ends with the life. One that ended otherwise is made again after the next look in peace.
//!
//! For one owner one is asked at a time, and [`ASKERS`] altogether: their hanging leaves threads for other looks.

use std::{
    collections::BTreeMap,
    os::fd::{AsRawFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
};

use nix::{errno::Errno, sys::stat::fstat};

use crate::{
    asker::Asker,
    pidfd,
    place::{Place, Question, state},
    reserve::{ASKERS, Whose, in_time},
    signals,
};

/// Processes that stay in the user namespaces of vassals.
pub(crate) struct Insiders {
    /// By the namespace: the number of one that is held open is no other's.
    all: Mutex<BTreeMap<(u64, u64), Insider>>,
    /// The owners one of them is asked for now, at most [`ASKERS`].
    asked_for: Mutex<Vec<Whose>>,
}

struct Insider {
    place: Arc<Place>,
    /// The namespace and the life, until it has a keeper.
    waits: Option<[OwnedFd; 2]>,
}

/// The prober's.
pub(crate) static INSIDERS: Insiders = Insiders::new();

/// The keepers that are wanted, one for each life that was looked at in its user namespace. Each needs a thread of its own.
#[must_use]
pub fn wanted() -> Vec<Keeper> {
    INSIDERS.wanted()
}

/// Keeps one process in the user namespace of a life. One that is dropped is wanted again after the next look.
pub struct Keeper {
    of: &'static Insiders,
    namespace: (u64, u64),
    place: Arc<Place>,
    inside: Option<[OwnedFd; 2]>,
}

impl Keeper {
    /// Until the life ends, or the process.
    pub fn keep(mut self) {
        let inside = self.inside.take();
        self.place
            .inside
            .iter()
            .zip(inside.iter().flatten())
            .for_each(|(place, fd)| place.store(fd.as_raw_fd(), Ordering::Release));
        let _blocked = signals::block_all_in_thread();
        self.place.keep_one(inside).ok();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        lock(&self.of.all).remove(&self.namespace);
    }
}

impl Insiders {
    const fn new() -> Self {
        Self { all: Mutex::new(BTreeMap::new()), asked_for: Mutex::new(Vec::new()) }
    }

    /// From now on a process is to wait in this namespace, as long as this one lives.
    pub(crate) fn want(&self, namespace: &OwnedFd, life: i32) {
        let Ok(number) = number(namespace) else { return };
        let mut all = lock(&self.all);
        if !all.contains_key(&number)
            && let (Ok(namespace), Ok(life)) = (namespace.try_clone(), pidfd::open(life))
        {
            all.insert(number, Insider { place: Arc::new(Place::new()), waits: Some([namespace, life]) });
        }
    }

    fn wanted(&'static self) -> Vec<Keeper> {
        let mut all = lock(&self.all);
        let keeper = |(namespace, insider): (&(u64, u64), &mut Insider)| {
            let inside = insider.waits.take()?;
            Some(Keeper { of: self, namespace: *namespace, place: Arc::clone(&insider.place), inside: Some(inside) })
        };
        all.iter_mut().filter_map(keeper).collect()
    }

    /// Has this done by the one that waits in the namespace.
    ///
    /// # Errors
    /// EAGAIN: there is none, or it asks, or one is asked for the same owner; EOWNERDEAD: it was killed, or changed.
    ///
    /// # Safety
    /// As [`Reserve::ask`].
    pub(crate) unsafe fn ask(&self, namespace: &OwnedFd, asker: &Asker, question: &Question<'_>) -> Result<(), Errno> {
        let place = lock(&self.all).get(&number(namespace)?).map(|insider| Arc::clone(&insider.place)).ok_or(Errno::EAGAIN)?;
        let whose = asker.whose();
        let take = || {
            let mut asked_for = lock(&self.asked_for);
            let is_free = asked_for.len() < ASKERS && !asked_for.contains(&whose) && place.goes(state::IDLE, state::TAKEN);
            is_free.then(|| asked_for.push(whose))
        };
        in_time(take).ok_or(Errno::EAGAIN)?;
        let came = place.ask(asker, question);
        lock(&self.asked_for).retain(|other| *other != whose);
        came
    }
}

/// What a namespace is known by, as long as it is open.
fn number(namespace: &OwnedFd) -> Result<(u64, u64), Errno> {
    fstat(namespace).map(|stat| (stat.st_dev, stat.st_ino))
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{ffi::c_void, ptr};

    use super::*;

    const TENANT: u32 = 54_321;

    fn of(uid: u32) -> Asker {
        Asker::new(Whose::User(uid))
    }

    fn until<T>(mut found: impl FnMut() -> Option<T>) -> T {
        loop {
            if let Some(found) = found() {
                return found;
            }
            std::thread::yield_now();
        }
    }

    fn namespace() -> i64 {
        // SAFETY: all zeroes is a value of this plain C struct.
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: a terminated path, and a struct that outlives the call.
        let answer =
            unsafe { libc::syscall(libc::SYS_newfstatat, libc::AT_FDCWD, c"/proc/self/ns/user".as_ptr(), &raw mut stat, 0) };
        if answer == 0 { stat.st_ino as i64 } else { -1 }
    }

    /// # Safety
    /// `data` is an `i64`, and the caller's alone.
    unsafe fn tell_namespace(data: *mut c_void) {
        // SAFETY: `ask` gives what it owns.
        unsafe { *data.cast::<i64>() = namespace() };
    }

    #[test]
    fn an_insider_asks_in_its_namespace_until_the_life_ends() {
        let insiders: &'static Insiders = Box::leak(Box::new(Insiders::new()));
        let mut life = std::process::Command::new("unshare").args(["-U", "-r", "sleep", "100"]).spawn().unwrap();
        let path = format!("/proc/{}/ns/user", life.id());
        let ours = std::fs::read_link("/proc/self/ns/user").unwrap();
        until(|| (std::fs::read_link(&path).unwrap() != ours).then_some(()));
        let inside = OwnedFd::from(std::fs::File::open(&path).unwrap());
        let ask = || {
            let mut told = 0;
            let question = Question::new(&[], false, tell_namespace, ptr::from_mut(&mut told).cast());
            // SAFETY: raw calls only, and `told` outlives the call.
            unsafe { insiders.ask(&inside, &of(TENANT), &question) }.map(|()| told)
        };
        assert_eq!(ask(), Err(Errno::EAGAIN), "nobody wanted one");
        for _ in 0..2 {
            insiders.want(&inside, life.id() as i32);
        }
        let mut wanted = insiders.wanted();
        assert_eq!(wanted.len(), 1);
        assert!(insiders.wanted().is_empty(), "it is made once");
        let keeper = wanted.remove(0);
        let kept = std::thread::Builder::new().spawn(move || keeper.keep()).unwrap();
        let number = number(&inside).unwrap().1 as i64;
        assert_eq!(until(|| ask().ok()), number);
        for _ in 0..10 {
            assert_eq!(ask(), Ok(number));
        }
        life.kill().unwrap();
        life.wait().unwrap();
        kept.join().unwrap();
        assert_eq!(ask(), Err(Errno::EAGAIN));
        assert!(lock(&insiders.all).is_empty());
    }
}
