//! `forkbomb FILE`: starts another of itself as often as the kernel lets it, and so does each of those. What is killed makes room for
//! more. It wants a bound (`limit-nproc`), and ends by itself only after half a minute, for the sake of the machine. It says in FILE
//! that there is room for no more.

use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const LASTS: Duration = Duration::from_secs(30);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().expect("usage: forkbomb FILE");
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let end = arguments.next().map_or(now() + LASTS.as_secs(), |end| end.parse().expect("seconds since 1970"));
    let this = std::env::current_exe().expect("a running program has a path");
    while now() < end {
        // In a group of its own; nobody waits for it.
        if Command::new(&this).arg(&file).arg(end.to_string()).process_group(0).spawn().is_err() {
            let _ = std::fs::write(&file, "full\n"); // its directory may be gone by now
        }
    }
}
