//! What has not written back: which ends are a loss, and who is told.
//!
//! A process that a signal ends while it is waited for (the OOM killer, a bound on files, a fault of its own) has not saved, and is told as those
//! that are killed. Init sees that of its own children: what went into the background is one, and so is what has lost its parent. A status is no
//! proof: fuse-zip ends with 0 where the disk is full, libfuse 3 with 8 after a TERM.

use liege_plan::{Exit, Fate, FromInit, LOST, Loss};
use liege_sys::{
    processes::{Process, Processes, now_in_ticks},
    signals::{SIGABRT, SIGKILL, SIGTERM, SIGXCPU, SIGXFSZ, tells_of_a_fault},
};

use super::{FuseDaemon, Other, Saving, told::cut};
use crate::{init::Init, walk::end_group};

/// The source of init's own lines in the vassal's log.
const OURS: &str = "liege";

/// A process that is waited for because it may write back.
#[derive(Debug)]
pub(super) struct Awaited {
    pub(super) name: String,
    /// It has a handler for TERM, or saves without one: a TERM that ends it has ended it before it had saved.
    pub(super) outlives_term: bool,
    /// An abort at its end is nothing new, and has cost nothing: see the table.
    pub(super) may_abort: bool,
    /// The group of a FUSE daemon.
    pub(super) group: Option<i32>,
}

impl Saving {
    /// A child of ours was reaped. One that a signal ended while it was waited for has not written back.
    pub(crate) fn reaped(&mut self, pid: i32, exit: Exit) {
        let Some(awaited) = self.awaited.remove(&pid) else { return };
        if let Exit::Signal(signal) = exit
            && awaited.is_cut_short_by(signal)
        {
            let is_ours = signal == SIGKILL && awaited.group.is_some_and(|group| self.killed.contains_key(&group));
            let how = if is_ours { Fate::OutOfTime } else { Fate::Died(signal) };
            self.lost.push(Loss { what: awaited.name, how });
        }
    }

    /// Init has killed this group. What is in it ends by that, and is told with its leader.
    pub(crate) fn group_killed(&mut self, leader: i32) {
        self.killed.insert(leader, now_in_ticks());
    }

    pub(crate) fn is_killed(&self, leader: i32) -> bool {
        self.killed.contains_key(&leader)
    }

    pub(crate) fn lose(&mut self, lost: Vec<Loss>) {
        self.lost.extend(lost);
    }

    /// Whether a process was killed with its group, and has not ended yet. A later one may have the numbers of an earlier one.
    pub(super) fn was_killed(&self, pid: i32, seen: &Process) -> bool {
        [pid, seen.group].iter().filter_map(|leader| self.killed.get(leader)).any(|at| seen.started <= *at)
    }

    /// Knows this one, and waits for it if it may have something to save.
    pub(super) fn wait_for_daemon(&mut self, daemon: FuseDaemon, processes: &Processes) {
        if daemon.saves {
            let (name, may_abort) = (daemon.name.clone(), processes.is_in_a_chroot(daemon.pid));
            let group = processes.look(daemon.pid).map(|seen| seen.group);
            self.awaited.insert(daemon.pid, Awaited { name, outlives_term: true, may_abort, group });
        }
        self.fuse.push(daemon);
    }

    /// Waits for another one too.
    pub(super) fn wait_for(&mut self, other: Other) {
        if let Some(name) = other.name.clone() {
            self.awaited.insert(other.pid, Awaited { name, outlives_term: false, may_abort: false, group: None });
        }
        self.others.push(other);
    }
}

impl Awaited {
    /// Whether a process that this signal has ended may have had something to write back still.
    fn is_cut_short_by(&self, signal: i32) -> bool {
        match signal {
            SIGTERM => self.outlives_term,
            SIGABRT => !self.may_abort,
            _ => matches!(signal, SIGKILL | SIGXCPU | SIGXFSZ) || tells_of_a_fault(signal),
        }
    }
}

impl Init {
    /// SIGKILL to a child and its group, by our own decision.
    pub(crate) fn kill_group(&mut self, leader: i32) {
        self.saving.group_killed(leader);
        end_group(leader);
    }

    /// The app was asked to end, and has not: what it has not written back is lost.
    pub(crate) fn app_is_out_of_time(&mut self) {
        self.saving.lost.extend(self.app.iter().map(|app| Loss::of_app(app.pid)));
    }

    /// Nobody holds the exits any more, and the next daemon may start this vassal again at any moment: nothing is waited for. Its own log
    /// alone can tell what that costs.
    pub(crate) fn end_unsaved(&mut self) {
        self.find_fuse_daemons();
        let loss = |what| Loss { what, how: Fate::HostGone };
        let mut lost: Vec<Loss> = self.saving.savers().map(|daemon| loss(daemon.name.clone())).collect();
        cut(&mut lost, loss);
        self.log_loss(&lost);
    }

    pub(super) fn give_up(&mut self) {
        let mut lost = std::mem::take(&mut self.saving.lost);
        let how = lost.first().map_or(Fate::OutOfTime, |loss| loss.how);
        cut(&mut lost, |what| Loss { what, how });
        self.log_loss(&lost);
        self.finish_output();
        self.say(&FromInit::Unsaved { lost });
    }

    /// The host's log has it as well, where there is a host.
    fn log_loss(&mut self, lost: &[Loss]) {
        let line = format!("{LOST}{}\n", lost.iter().map(Loss::to_string).collect::<Vec<_>>().join(", "));
        if let Some(log) = self.output.writer(OURS, None).filter(|_| !lost.is_empty()) {
            let _ = liege_sys::pipe::write(&log, line.as_bytes());
        }
    }
}
