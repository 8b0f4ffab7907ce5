//! `reader SOCKET FILE [deaf] [gnaw]`: an app that lives from a file system. Whoever connects to the unix socket is sent FILE, read
//! anew, or nothing where it cannot be read. Each guest has a thread of its own, so one that hangs keeps no other.
//!
//! `deaf`: swallows every signal that can be blocked. `gnaw`: a thread reads FILE for ever, so while its file system hangs the
//! whole process hangs with it, unkillably if the request was read.

use std::io::Write as _;
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use nix::poll::{PollTimeout, poll};
use nix::sys::signal::SigSet;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(socket), Some(file)) = (arguments.next(), arguments.next()) else {
        panic!("usage: reader SOCKET FILE [deaf] [gnaw]");
    };
    let habits: Vec<String> = arguments.collect();
    if habits.iter().any(|habit| habit == "deaf") {
        SigSet::all().thread_block().expect("signals can be blocked"); // inherited by every thread
    }
    let file: Arc<str> = file.into();
    if habits.iter().any(|habit| habit == "gnaw") {
        let file = Arc::clone(&file);
        std::thread::spawn(move || gnaw(&file));
    }
    let _ = std::fs::remove_file(&socket); // of the life before
    let listener = UnixListener::bind(&socket).unwrap_or_else(|e| panic!("{socket}: {e}"));
    for mut guest in listener.incoming().flatten() {
        let file = Arc::clone(&file);
        std::thread::spawn(move || {
            let text = std::fs::read(&*file).unwrap_or_default();
            let _ = guest.write_all(&text); // he may have left
        });
    }
}

/// A millisecond between two bites: hungry, not a busy loop.
fn gnaw(file: &str) -> ! {
    loop {
        let _ = std::fs::read(file); // an error is the next bite's too
        let _ = poll(&mut [], PollTimeout::from(1u8)); // milliseconds
    }
}
