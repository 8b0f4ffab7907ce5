//! `daemoniser FILE`: leaves a daemon behind, as bad hooks and good FUSE servers do: a grandchild in a session of its own that
//! swallows every signal and says its pid in FILE. Comes back itself when the daemon is there.

use std::path::Path;
use std::process::Command;

use nix::sys::signal::SigSet;

#[allow(clippy::zombie_processes, reason = "not waited for: that is the point of a daemon")]
fn main() {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next().expect("usage: daemoniser FILE");
    if first == "--daemon" {
        let file = arguments.next().expect("a FILE");
        nix::unistd::setsid().expect("a session of its own");
        let all = SigSet::all();
        all.thread_block().expect("signals can be blocked");
        std::fs::write(file, std::process::id().to_string()).expect("the pid is written");
        loop {
            let _ = all.wait(); // taken, and forgotten
        }
    }
    let this = std::env::current_exe().expect("a running program has a path");
    let mut child = Command::new(this).arg("--daemon").arg(&first).spawn().expect("a child");
    while !Path::new(&first).exists() {
        assert!(child.try_wait().is_ok_and(|ended| ended.is_none()), "the daemon died at once");
        std::thread::yield_now();
    }
}
