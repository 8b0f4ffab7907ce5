//! Orders: handed to the core as the asker's, and its answer handed back.

use axum::{
    Json,
    extract::{ConnectInfo, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use liege_core::{Answer, Order, ROOT, Reply, Request, Verdict};
use serde::Deserialize;

use super::{
    House,
    asked::{Named, With},
    guest::Peer,
    routes::{is_ending, no},
    views,
};

pub(super) async fn one(
    State(house): State<House>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Named(name): Named,
    order: Order,
) -> Response {
    let request = Request::One { vassal: name.as_str().into(), order, by: peer.uid };
    ask(&house, &peer, Some(&name), order.word(), request).await
}

pub(super) async fn each(State(house): State<House>, ConnectInfo(peer): ConnectInfo<Peer>, order: Order) -> Response {
    ask(&house, &peer, None, order.word(), Request::Each { order, by: peer.uid }).await
}

/// The parameters of a rescan.
#[derive(Debug, Deserialize)]
pub(super) struct Rescan {
    force: Option<String>,
}

pub(super) async fn rescan(
    State(house): State<House>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    With(asked): With<Rescan>,
) -> Response {
    if peer.uid != ROOT {
        return no(StatusCode::FORBIDDEN, Verdict::Refused, "only root may ask for that");
    }
    match views::is_set(asked.force.as_ref()) {
        true => ask(&house, &peer, None, "rescan --force", Request::Believe).await,
        false => ask(&house, &peer, None, "rescan", Request::Rescan).await,
    }
}

async fn ask(house: &House, peer: &Peer, vassal: Option<&str>, asked: &str, request: Request) -> Response {
    peer.read_on(); // a file that is read for it may take longer than a visit
    let Some(answer) = house.post.ask(request).await else { return is_ending() };
    house.looks.obeyed(peer.uid);
    let status = match answer {
        Answer::Done | Answer::Nothing(_) => StatusCode::OK,
        Answer::Refused(_) => StatusCode::CONFLICT,
        Answer::Unknown => StatusCode::NOT_FOUND,
    };
    let is_unknown = answer == Answer::Unknown;
    let reply = Reply::from(answer);
    if is_unknown {
        tracing::debug!(target: "control", uid = peer.uid, vassal, "{asked}: {reply}");
    } else {
        tracing::info!(target: "control", uid = peer.uid, vassal, "{asked}: {reply}");
    }
    (status, Json(reply)).into_response()
}
