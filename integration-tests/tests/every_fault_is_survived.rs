//! The matrix: every fault, done to every kind of FUSE file system it can be done to, mounted by every kind of owner. Each time the
//! daemon must call it by its name, the vassal must be served again (or go on), and nothing of the old life may be left.
//!
//! `FAULT_ROUNDS` (1): how many times each cell is hurt. `FAULT_ONLY`: cells whose name contains this word, such as `Stopped` or
//! `Queue-Faultfs-User`. The table is printed; the limits on its times are held where the machine is ours, in a full run (3 rounds).

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use liege_integration_tests::faults::{Cell, Fault, Kind, Lane, Owner, Rows};
use liege_integration_tests::wait::slowness;
use liege_integration_tests::{Emperor, Host, story};

/// Cells that only wait, at once.
const PATIENT: usize = 8;

#[test]
fn every_fault_is_survived() {
    story(|host| {
        let rounds = std::env::var("FAULT_ROUNDS").map_or(1, |text| text.parse().expect("FAULT_ROUNDS is a number"));
        let cells = matrix(host);
        assert!(!cells.is_empty(), "FAULT_ONLY names no cell");
        // A run counts as settled after ten milliseconds: the delay after failures in a row is another story's.
        let emperor = host.emperor().arg("--emperor-throttle").arg("10").never_flapping().start();
        let mut rows = Rows::default();
        for (lane, at_once) in [(Lane::Quick, 1), (Lane::Patient, PATIENT), (Lane::Burning, 1)] {
            let cells = cells.iter().filter(|cell| cell.fault.lane() == lane);
            rows.0.extend(run(&emperor, cells.collect(), at_once, rounds).0);
        }
        println!("{rows}");
        let failures: Vec<String> = rows.failures().map(ToString::to_string).collect();
        assert!(failures.is_empty(), "{} of {} went wrong:\n{}", failures.len(), rows.0.len(), failures.join("\n"));
        judge(&rows, rounds >= 3);
    });
}

fn matrix(host: &Host) -> Vec<Cell> {
    let only = std::env::var("FAULT_ONLY").unwrap_or_default();
    let mut cells = Vec::new();
    for fault in Fault::ALL {
        for kind in Kind::ALL.into_iter().filter(|kind| fault.applies(*kind)) {
            let owners = Owner::ALL.into_iter().filter(|owner| format!("{fault:?}-{kind:?}-{owner:?}").contains(&only));
            cells.extend(owners.map(|owner| Cell::new(host, fault, kind, owner)));
        }
    }
    cells
}

/// Runs the cells, so many at once. The rows come back in the order in which they were done.
fn run(emperor: &Emperor, cells: Vec<&Cell>, at_once: usize, rounds: usize) -> Rows {
    let (cells, rows) = (Mutex::new(VecDeque::from(cells)), Mutex::new(Rows::default()));
    let next = || cells.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some(cell) = next() {
                    let done = cell.run(emperor, rounds);
                    rows.lock().unwrap_or_else(PoisonError::into_inner).0.extend(done);
                }
            });
        }
    });
    rows.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// The times promised: a killed daemon is known in 20 ms, a stopped one within timeout and interval; then the vassal is back in one
/// and a half times what its own programs need.
fn judge(rows: &Rows, strict: bool) {
    let patience = if strict { 1.0 } else { 5.0 } * f64::from(slowness());
    for (fault, limit) in [(Fault::Killed, Duration::from_millis(20)), (Fault::Stopped, Duration::from_millis(700))] {
        let (Some(known), Some(again), Some(birth)) = (
            rows.median(fault, |row| row.known),
            rows.median(fault, |row| row.served?.checked_sub(row.decided?)),
            rows.median(fault, |row| Some(row.birth)),
        ) else {
            continue; // left out by FAULT_ONLY
        };
        println!(
            "{fault:?}: known after {known:.1?}, served again {again:.1?} after the decision, a birth takes {birth:.1?} (medians)"
        );
        assert!(known <= limit.mul_f64(patience), "{fault:?} is known after {known:?}, promised: {limit:?}");
        assert!(again <= birth.mul_f64(1.5 * patience), "{fault:?}: {again:?} until served again, a birth takes {birth:?}");
    }
}
