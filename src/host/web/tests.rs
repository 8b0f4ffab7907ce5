//! The listener before a loop that only answers: what is answered, in which form, and what a flood does to others.

use std::{
    io::{Read, Write},
    iter::once,
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use liege_core::{Phase, View};
use liege_spec::{Asked, Origin};

use super::{Readiness, Sights, Web, live, status, visit};
use crate::{
    inbox::{Mail, inbox},
    metrics::Book,
    testing::vassal,
};

struct Scene {
    web: Web,
    sights: Sights,
    /// How many vassals the loop shows.
    shown: Arc<AtomicUsize>,
}

fn loopback() -> Asked<SocketAddr> {
    Asked::new("127.0.0.1:0".parse().unwrap(), Origin { key: "emperor-metrics".into(), ..Origin::default() })
}

impl Scene {
    /// A loop that shows one vassal; it ends when nobody can ask any more.
    fn new() -> Self {
        let (post, mut mail) = inbox(16);
        let shown = Arc::new(AtomicUsize::new(1));
        let count = Arc::clone(&shown);
        thread::spawn(move || {
            while let Some(mail) = mail.blocking_recv() {
                match mail {
                    Mail::View(answer) => {
                        let names = once("a.ini".to_owned()).chain((1..count.load(Relaxed)).map(|n| format!("{n:01000}.ini")));
                        let vassals = names.map(|name| vassal(&name, Phase::Running)).collect();
                        let view = View { vassals, ..View::default() };
                        drop(answer.send(view));
                    }
                    Mail::Alive(answer) => drop(answer.send(())),
                    other => panic!("{other:?}"),
                }
            }
        });
        let sights = Sights { post, book: Arc::default(), readiness: Arc::default(), recent: Arc::default() };
        let names = [Asked::new("status.example".to_owned(), Origin::default())];
        Self { web: Web::serve(&loopback(), &names, sights.clone()).unwrap(), sights, shown }
    }

    /// From now on each look is more than 200 kB.
    fn show_much(&self) {
        self.shown.store(status::ROWS, Relaxed);
    }

    /// Connections there are, the asking one left out.
    fn watchers(&self) -> usize {
        let port = format!(":{:04X} ", self.web.address().port());
        let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
        // Established (01), seen from the listener's side: its port is the local one.
        table
            .lines()
            .filter(|line| line.split_whitespace().nth(1).is_some_and(|local| format!("{local} ").ends_with(&port)))
            .filter(|line| line.split_whitespace().nth(3) == Some("01"))
            .count()
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.web.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    fn ask(&self, request: &str) -> String {
        self.ask_as("localhost", request)
    }

    /// By this name of the listener's.
    fn ask_as(&self, host: &str, request: &str) -> String {
        let mut stream = self.connect();
        write!(stream, "{request} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

#[test]
fn metrics_come_in_the_form_that_is_asked_for() {
    let scene = Scene::new();
    let plain = scene.ask("GET /metrics");
    assert!(plain.starts_with("HTTP/1.1 200 ") && plain.contains("content-type: text/plain; version=0.0.4"), "{plain}");
    assert!(plain.contains("\nliege_vassal_up{vassal=\"a.ini\"} 1\n") && !plain.contains("# EOF"), "{plain}");
    let open = scene.ask("GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text\r\nX:");
    assert!(open.contains("content-type: application/openmetrics-text; version=1.0.0"), "{open}");
    assert!(open.contains("\nliege_vassal_up{vassal=\"a.ini\"} 1\n") && open.ends_with("# EOF\n"), "{open}");
}

#[test]
fn health_is_the_loops_answer_and_readiness_that_all_was_tried() {
    let scene = Scene::new();
    assert!(scene.ask("GET /healthz").starts_with("HTTP/1.1 200 "));
    let answer = scene.ask("GET /readyz");
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("the first scan is not done\n"), "{answer}");
    scene.sights.readiness.all_is_found();
    let start = Instant::now();
    while !scene.ask("GET /readyz").starts_with("HTTP/1.1 200 ") {
        assert!(start.elapsed() < Duration::from_secs(10), "never ready");
    }
}

#[test]
fn a_loop_that_has_ended_is_not_healthy() {
    let sights =
        Sights { post: inbox(1).0, book: Arc::<Book>::default(), readiness: Arc::<Readiness>::default(), recent: Arc::default() };
    let scene = Scene { web: Web::serve(&loopback(), &[], sights.clone()).unwrap(), sights, shown: Arc::default() };
    for path in ["/healthz", "/readyz", "/metrics"] {
        let answer = scene.ask(&format!("GET {path}"));
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("the daemon is ending\n"), "{answer}");
    }
}

#[test]
fn nothing_can_be_changed_and_nothing_else_is_there() {
    let scene = Scene::new();
    for (request, status) in [
        ("POST /metrics", 405),
        ("PUT /healthz", 405),
        ("DELETE /readyz", 405),
        ("GET /v1/vassals", 404),
        ("POST /v1/clear", 404),
        ("GET /../../etc/passwd", 404),
    ] {
        let answer = scene.ask(request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
    }
    assert!(scene.ask("GET /metrics\r\nrubbish\0").starts_with("HTTP/1.1 400 "));
}

/// Each route, and what is no route, before anything is done.
#[test]
fn a_name_of_somebody_elses_is_answered_by_no_route() {
    let scene = Scene::new();
    for path in ["/", "/page.css", "/page.js", "/events", "/metrics", "/healthz", "/readyz", "/nothing"] {
        let answer = scene.ask_as("evil.example", &format!("GET {path}"));
        assert!(answer.starts_with("HTTP/1.1 421 ") && answer.contains("emperor-metrics-host = NAME"), "{path}: {answer}");
    }
    assert!(scene.ask_as("status.example:443", "GET /metrics").starts_with("HTTP/1.1 200 "), "its given name");
    let two = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nX:";
    assert!(scene.ask(two).starts_with("HTTP/1.1 421 "));
    assert!(scene.ask("GET http://evil.example/metrics").starts_with("HTTP/1.1 421 "), "the name of a proxy's request");
    assert!(scene.ask("GET http://localhost/metrics").starts_with("HTTP/1.1 200 "));
}

/// What one is told that has to leave, to the end of its connection.
fn end(mut stream: &TcpStream) -> String {
    let mut told = String::new();
    let _ = stream.read_to_string(&mut told); // a reset where its half question was not read
    told
}

#[test]
fn guests_who_say_nothing_keep_nobody_out() {
    let scene = Scene::new();
    let crowd: Vec<TcpStream> = (0..1000)
        .map(|n| {
            let mut stream = scene.connect();
            // Some begin to ask and do not end.
            (n % 2 == 0).then(|| write!(stream, "\r\nGET /metrics HTTP/1.1\r\nX: y\r\n").ok());
            stream
        })
        .collect();
    let start = Instant::now();
    assert!(scene.ask("GET /healthz").starts_with("HTTP/1.1 200 "), "among them");
    assert!(scene.sights.book.guests_refused.get() >= 1000 - visit::ROOM as u64);
    let told = crowd.iter().filter(|stream| end(stream).starts_with("HTTP/1.1 503 "));
    // The last ones had their time, and of those who did not read at once some were not waited for.
    assert!(told.count() >= 1000 - visit::ROOM);
    assert!(start.elapsed() < visit::VISIT, "{:?}", start.elapsed());
}

#[test]
fn one_peer_has_a_share_of_the_room_and_no_more() {
    let scene = Scene::new();
    let start = Instant::now();
    let crowd: Vec<TcpStream> = (0..visit::ROOM).map(|_| scene.connect()).collect();
    assert!(scene.ask("GET /healthz").starts_with("HTTP/1.1 200 "));
    let over = visit::ROOM + 1 - visit::SHARE;
    assert_eq!(scene.sights.book.guests_refused.get(), over as u64, "the first of them, who have not asked for longest");
    for (n, stream) in crowd.iter().enumerate() {
        assert_eq!(end(stream).starts_with("HTTP/1.1 503 "), n < over, "{n}");
        assert!(n != over - 1 || start.elapsed() < visit::QUESTION, "{n} was put out {:?} later", start.elapsed());
    }
    assert!(start.elapsed() >= visit::QUESTION, "the others had their time");
}

#[test]
fn one_who_drips_is_put_out_in_time() {
    let scene = Scene::new();
    let mut stream = scene.connect();
    let start = Instant::now();
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\n").unwrap();
    // One header after the other, and no end of them.
    let ended = |stream: &mut TcpStream| match stream.read(&mut [0; 1]) {
        Ok(read) => read == 0,
        Err(error) => !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
    };
    while write!(stream, "X: y\r\n").is_ok() && !ended(&mut stream) {
        assert!(start.elapsed() < 2 * visit::VISIT, "still there");
    }
}

#[test]
fn an_address_in_use_is_told_with_its_place() {
    let scene = Scene::new();
    let taken =
        Asked::new(scene.web.address(), Origin { file: "e.ini".into(), line: 3, column: 1, key: "emperor-metrics".into() });
    let error = format!("{:#}", Web::serve(&taken, &[], scene.sights.clone()).unwrap_err());
    assert_eq!(error, format!("listen on {} (e.ini:3: emperor-metrics): Address already in use (os error 98)", taken.value));
    let address = scene.web.address();
    drop(scene);
    assert!(TcpStream::connect(address).is_err(), "nobody listens there any more");
}

/// The looks that come in, and whether the stream has ended.
fn events(stream: &mut TcpStream, upto: usize) -> (Vec<String>, bool) {
    let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut buffer).unwrap_or(0);
        text.extend_from_slice(&buffer[..read]);
        let all = String::from_utf8_lossy(&text).into_owned();
        let found: Vec<String> = all.lines().filter_map(|line| line.strip_prefix("event: ")).map(str::to_owned).collect();
        if read == 0 || found.len() >= upto {
            return (found, read == 0);
        }
    }
}

#[test]
fn who_watches_gets_everything_and_then_each_new_look_for_as_long_as_he_reads() {
    let scene = Scene::new();
    let mut stream = scene.connect();
    let start = Instant::now();
    write!(stream, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    // More than a visit lasts for everybody else.
    let looks = usize::try_from(visit::VISIT.as_secs()).unwrap() + 3;
    let (found, ended) = events(&mut stream, looks);
    assert!(!ended && start.elapsed() > visit::VISIT, "{found:?}");
    assert_eq!((found[0].as_str(), found[1].as_str(), found.len()), ("whole", "look", looks));
}

#[test]
fn who_watches_and_does_not_read_is_put_out() {
    let scene = Scene::new();
    // A loop with so much to show that no buffer takes it for long.
    let mut slow = scene.connect();
    write!(slow, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    scene.show_much();
    let start = Instant::now();
    while scene.watchers() > 0 || start.elapsed() < Duration::from_secs(1) {
        assert!(start.elapsed() < Duration::from_secs(60), "he is still there");
        assert!(scene.ask("GET /healthz").starts_with("HTTP/1.1 200 "), "nobody else suffers");
    }
}

#[test]
fn so_many_may_watch_and_the_others_are_answered_nonetheless() {
    let scene = Scene::new();
    let mut watching: Vec<TcpStream> = (0..live::WATCHERS).map(|_| scene.connect()).collect();
    for stream in &mut watching {
        write!(stream, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        assert_eq!(events(stream, 1).0[0], "whole");
    }
    let answer = scene.ask("GET /events");
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("watch already"), "{answer}");
    assert!(scene.ask("GET /metrics").starts_with("HTTP/1.1 200 "));
    drop(watching);
    let start = Instant::now();
    loop {
        let mut stream = scene.connect();
        write!(stream, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        if events(&mut stream, 1).0.first().is_some_and(|first| first == "whole") {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "their places are free again");
    }
}

#[test]
fn the_page_needs_nothing_from_anywhere_else() {
    let scene = Scene::new();
    for (path, kind) in [("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")] {
        let answer = scene.ask(&format!("GET {path}"));
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && answer.contains(&format!("content-type: {kind}; charset=utf-8")),
            "{answer}"
        );
        assert!(answer.contains("content-security-policy: default-src 'none'; style-src 'self'"), "{answer}");
        let body = answer.split_once("\r\n\r\n").unwrap().1.replace("http://www.w3.org/2000/svg", "");
        assert!(!body.contains("://") && !body.contains("innerHTML") && !body.contains("POST"), "{path}");
    }
}
