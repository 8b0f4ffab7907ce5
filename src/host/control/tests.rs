//! The control socket before a loop that only answers: who is answered, what, and what a flood does to others.

use std::{
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};

use liege_core::{Answer, Order, ROOT, Request, View};

use super::Control;
use crate::inbox::{Mail, inbox};

struct Scene {
    dir: tempfile::TempDir,
    control: Option<Control>,
    /// What the loop was asked.
    asked: mpsc::Receiver<Request>,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (post, mut mail) = inbox(16);
        let (tell, asked) = mpsc::channel();
        thread::spawn(move || {
            while let Some(mail) = mail.blocking_recv() {
                match mail {
                    Mail::View(answer) => drop(answer.send(View::default())),
                    Mail::Asked(request, answer) => {
                        let is_known = !matches!(&request, Request::One { .. });
                        tell.send(request).ok();
                        answer.send(if is_known { Answer::Done } else { Answer::Unknown }).unwrap();
                    }
                    other => panic!("{other:?}"),
                }
            }
        });
        let control = Control::serve(&dir.path().join("control.sock"), post).unwrap();
        Self { control: Some(control), dir, asked }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("control.sock")
    }

    fn ask(&self, request: &str) -> String {
        ask(&self.socket(), request)
    }
}

fn ask(socket: &Path, request: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "{request} HTTP/1.1\r\nHost: liege\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
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
}

#[test]
fn what_is_not_there_is_not_found() {
    let scene = Scene::new();
    for request in ["POST /v1/vassals/a.ini/reload", "GET /", "GET /v1/vassals/../../etc/passwd"] {
        let answer = scene.ask(request);
        assert!(answer.starts_with("HTTP/1.1 404 ") && answer.contains(r#"{"error":"#), "{answer}");
    }
}

#[test]
fn guests_who_say_nothing_keep_nobody_out_for_ever() {
    let scene = Scene::new();
    let crowd: Vec<UnixStream> = (0..200).map(|_| UnixStream::connect(scene.socket()).unwrap()).collect();
    let put_out = crowd.iter().filter(|stream| {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // All of them, sooner or later: those for whom there was no room at once, the silent ones after their time.
        matches!((&**stream).read(&mut [0; 1]), Ok(0) | Err(_))
    });
    assert_eq!(put_out.count(), 200);
    assert!(scene.ask("GET /v1/vassals").starts_with("HTTP/1.1 200 "));
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
    let error = Control::serve(&scene.socket(), inbox(1).0).unwrap_err();
    assert!(format!("{error:#}").contains("somebody serves it"), "{error:#}");
    let stale = scene.dir.path().join("stale");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    drop(Control::serve(&stale, inbox(1).0).unwrap());
    std::fs::write(&stale, "").unwrap();
    let error = Control::serve(&stale, inbox(1).0).unwrap_err();
    assert!(format!("{error:#}").contains("something else"), "{error:#}");
}
