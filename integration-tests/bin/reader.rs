//! `reader PORT FILE [deaf] [gnaw]`: an app that lives from a file system. Answers every HTTP request on the loopback interface
//! with FILE, read anew: 200, or 503 and the error. Each request has a thread of its own, so one that hangs keeps no other.
//!
//! `deaf`: swallows every signal that can be blocked. `gnaw`: a thread reads FILE for ever, so while its file system hangs the
//! whole process hangs with it, unkillably if the request was read.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;

use nix::poll::{PollTimeout, poll};
use nix::sys::signal::SigSet;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(port), Some(file)) = (arguments.next(), arguments.next()) else {
        panic!("usage: reader PORT FILE [deaf] [gnaw]");
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
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.parse().expect("PORT is a number"))).expect("a free port");
    for guest in listener.incoming().flatten() {
        let file = Arc::clone(&file);
        std::thread::spawn(move || answer(guest, &file));
    }
}

fn answer(mut guest: TcpStream, file: &str) {
    let mut head = BufReader::new(&guest).lines();
    while head.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    let (status, body) = match std::fs::read_to_string(file) {
        Ok(text) => ("200 OK", text),
        Err(error) => ("503 Service Unavailable", format!("{file}: {error}\n")),
    };
    let _ = write!(guest, "HTTP/1.0 {status}\r\nContent-Type: text/plain\r\n\r\n{body}"); // he may have left
}

/// A millisecond between two bites: hungry, not a busy loop.
fn gnaw(file: &str) -> ! {
    loop {
        let _ = std::fs::read(file); // an error is the next bite's too
        let _ = poll(&mut [], PollTimeout::from(1u8)); // milliseconds
    }
}
