//! Any fault, to any file system, at any time, many vassals at once, for as long as one likes: every one of them is survived, and in
//! the end nothing is left. The short version of `make soak`.
//!
//! `SOAK_SECONDS` (10): how long. `SOAK_FAULTS` (no limit): how many at most. `SOAK_AT_ONCE` (6). `SOAK_SEED` (the clock's): the
//! choices; printed, so that a bad run can be had again, as far as the clock allows.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use liege_integration_tests::faults::{Cell, Fault, Kind, Lane, Owner, Row};
use liege_integration_tests::gauge::is_helper;
use liege_integration_tests::{Host, LONG, procs, story, wait_until};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn random_faults_add_up_to_nothing() {
    story(|host| {
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_secs());
        let (seed, at_once) = (number("SOAK_SEED").unwrap_or(clock), number("SOAK_AT_ONCE").unwrap_or(6));
        let limit = Duration::from_secs(number("SOAK_SECONDS").unwrap_or(10));
        let most = number("SOAK_FAULTS").map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        println!("SOAK_SEED={seed}");
        let emperor = host.emperor().arg("--emperor-throttle").arg("10").never_flapping().start();
        let cells = Mutex::new(all(host));
        let (start, done, over) = (Instant::now(), AtomicUsize::new(0), AtomicBool::new(false));
        let destroyed = AtomicUsize::new(0);
        let (tally, failures) = (Mutex::new(BTreeMap::<String, usize>::new()), Mutex::new(Vec::<Row>::new()));
        thread::scope(|scope| {
            for worker in 0..at_once {
                let mut dice = Dice(seed.wrapping_add(worker.wrapping_mul(0x9E37_79B9_7F4A_7C15)) | 1);
                let (emperor, cells, tally, failures, done, over) = (&*emperor, &cells, &tally, &failures, &done, &over);
                let destroyed = &destroyed;
                scope.spawn(move || {
                    while start.elapsed() < limit && done.load(Ordering::Relaxed) < most && !over.load(Ordering::Relaxed) {
                        // Taken out while it is used: two at once would be one vassal.
                        let cell = {
                            let mut cells = cells.lock().unwrap_or_else(PoisonError::into_inner);
                            let chosen = dice.below(cells.len());
                            cells.swap_remove(chosen)
                        };
                        for row in cell.run(emperor, 1 + dice.below(4)) {
                            done.fetch_add(1, Ordering::Relaxed);
                            destroyed.fetch_add(usize::from(row.decided.is_some()), Ordering::Relaxed);
                            *tally
                                .lock()
                                .unwrap_or_else(PoisonError::into_inner)
                                .entry(format!("{:?}", row.fault))
                                .or_default() += 1;
                            if row.failure.is_some() {
                                over.store(true, Ordering::Relaxed); // what comes after it would only hide it
                                failures.lock().unwrap_or_else(PoisonError::into_inner).push(row);
                            }
                        }
                        cells.lock().unwrap_or_else(PoisonError::into_inner).push(cell);
                    }
                });
            }
        });
        let took = start.elapsed();
        println!("{} faults in {took:.1?}: {:?}", done.into_inner(), tally.into_inner().unwrap_or_default());
        let failures = failures.into_inner().unwrap_or_default();
        assert!(failures.is_empty(), "{}", failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
        let ends = emperor.log().iter().filter(|line| line.contains("ended after") && line.contains("cause=mountpoint_")).count();
        assert_eq!(
            ends,
            destroyed.into_inner(),
            "lives that ended by a mount, and mounts that were hurt: nobody else may suffer"
        );
        wait_until("no vassal and no prober", LONG, || {
            emperor.vassals().is_empty() && !procs::all().iter().any(|process| is_helper(process, emperor.pid))
        });
    });
}

/// Every cell but those that burn the processor: they are about one vassal's patience, not about many at once.
fn all(host: &Host) -> Vec<Cell> {
    let mut cells = Vec::new();
    for fault in Fault::ALL.into_iter().filter(|fault| fault.lane() != Lane::Burning) {
        for kind in Kind::ALL.into_iter().filter(|kind| fault.applies(*kind)) {
            cells.extend(Owner::ALL.into_iter().map(|owner| Cell::new(host, fault, kind, owner)));
        }
    }
    cells
}

/// A random number generator of one line (xorshift); a crate would say no more.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit.max(1) as u64).unwrap_or(0)
    }
}
