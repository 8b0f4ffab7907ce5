//! Whom a pidfile names: read by a child, because a path may hang, and believed where the process lives and is of this vassal.

use std::{
    fs::File,
    io::Read as _,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use liege_sys::{
    descendants::{kill, proc_is_ours, started},
    fds, pidfd, process,
    signals::SIGKILL,
    stream,
};

use crate::{
    clock,
    init::{End, Init},
    reap::{has_ended, is_of_this_vassal},
    spawn,
};

/// Between two looks at a pidfile that is not there yet.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// For one look.
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// A look at a pidfile, made by a child.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) child: Option<(i32, OwnedFd)>,
    pub(super) next: Instant,
}

impl Init {
    /// The daemon a pidfile names, if it is of this vassal and lives: read by a child, within this time.
    ///
    /// # Errors
    /// The host's end.
    pub(crate) fn smart_daemon(&mut self, pidfile: &str, deadline: Instant) -> Result<Option<(i32, OwnedFd)>, End> {
        let deadline = deadline.min(clock::now() + LOOK);
        let Some((child, answer)) = self.look(pidfile) else { return Ok(None) };
        while self.lookers.contains(&child) {
            if clock::now() >= deadline {
                let _ = kill(child, SIGKILL);
                return Ok(None);
            }
            self.turn(Some(deadline))?;
        }
        Ok(named(&answer).flatten().and_then(|pid| living(pid, None)))
    }

    /// Has a pidfile read.
    fn look(&mut self, path: &str) -> Option<(i32, OwnedFd)> {
        let (ours, theirs) = fds::socketpair().ok()?;
        let identity = self.later.identity.as_ref();
        let work = || {
            let Ok(mut file) = spawn::take(identity).map_err(|_| ()).and_then(|()| File::open(path).map_err(|_| ())) else {
                return 1;
            };
            let mut text = [0; 32];
            let length = file.read(&mut text).unwrap_or(0);
            stream::write(&theirs, &text[..length]);
            0
        };
        let child = process::fork_in_place(&self.one_thread, work).ok()?;
        self.lookers.push(child);
        Some((child, ours))
    }
}

impl Look {
    /// The process that the pidfile names, if it lives and was not born before. None: not known yet.
    pub(super) fn answer(
        &mut self,
        init: &mut Init,
        path: &str,
        born: Option<Birth>,
        now: Instant,
    ) -> Option<Option<(i32, OwnedFd)>> {
        let Some((_, answer)) = &self.child else {
            if now >= self.next {
                self.child = init.look(path);
                self.next = now + LOOK_AGAIN;
            }
            return None;
        };
        let pid = named(answer)?;
        self.child = None;
        Some(pid.and_then(|pid| living(pid, born)))
    }

    /// Nobody waits for it any more.
    pub(super) fn end(self) {
        if let Some((child, _)) = self.child {
            let _ = kill(child, SIGKILL);
        }
    }
}

/// The pid in what was read of a pidfile. None: nothing was read yet.
fn named(answer: &OwnedFd) -> Option<Option<i32>> {
    let mut text = [0; 32];
    let length = match stream::read(answer, &mut text) {
        stream::Read::Nothing => return None,
        stream::Read::Bytes(length) => length,
        stream::Read::Ended => 0,
    };
    let digits = text[..length].trim_ascii_start().split(|byte| !byte.is_ascii_digit()).next().unwrap_or_default();
    Some(std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<i32>().ok()).filter(|pid| *pid > 1))
}

/// A process of this vassal that lives and was not born before that moment.
fn living(pid: i32, born: Option<Birth>) -> Option<(i32, OwnedFd)> {
    let pidfd = pidfd::open(pid).ok()?;
    // Without a /proc nobody can tell.
    let is_old = birth_of(pid).zip(born).is_some_and(|(its, command)| its < command);
    // In this order: that it lives yet means that all this was said of the process the pidfd holds.
    (!is_old && is_of_this_vassal(pid) && !has_ended(&pidfd)).then_some((pid, pidfd))
}

/// The tick of its start, and its pid: of two that were born within one tick the younger has the higher number.
pub(super) type Birth = (u64, i32);

pub(super) fn birth_of(pid: i32) -> Option<Birth> {
    Some((started(pid).filter(|_| proc_is_ours())?, pid))
}
