//! The client: one request, one answer, and one that never stops asking.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixListener};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::wait::{bar, breathe, wait_for};

/// Ports that the kernel gives to no socket that asks for any port.
const PORTS: std::ops::Range<u16> = 10_240..32_768;

/// What keeps the other stories from the ports of this one. It goes with the process.
static OURS: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());

/// A port of the loopback interface that is free, and that no other story gets while this one is told.
///
/// # Panics
/// When the machine has none left.
#[must_use]
pub fn free_port() -> u16 {
    let count = u32::from(PORTS.end - PORTS.start);
    let first = std::process::id().wrapping_mul(61) % count; // not all stories look for it at the same place
    let mut ports = (0..count).map(|next| PORTS.start + u16::try_from((first + next) % count).expect("it is below the count"));
    let take = |port: u16| {
        let name = UnixAddress::from_abstract_name(format!("liege-story-port-{port}")).expect("it is short");
        let ours = UnixListener::bind_addr(&name).ok()?;
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
        OURS.lock().expect("nothing panics with it").push(ours);
        Some(port)
    };
    ports.find_map(take).expect("no free port on the loopback interface")
}

/// `GET path`, its status and body.
///
/// # Errors
/// The connection's: refused, reset, timed out (5 s); an answer that is not HTTP is `InvalidData`.
pub fn get(port: u16, path: &str) -> io::Result<(u16, String)> {
    get_with(port, path, "")
}

/// [`get`] with more header lines, each with its `\r\n`.
///
/// # Errors
/// As [`get`].
pub fn get_with(port: u16, path: &str, headers: &str) -> io::Result<(u16, String)> {
    send(port, &format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n{headers}\r\n"))
}

/// [`get`] by a name of the server's; None: without a `Host`.
///
/// # Errors
/// As [`get`].
pub fn get_as(port: u16, path: &str, name: Option<&str>) -> io::Result<(u16, String)> {
    let host = name.map(|name| format!("Host: {name}\r\n")).unwrap_or_default();
    send(port, &format!("GET {path} HTTP/1.0\r\n{host}\r\n"))
}

fn send(port: u16, request: &str) -> io::Result<(u16, String)> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, bar(Duration::from_secs(5)))?;
    stream.set_read_timeout(Some(bar(Duration::from_secs(5))))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let parsed = answer.split_once("\r\n\r\n").and_then(|(head, body)| {
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    });
    parsed.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("no HTTP answer: {answer:?}")))
}

/// The body of a 200, else None.
#[must_use]
pub fn get_ok(port: u16, path: &str) -> Option<String> {
    get(port, path).ok().filter(|(status, _)| *status == 200).map(|(_, body)| body)
}

/// Waits until `GET /` answers 200 with a body that contains `text`; the body.
///
/// # Panics
/// When it does not within `limit`.
#[track_caller]
pub fn served(port: u16, text: &str, limit: Duration) -> String {
    wait_for(&format!("port {port} to answer with {text:?}"), limit, || get_ok(port, "/").filter(|body| body.contains(text)))
}

/// What a client that never stopped asking has seen.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Answers with 200.
    pub ok: usize,
    /// Everything else, in words.
    pub errors: Vec<String>,
    /// The distinct bodies, in the order in which they were first seen.
    pub bodies: Vec<String>,
    /// The longest answer took this long.
    pub slowest: Duration,
}

/// A client that asks every `pace`.
#[derive(Debug)]
pub struct Client {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicUsize>,
    thread: Option<JoinHandle<Tally>>,
}

impl Client {
    /// Starts asking.
    #[must_use]
    pub fn start(port: u16, pace: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let answers = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&answers);
        let thread = std::thread::spawn(move || {
            let mut tally = Tally::default();
            while !told.load(Ordering::Relaxed) {
                let start = Instant::now();
                match get(port, "/") {
                    Ok((200, body)) => {
                        tally.ok += 1;
                        counted.fetch_add(1, Ordering::Relaxed);
                        if !tally.bodies.contains(&body) {
                            tally.bodies.push(body);
                        }
                    }
                    Ok((status, body)) => tally.errors.push(format!("{status}: {body}")),
                    Err(error) => tally.errors.push(error.to_string()),
                }
                tally.slowest = tally.slowest.max(start.elapsed());
                breathe(pace.saturating_sub(start.elapsed()));
            }
            tally
        });
        Self { stop, answers, thread: Some(thread) }
    }

    /// Answers with 200 so far.
    #[must_use]
    pub fn answers(&self) -> usize {
        self.answers.load(Ordering::Relaxed)
    }

    /// Stops asking; what was seen.
    ///
    /// # Panics
    /// When the client itself panicked.
    #[must_use]
    pub fn stop(mut self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().expect("stopped once").join().expect("the client panicked")
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed); // a failed story does not wait for it
    }
}
