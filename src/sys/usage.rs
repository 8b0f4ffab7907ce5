//! What trees of processes use: memory and processor time, by one walk over `/proc` for all of them.

use std::collections::{HashMap, HashSet};

use nix::unistd::{SysconfVar, sysconf};

use crate::{
    descendants::{everybody, tree},
    stat::Stat,
};

/// What a process and all its descendants use.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// How many there are.
    pub processes: u32,
    /// Bytes of memory resident; what is shared counts for each.
    pub rss: u64,
    /// Seconds of processor time, with that of children which were waited for.
    pub cpu: f64,
}

/// One process.
struct Entry {
    parent: i32,
    pages: u64,
    ticks: u64,
}

/// Each root with what lives below it. One that is gone is not in the answer. Takes about ten microseconds a process of the machine.
#[must_use]
pub fn of_trees(roots: &[i32]) -> HashMap<i32, Usage> {
    let all = everybody().filter_map(|pid| Some((pid, entry(pid)?))).collect();
    sum(&roots.iter().copied().collect(), &all, constant(SysconfVar::PAGE_SIZE), constant(SysconfVar::CLK_TCK))
}

/// The same, but looks at these processes only: what other processes the machine has costs nothing.
#[must_use]
pub fn of_these_trees(roots: &[i32]) -> HashMap<i32, Usage> {
    let of = tree(roots).into_iter().chain(roots.iter().copied());
    let all = of.filter_map(|pid| Some((pid, entry(pid)?))).collect();
    sum(&roots.iter().copied().collect(), &all, constant(SysconfVar::PAGE_SIZE), constant(SysconfVar::CLK_TCK))
}

fn entry(pid: i32) -> Option<Entry> {
    let stat = Stat::of(pid)?;
    // utime, stime, and cutime, cstime of those it has waited for.
    let ticks = (14..=17).filter_map(|field| stat.field::<u64>(field)).sum();
    Some(Entry { parent: stat.field(4)?, pages: stat.field(24)?, ticks })
}

#[allow(clippy::cast_precision_loss, reason = "a sum of clock ticks")]
fn sum(roots: &HashSet<i32>, all: &HashMap<i32, Entry>, page: u64, hertz: u64) -> HashMap<i32, Usage> {
    let mut usage: HashMap<i32, Usage> = HashMap::new();
    let mut known = HashMap::with_capacity(all.len());
    for (&pid, entry) in all {
        let Some(root) = root_of(pid, roots, all, &mut known) else { continue };
        let of = usage.entry(root).or_default();
        of.processes += 1;
        of.rss += entry.pages * page;
        of.cpu += entry.ticks as f64 / hertz as f64;
    }
    usage
}

/// The nearest of the roots at or above a process. `known` has the answers for all who were met before: whatever a tenant's processes
/// look like, each is passed once, and no way up is too long. A table read while it changes may hold a circle: it ends where it began.
fn root_of(pid: i32, roots: &HashSet<i32>, all: &HashMap<i32, Entry>, known: &mut HashMap<i32, Option<i32>>) -> Option<i32> {
    let (mut way, mut at) = (Vec::new(), pid);
    let root = loop {
        if roots.contains(&at) {
            break Some(at);
        }
        if let Some(root) = known.get(&at) {
            break *root;
        }
        let Some(entry) = all.get(&at).filter(|_| at > 1) else { break None };
        known.insert(at, None); // until the answer is found
        way.push(at);
        at = entry.parent;
    };
    known.extend(way.into_iter().map(|pid| (pid, root)));
    root
}

fn constant(which: SysconfVar) -> u64 {
    sysconf(which).ok().flatten().and_then(|value| u64::try_from(value).ok()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_process_counts_for_the_nearest_root_above_it() {
        let process = |parent| Entry { parent, pages: 2, ticks: 50 };
        let all = [(1, process(0)), (10, process(1)), (11, process(10)), (12, process(11)), (20, process(1)), (21, process(20))];
        let found = sum(&[10, 20, 99].into(), &all.into(), 4096, 100);
        assert_eq!(found.len(), 2);
        assert_eq!(found[&10], Usage { processes: 3, rss: 3 * 8192, cpu: 1.5 });
        assert_eq!(found[&20].processes, 2);
    }

    #[test]
    fn a_long_way_up_is_no_circle() {
        let process = |parent| Entry { parent, pages: 1, ticks: 100 };
        let long = (11..100_000).map(|pid| (pid, process(pid - 1)));
        // A table read while it changes.
        let circle = [(200_000, process(200_001)), (200_001, process(200_002)), (200_002, process(200_001))];
        let found = sum(&[10].into(), &long.chain([(10, process(1))]).chain(circle).collect(), 4096, 100);
        assert_eq!(found, HashMap::from([(10, Usage { processes: 99_990, rss: 99_990 * 4096, cpu: 99_990.0 })]));
    }

    #[test]
    fn we_use_something_ourselves() {
        let me = i32::try_from(std::process::id()).unwrap();
        let of = of_trees(&[me])[&me];
        assert!(of.processes >= 1 && of.rss > 100_000, "{of:?}");
        let these = of_these_trees(&[me, i32::MAX]);
        assert!(these.len() == 1 && these[&me].processes >= 1 && these[&me].rss > 100_000, "{these:?}");
    }
}
