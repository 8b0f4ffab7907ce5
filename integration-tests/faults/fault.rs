//! The closed list of faults: where each applies, how it is done, and which states the daemon may call it.

use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::time::Duration;

use nix::libc;
use nix::sys::signal::Signal;

use crate::faults::{Kind, Pace, Victim};
use crate::procs::Process;
use crate::vassal::Vassal;
use crate::wait::breathe;

/// What is done to a vassal's file system, or what its app does to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL to its daemon.
    Killed,
    /// Its daemon aborts by itself.
    Crash,
    /// It answers everything with EIO.
    Errors,
    /// Its daemon unmounts and ends in order.
    CleanExit,
    /// Somebody unmounts it.
    Unmounted,
    /// Something else is mounted over it.
    Covered,
    /// SIGKILL to its daemon, and the app swallows every signal.
    DeafApp,
    /// SIGKILL to its daemon, and a bounded fork bomb runs beside the app.
    Bomb,
    /// SIGSTOP to its daemon.
    Stopped,
    /// Requests are not read.
    Queue,
    /// Requests are read and not answered.
    Swallow,
    /// Requests are answered too late, by an idle daemon.
    Lazy,
    /// Its daemon waits for itself.
    SelfDeadlock,
    /// SIGKILL to its daemon, whose /dev/fuse is held open outside.
    FdHeldOutside,
    /// SIGSTOP to its daemon, while the app is deaf and waits for it in the kernel.
    StuckApp,
    /// Requests are answered late, but in time: no fault at all.
    LateInTime,
    /// Requests are answered too late, by a daemon that works hard, until it is done.
    Busy,
    /// The same without end.
    BusyForEver,
}

/// Faults of one lane disturb each other's clocks in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Known at once: one after the other, because milliseconds are measured.
    Quick,
    /// Known after a timeout: many at once, because all they do is wait.
    Patient,
    /// They burn the processor: by themselves.
    Burning,
}

/// What must come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The states its mount may be called; the first is the one to expect.
    pub states: &'static [&'static str],
    /// Whether the vassal is destroyed and born again; by the cause `mountpoint_` and one of those states.
    pub destroys: bool,
}

/// Held by whoever hurts, until the vassal has recovered.
#[derive(Debug, Default)]
pub struct Held(#[allow(dead_code, reason = "it is held, that is all")] Option<OwnedFd>);

impl Fault {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 18] = [
        Self::Killed,
        Self::Crash,
        Self::Errors,
        Self::CleanExit,
        Self::Unmounted,
        Self::Covered,
        Self::DeafApp,
        Self::Bomb,
        Self::Stopped,
        Self::Queue,
        Self::Swallow,
        Self::Lazy,
        Self::SelfDeadlock,
        Self::FdHeldOutside,
        Self::StuckApp,
        Self::LateInTime,
        Self::Busy,
        Self::BusyForEver,
    ];

    /// Whether it can be done to this kind.
    #[must_use]
    pub fn applies(self, kind: Kind) -> bool {
        match self {
            Self::Killed | Self::CleanExit | Self::Unmounted | Self::Covered | Self::DeafApp | Self::Stopped | Self::StuckApp => {
                true
            }
            Self::Crash
            | Self::Errors
            | Self::Bomb
            | Self::Queue
            | Self::Swallow
            | Self::Lazy
            | Self::SelfDeadlock
            | Self::FdHeldOutside
            | Self::LateInTime
            | Self::Busy
            | Self::BusyForEver => kind == Kind::Faultfs,
        }
    }

    /// How it is run beside others.
    #[must_use]
    pub fn lane(self) -> Lane {
        match self {
            Self::Killed
            | Self::Crash
            | Self::Errors
            | Self::CleanExit
            | Self::Unmounted
            | Self::Covered
            | Self::DeafApp
            | Self::Bomb => Lane::Quick,
            Self::Stopped
            | Self::Queue
            | Self::Swallow
            | Self::Lazy
            | Self::SelfDeadlock
            | Self::FdHeldOutside
            | Self::StuckApp
            | Self::LateInTime => Lane::Patient,
            Self::Busy | Self::BusyForEver => Lane::Burning,
        }
    }

    /// What must come of it.
    #[must_use]
    pub fn outcome(self) -> Outcome {
        let destroyed = |states| Outcome { states, destroys: true };
        match self {
            Self::Killed | Self::Crash | Self::Errors | Self::DeafApp | Self::Bomb => destroyed(&["dead"]),
            // A probe may be in it just now, or come between the end of the connection and that of the mount (libfuse 2).
            Self::CleanExit => destroyed(&["gone", "dead"]),
            Self::Unmounted | Self::Covered => destroyed(&["gone"]),
            Self::Stopped | Self::Queue | Self::Swallow | Self::Lazy | Self::SelfDeadlock | Self::StuckApp => {
                destroyed(&["hung"])
            }
            // Nobody answers, but it can also be known that there is nobody left who could.
            // Who holds it is this process, which may be at work on something else: then it is slow, and destroyed as well.
            Self::FdHeldOutside => destroyed(&["hung", "dead", "slow"]),
            Self::LateInTime => Outcome { states: &["healthy"], destroys: false },
            Self::Busy => Outcome { states: &["slow"], destroys: false },
            Self::BusyForEver => destroyed(&["slow", "hung"]),
        }
    }

    /// The words of `bin/reader` its app needs.
    #[must_use]
    pub fn habits(self) -> &'static str {
        match self {
            Self::DeafApp => "deaf",
            Self::StuckApp => "deaf gnaw",
            _ => "",
        }
    }

    /// The times of its check: what lasts ten timeouts has short ones.
    #[must_use]
    pub fn pace(self) -> Pace {
        if self == Self::BusyForEver { Pace { interval: 0.1, timeout: 0.2 } } else { Pace::SUITE }
    }

    /// Does it. When this comes back, it is done.
    ///
    /// # Errors
    /// A sentence: it could not be done.
    pub fn inject(self, victim: &Victim, vassal: &Vassal) -> Result<Held, String> {
        let daemon = || victim.daemon(vassal);
        match self {
            Self::Killed | Self::DeafApp | Self::Bomb => daemon().map(|daemon| daemon.kill(Signal::SIGKILL))?,
            Self::Crash => victim.order("crash")?,
            Self::Errors => victim.order(&format!("errors {}", libc::EIO))?,
            Self::CleanExit if victim.takes_orders() => victim.order("exit")?,
            Self::CleanExit => daemon().map(|daemon| daemon.kill(Signal::SIGTERM))?,
            Self::Unmounted => unmount(victim, &vassal.init)?,
            Self::Covered => {
                within(&vassal.init, &["mount", "-t", "tmpfs", "cover", &victim.filesystem.mount.to_string_lossy()])?;
            }
            Self::Stopped | Self::StuckApp => daemon().map(|daemon| daemon.kill(Signal::SIGSTOP))?,
            Self::Queue => victim.order("queue")?,
            Self::Swallow => victim.order("swallow")?,
            Self::Lazy => victim.order("lazy 600000")?,
            Self::SelfDeadlock => victim.order("selfdeadlock")?,
            Self::FdHeldOutside => {
                let faultfs = victim.filesystem.faultfs.as_ref().ok_or("it takes no orders")?;
                let fd = faultfs.leak_fd().map_err(|e| e.to_string())?;
                daemon()?.kill(Signal::SIGKILL);
                return Ok(Held(Some(fd)));
            }
            Self::LateInTime => victim.order("lazy 100")?,
            Self::Busy | Self::BusyForEver => victim.order("slow 600000")?,
        }
        Ok(Held::default())
    }
}

/// Unmounts by hand. A probe that looks at the mount just now makes it busy, so it is tried again.
fn unmount(victim: &Victim, init: &Process) -> Result<(), String> {
    let path = victim.filesystem.mount.to_string_lossy();
    let mut result = Ok(());
    for _ in 0..50 {
        result = within(init, &["umount", &path]);
        if result.is_ok() || !init.lives() {
            return Ok(());
        }
        breathe(Duration::from_millis(5));
    }
    result
}

/// Runs a program of the host in a vassal's mount namespace, and in its pid namespace, because umount reads `/proc/self`.
///
/// So it may be killed together with the vassal, its work done: what then became of the mount is seen by the caller.
fn within(init: &Process, words: &[&str]) -> Result<(), String> {
    let mut command = Command::new("nsenter");
    command.args(["-m", "-p", "-t", &init.pid.to_string(), "--"]).args(words);
    let output = command.output().map_err(|e| format!("nsenter: {e}"))?;
    if output.status.success() || output.status.signal() == Some(libc::SIGKILL) {
        Ok(())
    } else {
        Err(format!("{words:?}: {}", String::from_utf8_lossy(&output.stderr)))
    }
}
