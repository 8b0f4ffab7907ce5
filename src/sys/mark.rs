//! A mark that all descendants of a process bear, and nobody else: who is whose, also when parents have died.
//!
//! An orphan's parent is whoever adopted it, its session and its environment are what it made of them. What a process can
//! neither shake off nor raise without `CAP_SYS_RESOURCE` is a hard resource limit. `RLIMIT_LOCKS` limits nothing (since Linux
//! 2.4.25 no file lock is counted), every fork and exec hands it down, and everybody's can be read in `/proc`.
//!
//! A daemon within a daemon lowers it once more: its own family bears the lower mark.
//!
//! Deliberately not here: a defence against root. It may raise the limit, as it may end the daemon.

use std::fs;

use nix::{
    libc::RLIM_INFINITY,
    sys::resource::{Resource, getrlimit, setrlimit},
};

/// Higher than any limit somebody means.
const HIGHEST: u64 = 1 << 62;

/// The mark of one family: of the process that took it, and of all it starts from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(u64);

impl Mark {
    /// Marks this process. Its children from before stay unmarked.
    ///
    /// # Errors
    /// None that the kernel documents; a filter of system calls may refuse.
    pub fn take() -> nix::Result<Self> {
        let (soft, hard) = getrlimit(Resource::RLIMIT_LOCKS)?;
        let mark = if hard == RLIM_INFINITY { HIGHEST } else { hard.saturating_sub(1) };
        setrlimit(Resource::RLIMIT_LOCKS, soft.min(mark), mark)?;
        Ok(Self(mark))
    }

    /// What `pid` bears of these marks, which is then handed on to all that this process starts. None where it bears none, and may be
    /// borne by anybody.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
        hard_limit(&limits).filter(|hard| *hard != RLIM_INFINITY).map(Self)
    }

    /// Bears it from now on, as a descendant of the family would.
    ///
    /// # Errors
    /// None: a limit may always be lowered.
    pub(crate) fn bear(self) -> nix::Result<()> {
        let (soft, hard) = getrlimit(Resource::RLIMIT_LOCKS)?;
        let mark = hard.min(self.0);
        setrlimit(Resource::RLIMIT_LOCKS, soft.min(mark), mark)
    }

    /// Whether a process bears it. None: it is gone, or cannot be asked, for want of a descriptor for one.
    #[must_use]
    pub fn is_borne_by(self, pid: i32) -> Option<bool> {
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
        hard_limit(&limits).map(|hard| hard <= self.0)
    }
}

/// From `Max file locks            unlimited            unlimited            locks`.
fn hard_limit(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Max file locks"))?;
    match line.split_ascii_whitespace().nth(1)? {
        "unlimited" => Some(RLIM_INFINITY),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("100").spawn().unwrap()
    }

    fn pid(child: &Child) -> i32 {
        i32::try_from(child.id()).unwrap()
    }

    #[test]
    fn those_from_before_lack_it_those_from_then_on_bear_it_whatever_they_do() {
        let mut before = sleeper();
        let mark = Mark::take().unwrap();
        let mut after = sleeper();
        let mut fled = Command::new("setsid").args(["env", "-i", "sh", "-c", "cd /; exec /bin/sleep 100"]).spawn().unwrap();
        let inner = Mark::take().unwrap();
        let bear = [pid(&before), pid(&after), pid(&fled)].map(|pid| [mark, inner].map(|mark| mark.is_borne_by(pid)));
        for child in [&mut before, &mut after, &mut fled] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert_eq!(bear, [[Some(false); 2], [Some(true), Some(false)], [Some(true), Some(false)]]);
        assert_eq!(mark.is_borne_by(pid(&before)), None, "gone");
    }

    #[test]
    fn a_limit_is_a_number_or_none() {
        let line =
            |hard: &str| format!("Max processes 1 2 processes\nMax file locks            7          {hard}        locks\n");
        assert_eq!(hard_limit(&line("unlimited")), Some(RLIM_INFINITY));
        assert_eq!(hard_limit(&line("12")), Some(12));
        assert_eq!(hard_limit("Max processes 1 2 processes\n"), None);
    }
}
