//! The control socket before a loop that only answers: who is answered, what, and what a flood does to others.

mod description;
mod streams;

use std::{
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use liege_core::{Answer, Note, Order, Phase, ROOT, Request, VassalView, View};

use super::{Control, Family, House};
use crate::{
    deaths::Records,
    events::Events,
    inbox::{Mail, inbox},
    vassal_logs::VassalLogs,
};

struct Scene {
    dir: tempfile::TempDir,
    events: Events,
    logs: Arc<VassalLogs>,
    control: Option<Control>,
    /// What the loop was asked.
    asked: mpsc::Receiver<Request>,
}

impl Scene {
    fn new() -> Self {
        Self::of(View::default())
    }

    /// A loop whose snapshot is always the same, which knows the vassals of it and does what it is asked to.
    fn of(view: View) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (post, mut mail) = inbox(16);
        let (tell, asked) = mpsc::channel();
        thread::spawn(move || {
            while let Some(mail) = mail.blocking_recv() {
                match mail {
                    // All of them ask as root.
                    Mail::ViewOf(_, answer) => drop(answer.send(view.clone())),
                    Mail::Asked(request, answer) => {
                        let known = match &request {
                            Request::One { vassal, .. } => view.vassals.iter().any(|v| v.name == *vassal),
                            Request::Each { .. } | Request::Rescan | Request::Believe | Request::Shutdown => true,
                        };
                        tell.send(request).ok();
                        answer.send(if known { Answer::Done } else { Answer::Unknown }).unwrap();
                    }
                    other => panic!("{other:?}"),
                }
            }
        });
        let events = Events::new();
        let logs = Arc::new(VassalLogs::below(dir.path().join("logs").to_str().unwrap()));
        let house = House::new(post, events.clone(), Records::below(dir.path()), Arc::clone(&logs));
        let control = Control::serve(&dir.path().join("control.sock"), house, Family::own(None)).unwrap();
        Self { control: Some(control), dir, events, logs, asked }
    }

    fn write_log(&self, vassal: &str, text: &str) {
        let directory = self.dir.path().join("logs").join(vassal);
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("log"), text).unwrap();
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("control.sock")
    }

    fn ask(&self, request: &str) -> String {
        ask(&self.socket(), request)
    }

    /// A connection whose question is asked; the caller reads.
    fn begin(&self, request: &str) -> UnixStream {
        begin(&self.socket(), request, "")
    }

    /// The same with a header more.
    fn begin_with(&self, request: &str, header: &str) -> UnixStream {
        begin(&self.socket(), request, header)
    }
}

/// A house with nobody in it.
fn house() -> House {
    let logs = VassalLogs::below("/nonexistent").into();
    House::new(inbox(1).0, Events::new(), Records::below(Path::new("/nonexistent")), logs)
}

/// One of somebody's, whose init is this very process.
pub(super) fn vassal(name: &str) -> VassalView {
    let pid = i32::try_from(std::process::id()).unwrap();
    VassalView { pid: Some(pid), owner: Some(1001), ..crate::testing::vassal(name, Phase::Running) }
}

/// What has not answered for so long hangs. A thousand guests take twenty seconds where thirty others want the two processors.
const HUNG: Duration = Duration::from_secs(60);

fn begin(socket: &Path, request: &str, header: &str) -> UnixStream {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(HUNG)).unwrap();
    // Who is put out at once has no ear for it.
    let _ = write!(stream, "{request} HTTP/1.1\r\nHost: liege\r\nConnection: close\r\n{header}\r\n");
    stream
}

fn ask(socket: &Path, request: &str) -> String {
    let mut answer = String::new();
    let read = begin(socket, request, "").read_to_string(&mut answer);
    read.unwrap_or_else(|e| panic!("{request}: {e} after {answer:?}"));
    answer
}

#[test]
fn root_is_answered() {
    let scene = Scene::new();
    let answer = scene.ask("GET /v1/vassals");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(r#""vassals":[]"#), "{answer}");
    let answer = scene.ask("POST /v1/clear");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(r#"{"answer":"done"}"#), "{answer}");
    assert_eq!(scene.asked.recv(), Ok(Request::Each { order: Order::Clear, by: ROOT }));
    let answer = scene.ask("POST /v1/rescan");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(scene.asked.recv(), Ok(Request::Rescan));
}

#[test]
fn an_order_goes_to_the_core_with_the_askers_uid() {
    let scene = Scene::of(View { vassals: vec![vassal("/v/a b.ini")], ..View::default() });
    for (word, order) in [
        ("start", Order::Start),
        ("stop", Order::Stop),
        ("restart", Order::Restart),
        ("reload", Order::Reload),
        ("clear", Order::Clear),
    ] {
        let answer = scene.ask(&format!("POST /v1/vassals/%2Fv%2Fa%20b.ini/{word}"));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert_eq!(scene.asked.recv(), Ok(Request::One { vassal: "/v/a b.ini".into(), order, by: ROOT }));
        let answer = scene.ask(&format!("GET /v1/vassals/a.ini/{word}"));
        assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    }
}

#[test]
fn what_is_not_there_is_not_found() {
    let scene = Scene::new();
    for request in ["POST /v1/vassals/a.ini/reload", "GET /", "GET /v1/vassals/../../etc/passwd"] {
        let answer = scene.ask(request);
        assert!(answer.starts_with("HTTP/1.1 404 ") && answer.contains(r#"{"answer":"unknown""#), "{answer}");
    }
}

#[test]
fn guests_who_say_nothing_keep_nobody_out() {
    let scene = Scene::new();
    let crowd: Vec<UnixStream> = (0..1000)
        .map(|n| {
            let mut stream = UnixStream::connect(scene.socket()).unwrap();
            stream.set_read_timeout(Some(HUNG)).unwrap();
            // Some begin to ask and do not end. (Who was put out already has no ear for it.)
            (n % 2 == 0).then(|| write!(stream, "GET /v1/vassals HTTP/1.1\r\nX: y\r\n").ok());
            stream
        })
        .collect();
    assert!(scene.ask("GET /v1/vassals").starts_with("HTTP/1.1 200 "), "among them");
    let told = crowd.into_iter().filter_map(|mut stream| {
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text); // a reset where his half question was not read
        text.starts_with("HTTP/1.1 503 ").then(|| assert!(text.contains("no room for this one"), "{text}"))
    });
    assert!(told.count() >= 1000 - 64, "whoever had to leave was told why; the last ones had their time");
}

#[test]
fn whoever_has_been_answered_is_gone() {
    let scene = Scene::new();
    scene.write_log("a.ini", "one\n");
    // More than there are places of any kind.
    let told: Vec<UnixStream> = (0..100)
        .map(|_| {
            let mut stream = UnixStream::connect(scene.socket()).unwrap();
            stream.set_read_timeout(Some(HUNG)).unwrap();
            write!(stream, "GET /v1/vassals/a.ini/log?n=1 HTTP/1.1\r\nHost: liege\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("connection: close"), "{answer}");
            stream
        })
        .collect();
    assert_eq!(told.len(), 100);
}

/// A child of the daemon's is taken for a process of a vassal's. It goes when its connection is closed, or after twenty seconds.
#[test]
fn whoever_is_refused_is_gone_as_well() {
    let scene = Scene::new();
    let script = r#"use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die $!; alarm 20;
        syswrite $s, "GET /v1/vassals HTTP/1.1\r\nHost: liege\r\n\r\n"; print while <$s>;"#;
    let told = std::process::Command::new("perl").args(["-e", script]).arg(scene.socket()).output().unwrap();
    let answer = String::from_utf8_lossy(&told.stdout);
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("connection: close"), "{answer}");
}

#[test]
fn the_socket_is_open_to_all_and_gone_at_the_end() {
    let mut scene = Scene::new();
    let mode = std::fs::metadata(scene.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o666);
    scene.control = None;
    assert!(!scene.socket().exists());
}

#[test]
fn a_socket_left_behind_is_replaced_but_none_that_is_served() {
    let scene = Scene::new();
    let error = Control::serve(&scene.socket(), house(), Family::own(None)).unwrap_err();
    assert!(format!("{error:#}").contains("somebody serves it"), "{error:#}");
    let stale = scene.dir.path().join("stale");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    drop(Control::serve(&stale, house(), Family::own(None)).unwrap());
    std::fs::write(&stale, "").unwrap();
    let error = Control::serve(&stale, house(), Family::own(None)).unwrap_err();
    assert!(format!("{error:#}").contains("something else"), "{error:#}");
}

/// Who is refused while it still sends reads the refusal, and its end, not a reset.
#[test]
fn a_refusal_is_read_to_its_end() {
    let scene = Scene::new();
    let header = format!("X: {}\r\n", "x".repeat(8000));
    let flood = header.repeat(100);
    for (what, head) in [("too long", flood.clone()), ("too many", "X: y\r\n".repeat(20_000))] {
        let mut stream = UnixStream::connect(scene.socket()).unwrap();
        write!(stream, "GET /v1/vassals HTTP/1.1\r\nHost: liege\r\n{head}\r\n").unwrap_or_else(|e| panic!("{what}: {e}"));
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap_or_else(|e| panic!("{what}: {e} after {answer:?}"));
        assert!(answer.starts_with("HTTP/1.1 431 "), "{what}: {answer}");
    }
    let mut stream = UnixStream::connect(scene.socket()).unwrap();
    write!(stream, "POST /v1/nothing HTTP/1.1\r\nHost: liege\r\ncontent-length: 500000\r\n\r\n").unwrap();
    stream.write_all(&vec![b'x'; 500_000]).expect("a body that nobody wants");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");

    // All places are taken by those who have asked and do not read.
    scene.write_log("a.ini", &"x".repeat(20_000_000));
    let crowd: Vec<UnixStream> = (0..64).map(|_| scene.begin("GET /v1/vassals/a.ini/log?n=all")).collect();
    let refused = (0..200).filter(|_| {
        let answer = scene.ask("GET /v1/vassals");
        let is_refused = answer.starts_with("HTTP/1.1 503 ");
        assert!(is_refused == answer.contains("no room for this one"), "{answer}");
        is_refused
    });
    assert!(refused.count() > 0, "for a moment none of them is slow");
    drop(crowd);
}
