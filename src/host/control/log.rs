//! A vassal's log: its last lines, and, followed, what comes. As text; or, for who accepts them, as server-sent events, a line each.
//!
//! Without following it is a visit like any other, however long it is read.

use std::{convert::Infallible, io};

use axum::{
    body::Body,
    extract::{ConnectInfo, State},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::{Stream, StreamExt, stream};
use liege_core::{ROOT, Verdict};
use nix::libc::{EMFILE, ENFILE, ENOMEM};
use serde::Deserialize;

use super::{
    House,
    asked::{Named, With},
    guest::Peer,
    routes::{is_ending, no, no_thread, too_many},
    stream::accepts_events,
    views,
};
use crate::vassal_logs::{Elsewhere, own_line};

/// Lines of somebody who does not say how many.
const LINES: usize = 100;

/// `?n=100&follow`; `n=all`
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    n: Option<String>,
    follow: Option<String>,
}

pub(super) async fn log(
    State(house): State<House>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Named(name): Named,
    With(asked): With<Asked>,
    headers: HeaderMap,
) -> Response {
    let lines = match asked.n.as_deref().map(|n| (n, n.parse())) {
        None => Some(LINES),
        Some(("all", _)) => None,
        Some((_, Ok(lines))) => Some(lines),
        Some((_, Err(_))) => return no(StatusCode::BAD_REQUEST, Verdict::Refused, "n is a number of lines, or all"),
    };
    let Some(view) = views::seen(&house, peer.uid).await else { return is_ending() };
    // Root also reads the log of one that is gone: nobody else can tell whose it was.
    if peer.uid != ROOT && !view.vassals.iter().any(|vassal| *vassal.name == *name) {
        return no(StatusCode::NOT_FOUND, Verdict::Unknown, "no vassal is called so");
    }
    let follow = views::is_set(asked.follow.as_ref());
    // Before anything is held for him.
    if follow && !peer.stay() {
        return too_many();
    }
    peer.read_at_leisure();
    let elsewhere = house.logs.elsewhere(&name).map(|goes| place(goes, &name));
    let of = (peer.uid != ROOT).then_some(peer.uid);
    let bytes = match house.logs.read(&name, of, lines, follow).await {
        Ok(bytes) => bytes,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            let lives = view.vassals.iter().any(|vassal| *vassal.name == *name && vassal.pid.is_some());
            let why = match elsewhere {
                Some(place) => format!("it has no log here: what it says {place}"),
                // The directory was made before the vassal's birth, and its logger still writes into it.
                None if lives => format!("its log was removed while it ran: what it says is lost until liege restart {name}"),
                None => "it has no log: nothing is called so, or vassal-log sends what it says elsewhere".to_owned(),
            };
            return no(StatusCode::NOT_FOUND, Verdict::Unknown, &why);
        }
        // The name may have been somebody else's when it was looked for.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return no(StatusCode::NOT_FOUND, Verdict::Unknown, "it has no log of yours");
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return no_thread(),
        Err(error) => {
            let is_need = matches!(error.raw_os_error(), Some(EMFILE | ENFILE | ENOMEM));
            let status = if is_need { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::CONFLICT };
            return no(status, Verdict::Refused, &format!("its log: {error}"));
        }
    };
    // What is here is from before: that is its last word, or the first where it has no last.
    let now = elsewhere.map(|place| Ok(own_line(&format!("what it says since its last start {place}"))));
    let (before, after) = if follow { (now, None) } else { (None, now) };
    let bytes = stream::iter(before).chain(bytes).chain(stream::iter(after));
    if accepts_events(&headers) {
        return Sse::new(events(bytes)).keep_alive(KeepAlive::default()).into_response();
    }
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], Body::from_stream(bytes)).into_response()
}

/// Where to look instead.
fn place(goes: Elsewhere, name: &str) -> String {
    match goes {
        Elsewhere::Journal => format!("is in the journal: journalctl -t {name}"),
        Elsewhere::Daemon => "goes where the daemon's own output goes".to_owned(),
        Elsewhere::Nowhere(why) => format!("is dropped until its log can be had: {why}"),
    }
}

/// An event called `line` for each, without its end; and one called `broken` with the reason where it cannot be read on.
fn events(
    bytes: impl Stream<Item = io::Result<Vec<u8>>> + Send + 'static,
) -> impl Stream<Item = Result<Event, Infallible>> + Send {
    // The end of one piece may be the beginning of a line.
    let events = bytes.scan(Vec::new(), |begun, piece| {
        let events = match piece {
            Ok(piece) => {
                begun.extend_from_slice(&piece);
                let whole = begun.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
                let lines: Vec<u8> = begun.drain(..whole).collect();
                String::from_utf8_lossy(&lines).lines().map(|text| event("line", text)).collect::<Vec<_>>()
            }
            Err(error) => vec![event("broken", &error.to_string())],
        };
        std::future::ready(Some(events))
    });
    events.flat_map(|events| stream::iter(events.into_iter().map(Ok)))
}

/// A carriage return would end the field.
fn event(called: &str, text: &str) -> Event {
    Event::default().event(called).data(text.replace('\r', " "))
}
