//! Kills by the kernel's OOM killer, as the control groups of a vassal count them.
//!
//! The killer leaves nothing but a SIGKILL, which anybody may have sent. What tells them apart is a counter of the group:
//! `memory.events` of version 2 (of the groups below it too), `memory.oom_control` of version 1. It is looked at when a SIGKILL is
//! heard of, so an idle vassal costs nothing. A worker that was taken and replaced inside the vassal, unheard, is told with the
//! next one.

use std::{
    fs,
    path::{Path, PathBuf},
};

use liege_plan::{Exit, FromInit};

/// The counters of one life.
#[derive(Debug, Default)]
pub(crate) struct OomKills {
    files: Vec<PathBuf>,
    seen: u64,
}

impl OomKills {
    /// Counted from now on, in these groups.
    pub(crate) fn of<'a>(groups: impl Iterator<Item = &'a Path>) -> Self {
        let files = groups.flat_map(|group| ["memory.events", "memory.oom_control"].map(|name| group.join(name)));
        let mut kills = Self { files: files.filter(|file| file.exists()).collect(), seen: 0 };
        kills.seen = kills.count();
        kills
    }

    /// How many there were since the last look, if there were any.
    pub(crate) fn news(&mut self) -> Option<u64> {
        let now = self.count();
        let before = std::mem::replace(&mut self.seen, now);
        now.checked_sub(before).filter(|kills| *kills > 0)
    }

    fn count(&self) -> u64 {
        self.files.iter().filter_map(|file| oom_kills(&fs::read_to_string(file).ok()?)).sum()
    }
}

/// Whether somebody may have been killed.
pub(crate) fn tells_of_a_kill(report: &FromInit) -> bool {
    match report {
        FromInit::AppExited { exit, .. } | FromInit::OrphanDied { exit, .. } => is_kill(*exit),
        FromInit::OrphansDied { .. } | FromInit::Failed { .. } | FromInit::Daemon { .. } => true,
        FromInit::Entered { .. } | FromInit::Walked | FromInit::Kept | FromInit::Started { .. } => false,
        FromInit::Said(_)
        | FromInit::Noticed { .. }
        | FromInit::MountsChanged { .. }
        | FromInit::Writable { .. }
        | FromInit::Saving { .. }
        | FromInit::Unsaved { .. } => false,
    }
}

/// By SIGKILL, or a shell that tells the same of its child.
pub(crate) fn is_kill(exit: Exit) -> bool {
    exit.status() == 128 + nix::libc::SIGKILL
}

/// Both versions have a line for it, among others.
fn oom_kills(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "low 0\nhigh 0\nmax 51\noom 3\noom_kill 2\noom_group_kill 1\n";
    const ONE: &str = "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n";

    #[test]
    fn both_versions_are_read() {
        assert_eq!([TWO, ONE, "oom_kill_disable 0\nunder_oom 0\n"].map(oom_kills), [Some(2), Some(2), None]);
    }

    #[test]
    fn what_was_there_before_is_no_news_and_news_come_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("memory.events");
        fs::write(&file, TWO).unwrap();
        let mut kills = OomKills::of([dir.path()].into_iter());
        assert_eq!(kills.news(), None);
        fs::write(&file, TWO.replace("oom_kill 2", "oom_kill 5")).unwrap();
        assert_eq!((kills.news(), kills.news()), (Some(3), None));
        fs::remove_file(&file).unwrap();
        assert_eq!(kills.news(), None, "gone with its group");
    }
}
