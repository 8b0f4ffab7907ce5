//! `breeder FILE [DEPTH]`: starts two of itself with DEPTH less one (3 at first), says its pid in a line of FILE, and restarts each
//! child that dies, as often as it takes. Bounded in breadth, not in time: only the death of all at once ends it.

use std::io::Write as _;
use std::process::{Child, Command};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().expect("usage: breeder FILE [DEPTH]");
    let depth: u32 = arguments.next().map_or(3, |text| text.parse().expect("DEPTH is a number"));
    let line = format!("{}\n", std::process::id());
    std::fs::File::options()
        .create(true)
        .append(true)
        .open(&file)
        .and_then(|mut f| f.write_all(line.as_bytes()))
        .expect("the pid is written");
    if depth == 0 {
        nix::unistd::pause();
        return;
    }
    let mut children = [start(&file, depth - 1), start(&file, depth - 1)];
    loop {
        for child in &mut children {
            let _ = child.wait(); // the first one's death is waited for first: enough for a pest
            *child = start(&file, depth - 1);
        }
    }
}

fn start(file: &str, depth: u32) -> Child {
    let this = std::env::current_exe().expect("a running program has a path");
    Command::new(this).arg(file).arg(depth.to_string()).spawn().expect("one more")
}
