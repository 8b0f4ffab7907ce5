//! What can be asked, and what is answered. Nothing here changes anything.
//!
//! | request | answer |
//! |---|---|
//! | `GET /metrics` | the exposition, as OpenMetrics or in the text format 0.0.4, by `Accept` |
//! | `GET /healthz` | 200 while the loop answers |
//! | `GET /readyz` | 200 when everything the first scan found was given a try; else 503 and what is missing |
//!
//! 503 where the loop does not answer in time, or has ended. Each connection is closed after its answer: a visit is one request.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{ACCEPT, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, VARY, X_CONTENT_TYPE_OPTIONS},
    },
    middleware::map_response,
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::time::timeout;

use super::{Sights, negotiate::Form, snapshot::Snapshots};

/// How long the loop may take for an answer. Less than a visit, so that whoever waits hears of it.
const PATIENCE: Duration = Duration::from_secs(5);

/// What all routes look at.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) sights: Sights,
    pub(super) snapshots: Snapshots,
}

/// All routes.
pub(super) fn router(scene: Arc<Scene>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .fallback(|| async { said(StatusCode::NOT_FOUND, "there is nothing here: try /metrics, /healthz, /readyz") })
        .layer(map_response(headers))
        .with_state(scene)
}

async fn headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn metrics(State(scene): State<Arc<Scene>>, headers: HeaderMap) -> Response {
    // A header may come in several lines, which are then one list.
    let accept: Vec<&str> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let form = Form::wanted(&accept.join(","));
    match timeout(PATIENCE, scene.snapshots.exposition(form)).await {
        Ok(Some(text)) => ([(CONTENT_TYPE, form.content_type()), (VARY, "Accept")], text).into_response(),
        Ok(None) => ending(),
        Err(_) => stuck(),
    }
}

async fn healthz(State(scene): State<Arc<Scene>>) -> Response {
    match timeout(PATIENCE, scene.sights.post.alive()).await {
        Ok(true) => said(StatusCode::OK, "ok"),
        Ok(false) => ending(),
        Err(_) => stuck(),
    }
}

async fn readyz(State(scene): State<Arc<Scene>>) -> Response {
    match timeout(PATIENCE, scene.snapshots.view()).await {
        Ok(Some((asked, view))) => match scene.sights.readiness.missing(asked, &view) {
            None => said(StatusCode::OK, "ready"),
            Some(missing) => said(StatusCode::SERVICE_UNAVAILABLE, &missing),
        },
        Ok(None) => ending(),
        Err(_) => stuck(),
    }
}

fn ending() -> Response {
    said(StatusCode::SERVICE_UNAVAILABLE, "the daemon is ending")
}

fn stuck() -> Response {
    said(StatusCode::SERVICE_UNAVAILABLE, &format!("the daemon has not answered for {} s", PATIENCE.as_secs()))
}

fn said(status: StatusCode, what: &str) -> Response {
    (status, format!("{what}\n")).into_response()
}
