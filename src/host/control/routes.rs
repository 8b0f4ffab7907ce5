//! What can be asked at the control socket, and what is answered.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/vassals` | 200 and the snapshot |
//! | `POST /v1/vassals/NAME/reload` (NAME percent-encoded) | 200, 404, 409 where its file never was usable |
//! | `POST /v1/clear` | 200 |
//!
//! Anybody but root gets 403, whatever he asks. An answer that is no snapshot is `{"answer": ...}` or `{"error": ...}`.

use axum::{
    Json, Router,
    extract::{ConnectInfo, Path, Request, State},
    http::StatusCode,
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use liege_core::{Answer, Order, Request as Wish};
use serde::Serialize;

use super::guest::Peer;
use crate::inbox::Post;

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Said {
    Answer(String),
    Error(String),
}

/// All routes.
pub(super) fn router(inbox: Post) -> Router {
    Router::new()
        .route("/v1/vassals", get(vassals))
        .route("/v1/vassals/{name}/reload", post(reload))
        .route("/v1/clear", post(clear))
        .fallback(|| async { error(StatusCode::NOT_FOUND, "no such request".to_owned()) })
        .layer(from_fn(only_root))
        .with_state(inbox)
}

async fn only_root(ConnectInfo(peer): ConnectInfo<Peer>, request: Request, next: Next) -> Response {
    if peer.uid == 0 {
        return next.run(request).await;
    }
    tracing::debug!(target: "control", uid = peer.uid, "refused");
    error(StatusCode::FORBIDDEN, "only root may ask this daemon".to_owned())
}

async fn vassals(State(inbox): State<Post>) -> Response {
    match inbox.view().await {
        Some(view) => Json(view).into_response(),
        None => ending(),
    }
}

async fn reload(State(inbox): State<Post>, Path(name): Path<String>) -> Response {
    tracing::info!(target: "control", vassal = name, "reload");
    ask(&inbox, Wish::One { vassal: name.into(), order: Order::Reload, by: 0 }).await
}

async fn clear(State(inbox): State<Post>) -> Response {
    tracing::info!(target: "control", "clear");
    ask(&inbox, Wish::Each { order: Order::Clear, by: 0 }).await
}

async fn ask(inbox: &Post, wish: Wish) -> Response {
    match inbox.ask(wish).await {
        Some(Answer::Done) => Json(Said::Answer("done".to_owned())).into_response(),
        Some(Answer::Nothing(why)) => Json(Said::Answer(format!("nothing to do: {why}"))).into_response(),
        Some(Answer::Refused(why)) => error(StatusCode::CONFLICT, why),
        Some(Answer::Unknown) => error(StatusCode::NOT_FOUND, "no vassal is called so".to_owned()),
        None => ending(),
    }
}

fn ending() -> Response {
    error(StatusCode::SERVICE_UNAVAILABLE, "the daemon is ending".to_owned())
}

fn error(status: StatusCode, what: String) -> Response {
    (status, Json(Said::Error(what))).into_response()
}
