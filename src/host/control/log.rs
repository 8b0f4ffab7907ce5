//! A vassal's log as text: its last lines, and, followed, what comes.

use std::io;

use axum::{
    body::Body,
    extract::{ConnectInfo, Path, Query, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use liege_core::{ROOT, Verdict};
use serde::Deserialize;

use super::{
    House,
    guest::Peer,
    routes::{is_ending, no, too_many},
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
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], Body::from_stream(bytes)).into_response()
}
