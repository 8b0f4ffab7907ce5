//! Signals: ends of children are claimed and told apart, everything else goes on to the app.

use std::{
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use liege_plan::Exit;
use liege_sys::{
    descendants::{is_below, kill, proc_is_ours},
    poll::{Interest, poll},
    process,
    signals::Received,
    wait::{self, Ended},
};

use crate::{clock, init::Init};

impl Init {
    /// Reads all waiting signals.
    pub(crate) fn receive_signals(&mut self) {
        while let Some(Received { signal, .. }) = self.signals.next() {
            match signal {
                SIGCHLD => {
                    self.mounts.child_ended();
                    self.reap();
                }
                // Ours alone: a broken pipe of our own, job control without a terminal, our own faults.
                SIGPIPE | SIGTTIN | SIGTTOU | SIGSEGV | SIGBUS | SIGILL | SIGFPE | SIGTRAP | SIGSYS | SIGABRT => {}
                _ => self.pass_on(signal),
            }
        }
    }

    /// Reaps everybody who ended: the step's child, the app, a daemon, who writes the log, or an orphan the kernel left to us.
    pub(crate) fn reap(&mut self) {
        while let Some(pid) = wait::peek() {
            // Only until it is reaped. In a storm nobody asks for names.
            let name = if self.orphans.has_room() { self.names.of(pid) } else { None };
            let Some(exit) = wait::reap(pid).map(exit_of) else { return };
            self.saving.reaped(pid, exit);
            if let Some(job) = self.job.as_mut().filter(|job| job.pid == pid && job.ended.is_none()) {
                job.ended = Some(exit);
            } else if let Some(app) = self.app.as_mut().filter(|app| app.pid == pid && app.ended.is_none()) {
                // Its last words may still lie in the sockets.
                app.listen(&mut self.channel, &mut self.output);
                app.ended = Some(exit);
            } else if let Some(looker) = self.lookers.iter().position(|looker| *looker == pid) {
                self.lookers.swap_remove(looker);
            } else if !self.output.ended(pid, exit == Exit::Code(0)) && !self.daemons.reaped(pid, exit) {
                self.orphans.died(clock::now(), pid, exit, name, &mut self.channel);
            }
        }
    }

    fn pass_on(&mut self, signal: i32) {
        match &self.app {
            Some(app) if app.ended.is_none() => {
                let _ = kill(app.pid, signal);
            }
            _ if matches!(signal, SIGTERM | SIGINT | SIGQUIT) => self.stop = true,
            _ => {}
        }
    }
}

/// The kernel room's word for an end in the treaty's.
pub(crate) fn exit_of(ended: Ended) -> Exit {
    match ended {
        Ended::Code(code) => Exit::Code(code),
        Ended::Signal(signal) => Exit::Signal(signal),
    }
}

/// Without a `/proc` of ours: whoever has our pid namespace, or is our own child, as one whose parent has ended is.
pub(crate) fn is_of_this_vassal(pid: i32) -> bool {
    let init = process::own_pid();
    wait::is_child(pid) || if proc_is_ours() { is_below(pid, init) } else { init == 1 }
}

/// Whether the process has ended.
pub(crate) fn has_ended(pidfd: &OwnedFd) -> bool {
    poll(&[Interest::readable(pidfd.as_fd())], Some(Duration::ZERO)).is_ok_and(|ready| ready[0])
}

use liege_sys::signals::{
    SIGABRT, SIGBUS, SIGCHLD, SIGFPE, SIGILL, SIGINT, SIGPIPE, SIGQUIT, SIGSEGV, SIGSYS, SIGTERM, SIGTRAP, SIGTTIN, SIGTTOU,
};
