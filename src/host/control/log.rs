//! A vassal's log: its last lines, and, followed, what comes. As text; or, for who accepts them, as server-sent events, a line each.

use std::{convert::Infallible, io};

use axum::{
    body::Body,
    extract::{ConnectInfo, Path, Query, State},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::{Stream, StreamExt, stream};
use liege_core::{ROOT, Verdict};
use serde::Deserialize;

use super::{
    House,
    guest::Peer,
    routes::{is_ending, no, too_many},
    stream::accepts_events,
    views,
};

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
    Path(name): Path<String>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let lines = match asked.n.as_deref().map(|n| (n, n.parse())) {
        None => Some(LINES),
        Some(("all", _)) => None,
        Some((_, Ok(lines))) => Some(lines),
        Some((_, Err(_))) => return no(StatusCode::BAD_REQUEST, Verdict::Refused, "n is a number of lines, or all"),
    };
    let Some(view) = views::seen(&house, peer.uid, false).await else { return is_ending() };
    // Root also reads the log of one that is gone: nobody else can tell whose it was.
    if peer.uid != ROOT && !view.vassals.iter().any(|vassal| *vassal.name == *name) {
        return no(StatusCode::NOT_FOUND, Verdict::Unknown, "no vassal is called so");
    }
    // The name may have been somebody else's when that was said.
    if peer.uid != ROOT && !house.logs.is_of(&name, peer.uid).await {
        return no(StatusCode::NOT_FOUND, Verdict::Unknown, "it has no log of yours");
    }
    // Before anything is held for him.
    if !peer.stay() {
        return too_many();
    }
    let bytes = match house.logs.read(&name, lines, views::is_set(asked.follow.as_ref())).await {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let why = "it has no log: nothing is called so, or vassal-log sends what it says elsewhere";
            return no(StatusCode::NOT_FOUND, Verdict::Unknown, why);
        }
        Err(error) => return no(StatusCode::CONFLICT, Verdict::Refused, &format!("its log: {error}")),
    };
    if accepts_events(&headers) {
        return Sse::new(events(bytes)).keep_alive(KeepAlive::default()).into_response();
    }
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], Body::from_stream(bytes)).into_response()
}

/// An event called `line` for each, without its end. What cannot be read ends the stream.
fn events(
    bytes: impl Stream<Item = io::Result<Vec<u8>>> + Send + 'static,
) -> impl Stream<Item = Result<Event, Infallible>> + Send {
    let pieces = bytes.take_while(|piece| std::future::ready(piece.is_ok())).filter_map(|piece| std::future::ready(piece.ok()));
    // The end of one piece may be the beginning of a line.
    let lines = pieces.scan(Vec::new(), |begun, piece| {
        begun.extend_from_slice(&piece);
        let whole = begun.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines: Vec<u8> = begun.drain(..whole).collect();
        std::future::ready(Some(lines))
    });
    lines.flat_map(|lines| {
        let text = String::from_utf8_lossy(&lines).into_owned();
        // A carriage return would end the field.
        let event = |line: &str| Ok(Event::default().event("line").data(line.replace('\r', " ")));
        stream::iter(text.lines().map(event).collect::<Vec<_>>())
    })
}
