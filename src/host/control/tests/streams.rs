//! Streams: they outlast a visit, begin with the past, are few for one user, and end for whoever does not read.

use std::io::{BufRead, BufReader};

use futures::StreamExt;

use super::{super::stream, *};

/// Lines of a stream without its chunks' lengths, for ever.
fn lines(stream: UnixStream) -> impl Iterator<Item = String> {
    BufReader::new(stream).lines().map_while(Result::ok)
}

fn next_data(lines: &mut impl Iterator<Item = String>) -> String {
    lines.find_map(|line| line.strip_prefix("data: ").map(str::to_owned)).expect("the stream goes on")
}

fn ready(scene: &Scene, vassal: &str) {
    scene.events.hear(&Note::Ready { vassal: vassal.into(), took: Duration::ZERO }, |_| Some(None));
}

#[test]
fn events_are_told_as_a_list_or_for_ever() {
    let scene = Scene::new();
    ["a", "b", "a"].iter().for_each(|vassal| ready(&scene, vassal));
    let answer = scene.ask("GET /v1/events?vassal=a&n=1");
    assert!(answer.contains(r#""id":3"#) && !answer.contains(r#""id":1"#), "{answer}");
    assert!(answer.contains(r#""kind":"ready""#) && answer.contains(r#""vassal":"a""#), "{answer}");

    let mut told = lines(scene.begin("GET /v1/events?follow&vassal=a"));
    assert!(next_data(&mut told).contains(r#""id":1"#));
    assert!(next_data(&mut told).contains(r#""id":3"#));
    ready(&scene, "b");
    ready(&scene, "a");
    assert!(next_data(&mut told).contains(r#""id":5"#), "what is about others is not told");
}

/// Bytes of this process in RAM.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap() * 4096
}

#[test]
fn a_reader_of_all_that_happened_holds_little_of_it() {
    let scene = Scene::new();
    let name = "x".repeat(4000);
    (0..4096).for_each(|_| ready(&scene, &name));
    let before = resident();
    // They ask, and read no more than that they are answered.
    let readers = ["", "?follow"].iter().flat_map(|how| [how; 8]).map(|how| {
        let mut reader = scene.begin(&format!("GET /v1/events{how}"));
        reader.read_exact(&mut [0; 100]).unwrap();
        reader
    });
    let readers: Vec<UnixStream> = readers.collect();
    let grown = resident().saturating_sub(before);
    assert!(grown < 64 << 20, "{} MB for {} readers", grown >> 20, readers.len());
    let answer = scene.ask("GET /v1/events");
    assert_eq!(
        (answer.matches(r#""id":"#).count(), answer.matches(&name).count()),
        (4096, 4096),
        "one who reads is told all of it"
    );
}

#[test]
fn events_go_on_from_where_a_client_was() {
    let scene = Scene::new();
    (0..3).for_each(|_| ready(&scene, "a"));
    fn id_of(mut told: impl Iterator<Item = String>) -> String {
        told.find_map(|line| line.strip_prefix("id: ").map(str::to_owned)).expect("the stream goes on")
    }
    let first = id_of(lines(scene.begin("GET /v1/events?follow&n=3")));
    let go_on = |id: &str| lines(scene.begin_with("GET /v1/events?follow&n=0", &format!("Last-Event-ID: {id}\r\n")));
    let mut told = go_on(&first);
    assert!(next_data(&mut told).contains(r#""id":2"#) && next_data(&mut told).contains(r#""id":3"#));
    // Of another daemon's it is told all there is.
    for foreign in ["0-2", "2", "x", &first.replace("-1", "-99")] {
        assert!(next_data(&mut go_on(foreign)).contains(r#""id":1"#), "{foreign}");
    }
    (0..4096).for_each(|_| ready(&scene, "a"));
    let mut told = go_on(&first);
    assert_eq!(next_data(&mut told), "2", "so many are missed");
    let next = id_of(go_on(&first).skip_while(|line| line != "event: missed"));
    assert!(next.ends_with("-3"), "whoever comes back after that has missed them already: {next}");
    assert!(next_data(&mut told).contains(r#""id":4,"#));
}

#[test]
fn a_log_waits_for_its_reader() {
    let scene = Scene::new();
    let line = format!("{}\n", "x".repeat(999));
    scene.write_log("a.ini", &line.repeat(20_000));
    let readers = ["GET /v1/vassals/a.ini/log?n=all", "GET /v1/vassals/a.ini/log?n=20000&follow"].map(|ask| scene.begin(ask));
    // Longer than anybody else may leave anything unread.
    assert!(matches!(UnixStream::connect(scene.socket()).unwrap().read(&mut [0; 1]), Ok(0) | Err(_)));
    for (reader, follows) in readers.into_iter().zip([false, true]) {
        let mut whole = lines(reader);
        assert_eq!(whole.by_ref().filter(|told| told.ends_with("xxxxx")).take(20_000).count(), 20_000);
        assert!(follows || whole.any(|line| line == "0"), "the last chunk");
    }
    let crowd: Vec<UnixStream> = (0..64).map(|_| scene.begin("GET /v1/vassals/a.ini/log?n=all")).collect();
    let start = std::time::Instant::now();
    loop {
        let answer = scene.ask("GET /v1/vassals");
        if answer.starts_with("HTTP/1.1 200 ") {
            break;
        }
        assert!(answer.contains("no room for this one"), "{answer}");
        assert!(start.elapsed() < Duration::from_secs(20), "readers of logs keep others out");
    }
    drop(crowd);
}

#[test]
fn a_log_says_where_it_goes_on() {
    let scene = Scene::of(View { vassals: vec![vassal("a.ini")], ..View::default() });
    scene.logs.goes(&"a.ini".into(), Some(crate::vassal_logs::Elsewhere::Journal));
    let answer = scene.ask("GET /v1/vassals/a.ini/log");
    assert!(answer.starts_with("HTTP/1.1 404 ") && answer.contains("is in the journal: journalctl -t a.ini"), "{answer}");
    scene.write_log("a.ini", "from before\n");
    let answer = scene.ask("GET /v1/vassals/a.ini/log");
    let (before, now) = answer.split_once("from before").unwrap();
    assert!(before.starts_with("HTTP/1.1 200 ") && now.contains("its last start is in the journal"), "{answer}");
    let mut told = lines(scene.begin("GET /v1/vassals/a.ini/log?follow"));
    assert!(told.any(|line| line.contains("its last start is in the journal")) && told.any(|line| line == "from before"));
    scene.logs.goes(&"a.ini".into(), None);
    assert!(!scene.ask("GET /v1/vassals/a.ini/log").contains("journal"));
}

#[test]
fn a_log_is_told_from_its_last_lines_on() {
    let scene = Scene::of(View { vassals: vec![vassal("a.ini")], ..View::default() });
    assert!(scene.ask("GET /v1/vassals/a.ini/log").starts_with("HTTP/1.1 404 "), "it has none");
    scene.write_log("a.ini", "one\ntwo\nthree\n");
    scene.write_log("gone.ini", "once\n");
    let body = |request: &str| lines(scene.begin(request)).skip_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    assert!(body("GET /v1/vassals/a.ini/log?n=2").contains("two three"));
    assert!(!body("GET /v1/vassals/a.ini/log?n=2").contains("one"));
    assert!(body("GET /v1/vassals/a.ini/log?n=all").contains("one two three"));
    assert!(body("GET /v1/vassals/gone.ini/log").contains("once"), "root may read what is gone");
    assert!(scene.ask("GET /v1/vassals/a.ini/log?n=many").starts_with("HTTP/1.1 400 "));
    assert!(scene.ask("GET /v1/vassals/%2e%2e/log").starts_with("HTTP/1.1 404 "), "no way out of the directory");

    let mut told = lines(scene.begin_with("GET /v1/vassals/a.ini/log?n=2", "Accept: text/event-stream\r\n"));
    assert_eq!((next_data(&mut told), next_data(&mut told)), ("two".to_owned(), "three".to_owned()));

    let mut told = lines(scene.begin("GET /v1/vassals/a.ini/log?n=1&follow"));
    assert!(told.any(|line| line == "three"));
    scene.write_log("a.ini", "one\ntwo\nthree\nfour\n");
    assert!(told.any(|line| line == "four"));
}

#[test]
fn a_stream_outlasts_a_visit_and_takes_no_place_from_visitors() {
    let scene = Scene::new();
    let mut told: Vec<_> = (0..32).map(|_| lines(scene.begin("GET /v1/events?follow=1"))).collect();
    told.iter_mut().for_each(|lines| assert!(lines.next().unwrap().starts_with("HTTP/1.1 200 ")));
    let one_more = scene.ask("GET /v1/events?follow=1");
    assert!(one_more.starts_with("HTTP/1.1 429 "), "{one_more}");
    // A silent visitor is put out after the time of a visit: that has passed then.
    assert!(matches!(UnixStream::connect(scene.socket()).unwrap().read(&mut [0; 1]), Ok(0) | Err(_)));
    ready(&scene, "a");
    told.iter_mut().for_each(|lines| assert!(next_data(lines).contains(r#""id":1"#)));
    drop(told);
    // Their places are free again, as soon as the daemon has seen them leave.
    let again = || scene.begin("GET /v1/events?follow=1");
    assert!((0..1000).any(|_| lines(again()).next().is_some_and(|line| line.starts_with("HTTP/1.1 200 "))));
}

#[test]
fn who_does_not_read_is_put_out_and_holds_up_nobody() {
    let scene = Scene::new();
    let mut deaf = scene.begin("GET /v1/events?follow=1");
    let mut told = lines(scene.begin("GET /v1/events?follow=1"));
    let long = "x".repeat(200_000);
    for n in 1..=100 {
        ready(&scene, &long);
        assert!(next_data(&mut told).contains(&format!(r#""id":{n},"#)));
    }
    // The deaf one hears nothing new, then its end: what the kernel had taken for it, and no more.
    let mut taken = Vec::new();
    // (A read would make it hear again: only the time of a silent visitor, who came now, is long enough.)
    assert!(matches!(UnixStream::connect(scene.socket()).unwrap().read(&mut [0; 1]), Ok(0) | Err(_)));
    let _ = deaf.read_to_end(&mut taken);
    assert!(taken.len() < 50 * 200_000, "{} bytes were kept for it", taken.len());
}

#[test]
fn a_watched_snapshot_comes_at_once_and_again_when_something_happens() {
    let view = View { vassals: vec![vassal("a.ini")], ..View::default() };
    let scene = Scene::of(view);
    let mut told = lines(scene.begin("GET /v1/vassals?watch"));
    assert!(next_data(&mut told).contains("a.ini"));
    let answer = scene.ask("GET /v1/vassals?watch=0&usage");
    assert!(answer.contains("content-length") && answer.contains(r#""rss":"#), "{answer}");
}

#[tokio::test]
async fn a_snapshot_is_not_sent_for_what_happens_to_others() {
    let (post, mut mail) = inbox(16);
    tokio::spawn(async move {
        for failures in 0.. {
            let Some(Mail::ViewOf(1001, answer)) = mail.recv().await else { return };
            let vassals = vec![VassalView { failures, ..vassal("a.ini") }];
            drop(answer.send(View { vassals, ..View::default() }));
        }
    });
    let (events, logs) = (Events::new(), VassalLogs::below("/nonexistent").into());
    let house = House::new(post, events.clone(), Records::below(Path::new("/nonexistent")), logs);
    let mut told = std::pin::pin!(stream::snapshots(house, 1001, false));
    let hear = |owner| events.hear(&Note::Ready { vassal: "a".into(), took: Duration::ZERO }, |_| Some(Some(owner)));
    assert!(told.next().await.is_some());
    let start = std::time::Instant::now();
    hear(1002);
    assert!(told.next().await.is_some());
    assert!(start.elapsed() >= Duration::from_secs(2), "{:?}: as if nothing had happened", start.elapsed());
    hear(1001);
    assert!(told.next().await.is_some());
}
