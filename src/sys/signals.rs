//! Signal masks, handlers and the fd that signals are read from.

use std::marker::PhantomData;

use nix::sys::{
    signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, pthread_sigmask, sigaction},
    signalfd::{SfdFlags, SignalFd},
};

use crate::raw;

/// All signals of the calling thread stay blocked while this lives.
pub(crate) struct Blocked {
    before: SigSet,
    // A mask belongs to a thread: the guard must not be dropped in another one.
    _here: PhantomData<*const ()>,
}

impl Drop for Blocked {
    fn drop(&mut self) {
        let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&self.before), None);
    }
}

/// Blocks all signals in the calling thread until the guard is dropped.
pub(crate) fn block_all_in_thread() -> Blocked {
    let mut before = SigSet::empty();
    let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before));
    Blocked { before, _here: PhantomData }
}

/// One signal read from a [`Signals`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// The signal.
    pub signal: i32,
    /// Who sent it, 0 for the kernel or somebody outside our pid namespace.
    pub sender: i32,
}

/// Every signal of this process, read instead of handled. Made once, by a process of one thread.
#[derive(Debug)]
pub struct Signals(SignalFd);

impl Signals {
    /// Resets all handlers (also the ignored signals: they would stay ignored across exec), blocks all signals for good and
    /// opens the fd. Signals sent before it is opened wait in the mask. Blocked, they reach even a pid 1.
    ///
    /// # Errors
    /// EMFILE, ENOMEM.
    pub fn take_over() -> nix::Result<Self> {
        let all = SigSet::all();
        pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&all), None)?;
        raw::default_handlers();
        SignalFd::with_flags(&all, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map(Self)
    }

    /// The next waiting signal, if there is one.
    #[must_use]
    pub fn next(&self) -> Option<Received> {
        let info = self.0.read_signal().ok().flatten()?;
        Some(Received { signal: info.ssi_signo as i32, sender: info.ssi_pid as i32 })
    }
}

impl std::os::fd::AsFd for Signals {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// From now on a write beyond the limit of file sizes (`RLIMIT_FSIZE`) is an error, EFBIG, and not the end of this process. By a handler, because
/// an ignored signal stays ignored across exec, and a vassal shall have the default.
///
/// # Errors
/// None that is known.
pub fn outlive_file_limit() -> nix::Result<()> {
    extern "C" fn nothing(_: i32) {}
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler does nothing, so it may interrupt anything.
    unsafe { sigaction(Signal::SIGXFSZ, &action) }.map(drop)
}

/// `SIGKILL`, or the number of a signal that has no name of its own.
#[must_use]
pub fn name(signal: i32) -> String {
    Signal::try_from(signal).map_or_else(|_| format!("signal {signal}"), |s| s.as_str().to_owned())
}

pub use libc::{
    SIGABRT, SIGBUS, SIGCHLD, SIGCONT, SIGFPE, SIGHUP, SIGILL, SIGINT, SIGKILL, SIGPIPE, SIGQUIT, SIGSEGV, SIGSTOP, SIGSYS,
    SIGTERM, SIGTRAP, SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2, SIGWINCH, SIGXCPU, SIGXFSZ,
};

/// Whether a process gets it for a fault of its own, mostly.
#[must_use]
pub fn tells_of_a_fault(signal: i32) -> bool {
    [SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP].contains(&signal)
}
