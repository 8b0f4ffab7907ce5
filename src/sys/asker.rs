//! The child process that asks a mount for a probe, while it does.
//!
//! It may hang, and the owner of the mount may have stopped it. So its pid is known meanwhile to the threads beside the one that
//! waits for it, and can be killed by them. It is forgotten before it is reaped: its number is never another process's here.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{descendants, reserve::Whose, wait};

/// At most one child at a time.
#[derive(Debug, Default)]
pub(crate) struct Asker {
    whose: Whose,
    asks: Mutex<Option<i32>>,
}

impl Asker {
    /// For a look at a mount of this owner's vassal.
    pub(crate) fn new(whose: Whose) -> Self {
        Self { whose, asks: Mutex::default() }
    }

    /// Whom it asks for.
    pub(crate) fn whose(&self) -> Whose {
        self.whose
    }

    /// The child that asks now.
    pub(crate) fn pid(&self) -> Option<i32> {
        *self.lock()
    }

    /// SIGKILL to the child that asks now. The probe it asks for ends, unless the kernel keeps the child.
    pub(crate) fn kill(&self) {
        let asks = self.lock();
        if let Some(pid) = *asks {
            descendants::kill(pid, libc::SIGKILL).ok();
        }
    }

    /// Makes a child with `make`, which gives its pid, and waits for its end. None: the kernel knows no such child.
    ///
    /// The lock is taken before: a child that shares our memory shares `errno` too, so nothing that may fail is called while it lives.
    pub(crate) fn run(&self, make: impl FnOnce() -> nix::Result<i32>) -> nix::Result<Option<wait::Ended>> {
        let mut asks = self.lock();
        let pid = make()?;
        *asks = Some(pid);
        drop(asks);
        wait::end_of_own(pid);
        *self.lock() = None;
        Ok(wait::reap_own(pid))
    }

    /// Has a child asked that another thread made and reaps. It is not reaped before `ask` comes back and this has.
    pub(crate) fn lend<T>(&self, pid: i32, ask: impl FnOnce() -> T) -> T {
        *self.lock() = Some(pid);
        let answer = ask();
        *self.lock() = None;
        answer
    }

    fn lock(&self) -> MutexGuard<'_, Option<i32>> {
        self.asks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
