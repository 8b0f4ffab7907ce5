//! `stamp FILE NAME`: the bench's service. Its first act is to look at the clock; then it appends `NANOSECONDS NAME` to FILE and
//! waits to be ended.

use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set").as_nanos();
    let mut arguments = std::env::args().skip(1);
    let (Some(file), Some(name)) = (arguments.next(), arguments.next()) else { panic!("usage: stamp FILE NAME") };
    let line = format!("{now} {name}\n");
    std::fs::File::options()
        .create(true)
        .append(true)
        .open(file)
        .and_then(|mut f| f.write_all(line.as_bytes()))
        .expect("the stamp is written");
    nix::unistd::pause();
}
