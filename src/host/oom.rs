//! Kills by the kernel's OOM killer, as the control groups of a vassal count them.
//!
//! The killer leaves nothing but a SIGKILL, which anybody may have sent. What tells them apart is a counter of the group:
//! `memory.events` of version 2 (of the groups below it too), `memory.oom_control` of version 1. It is looked at when a SIGKILL is
//! heard of, so an idle vassal costs nothing. A worker that was taken and replaced inside the vassal, unheard, is told with the
//! next one.
//!
//! A vassal without a group of its own is in the daemon's. What the killer does there is counted for all in it together ([`KillsAround`]): it
//! explains a SIGKILL that is heard of just then. The counter is looked at every few seconds as well, so that an old kill, of a process
//! that was not told, explains nothing. A counter that cannot be read (no fd left) has no news: what was seen of it stays.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use liege_plan::{Exit, FromInit};
use liege_sys::{
    join::group_directory,
    mountinfo::{self, Mount},
};
use tokio::time::{Instant, interval};

/// Between two looks at the counters around all vassals.
const LOOKS_APART: Duration = Duration::from_secs(3);
/// A kill there explains what is heard of so soon after it was seen.
const JUST_NOW: Duration = Duration::from_secs(4);

/// The counters of one life.
#[derive(Debug, Default)]
pub(crate) struct OomKills(Vec<Count>);

/// One counter.
#[derive(Debug)]
struct Count {
    file: PathBuf,
    /// What it showed when it was last read. None: it could not be read yet, so what it shows first is from before.
    seen: Option<u64>,
}

impl OomKills {
    /// Counted from now on, in these groups.
    pub(crate) fn of<'a>(groups: impl Iterator<Item = &'a Path>) -> Self {
        Self(groups.flat_map(files_in).map(Count::of).collect())
    }

    /// How many there were since the last look, if there were any.
    pub(crate) fn news(&mut self) -> Option<u64> {
        let kills: u64 = self.0.iter_mut().filter_map(Count::news).sum();
        (kills > 0).then_some(kills)
    }
}

impl Count {
    fn of(file: PathBuf) -> Self {
        Self { seen: kills_in(&file), file }
    }

    /// How many came since it was last read. None: it cannot be read now (no fd left, its group is gone); what was seen of it stays.
    fn news(&mut self) -> Option<u64> {
        let now = kills_in(&self.file)?;
        Some(now.saturating_sub(self.seen.replace(now).unwrap_or(now)))
    }
}

fn kills_in(file: &Path) -> Option<u64> {
    oom_kills(&fs::read_to_string(file).ok()?)
}

/// Kills in the control group of the daemon, in which vassals without one of their own are.
#[derive(Debug, Default)]
pub(crate) struct KillsAround(Mutex<Counter>);

#[derive(Debug, Default)]
struct Counter {
    places: Vec<Place>,
    /// The last kills, when they were seen, and where.
    last: Option<(Instant, u64, String)>,
}

/// A counter around all vassals.
#[derive(Debug)]
struct Place {
    count: Count,
    /// It could not be read the last time. When those came that it shows next nobody knows.
    is_behind: bool,
    /// Where memory ran out when it counts.
    is: String,
}

impl KillsAround {
    /// Of this process. On a runtime.
    pub(crate) fn own() -> Arc<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mut files = files_of(&groups, &mountinfo::own().unwrap_or_default());
        if files.is_empty() {
            files.push((PathBuf::from("/proc/vmstat"), "on this host".to_owned()));
        }
        let around = Arc::new(Self(Mutex::new(Counter::of(files))));
        let watched = Arc::downgrade(&around);
        tokio::spawn(async move {
            let mut turns = interval(LOOKS_APART);
            loop {
                turns.tick().await;
                let Some(around) = watched.upgrade() else { return };
                around.news();
            }
        });
        around
    }

    /// How many there were just now, if there were any, and where.
    pub(crate) fn news(&self) -> Option<(u64, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).news(Instant::now())
    }
}

impl Counter {
    fn of(files: Vec<(PathBuf, String)>) -> Self {
        let places = files.into_iter().map(|(file, is)| Place { count: Count::of(file), is_behind: false, is });
        Self { places: places.collect(), last: None }
    }

    fn news(&mut self, now: Instant) -> Option<(u64, String)> {
        for place in &mut self.places {
            let news = place.count.news();
            let was_behind = std::mem::replace(&mut place.is_behind, news.is_none());
            if let Some(kills @ 1..) = news
                && !was_behind
            {
                self.last = Some((now, kills, place.is.clone()));
            }
        }
        let (_, kills, place) = self.last.as_ref().filter(|(at, ..)| now - *at < JUST_NOW)?;
        Some((*kills, place.clone()))
    }
}

/// The files that count the kills in the groups of a process (`/proc/PID/cgroup`), and where memory ran out when they do.
fn files_of(groups: &str, mounts: &[Mount]) -> Vec<(PathBuf, String)> {
    let found = groups.lines().flat_map(|line| {
        let directory = group_directory(line, mounts);
        let group = line.splitn(3, ':').nth(2).unwrap_or_default();
        let place = format!("on this host or in the daemon's control group {group}");
        directory.into_iter().flat_map(|directory| files_in(&directory)).map(move |file| (file, place.clone()))
    });
    found.collect()
}

/// The files of a group that count, whichever version it is of.
fn files_in(group: &Path) -> Vec<PathBuf> {
    ["memory.events", "memory.oom_control"].map(|name| group.join(name)).into_iter().filter(|file| file.exists()).collect()
}

/// Whether somebody may have been killed.
pub(crate) fn tells_of_a_kill(report: &FromInit) -> bool {
    match report {
        FromInit::AppExited { exit, .. } | FromInit::OrphanDied { exit, .. } => is_kill(*exit),
        FromInit::OrphansDied { .. } | FromInit::Failed { .. } | FromInit::Daemon { .. } => true,
        FromInit::Entered { .. } | FromInit::Identified { .. } | FromInit::Walked | FromInit::Kept | FromInit::Started { .. } => {
            false
        }
        FromInit::Said(_)
        | FromInit::Noticed { .. }
        | FromInit::HooksSaid { .. }
        | FromInit::MountsChanged { .. }
        | FromInit::Writable { .. }
        | FromInit::OnHost { .. }
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
    fn a_kill_around_all_is_news_for_a_moment_to_whoever_asks() {
        let dir = tempfile::tempdir().unwrap();
        let group = dir.path().join("system.slice/liege.service");
        fs::create_dir_all(&group).unwrap();
        let file = group.join("memory.events");
        fs::write(&file, TWO).unwrap();
        let mounts = mountinfo::parse(format!("1 0 0:9 / {} rw - cgroup2 cgroup2 rw\n", dir.path().display()).as_bytes());
        let files = files_of("12:pids:/x\n0::/system.slice/liege.service\n", &mounts);
        assert_eq!(files.iter().map(|(found, _)| found).collect::<Vec<_>>(), [&file]);
        let (mut counter, now) = (Counter::of(files), Instant::now());
        assert_eq!(counter.news(now), None, "it was there before");
        fs::write(&file, TWO.replace("oom_kill 2", "oom_kill 3")).unwrap();
        let place = "on this host or in the daemon's control group /system.slice/liege.service".to_owned();
        assert_eq!([now, now].map(|now| counter.news(now)), [Some((1, place.clone())), Some((1, place))]);
        assert_eq!(counter.news(now + JUST_NOW), None);

        let later = now + 2 * JUST_NOW;
        let shows = |text: &str| fs::write(&file, text).unwrap();
        shows(""); // as good as a read that fails
        assert_eq!(counter.news(later), None);
        shows(&TWO.replace("oom_kill 2", "oom_kill 4"));
        assert_eq!(counter.news(later), None, "nobody knows when that was");
        shows(&TWO.replace("oom_kill 2", "oom_kill 5"));
        assert!(counter.news(later).is_some());
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

    #[test]
    fn a_counter_that_could_not_be_read_for_a_while_tells_no_old_kill_as_news() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("memory.events");
        let shows = |kills: &str| fs::write(&file, TWO.replace("oom_kill 2", kills)).unwrap();
        shows("oom_kill 2");
        let mut kills = OomKills::of([dir.path()].into_iter());
        shows(""); // as good as a read that fails
        assert_eq!(kills.news(), None);
        shows("oom_kill 2");
        assert_eq!(kills.news(), None, "seen before");
        shows("");
        assert_eq!(kills.news(), None);
        shows("oom_kill 3");
        assert_eq!(kills.news(), Some(1), "what came meanwhile is news");

        shows("");
        let mut from_birth = OomKills::of([dir.path()].into_iter());
        shows("oom_kill 3");
        assert_eq!(from_birth.news(), None, "from before, as far as anybody knows");
        shows("oom_kill 4");
        assert_eq!(from_birth.news(), Some(1));
    }
}
