//! `stubborn FILE`: says its pid in FILE, then refuses to end: every signal that can be blocked is swallowed.

use nix::sys::signal::SigSet;

fn main() {
    let file = std::env::args().nth(1).expect("usage: stubborn FILE");
    let all = SigSet::all();
    all.thread_block().expect("signals can be blocked");
    std::fs::write(file, std::process::id().to_string()).expect("the pid is written");
    loop {
        let _ = all.wait(); // taken, and forgotten
    }
}
