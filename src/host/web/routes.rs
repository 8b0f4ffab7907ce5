//! What can be asked, and what is answered. Nothing here changes anything.
//!
//! | request | answer |
//! |---|---|
//! | `GET /` | the status page, with its `/page.css` and `/page.js` |
//! | `GET /events` | what the page shows, each second, as server-sent events |
//! | `GET /metrics` | the exposition, as OpenMetrics or in the text format 0.0.4, by `Accept` |
//! | `GET /healthz` | 200 while the loop answers |
//! | `GET /readyz` | 200 when everything the first scan found was given a try; else 503 and what is missing |
//!
//! 421 where it is asked for by a foreign name (`hosts.rs`), whatever is asked.
//! 503 where the loop does not answer in time, or has ended. Each connection is closed after its answer: a visit is one request.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{ConnectInfo, Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{ACCEPT, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, VARY, X_CONTENT_TYPE_OPTIONS},
    },
    middleware::{Next, from_fn_with_state, map_response},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::time::timeout;

use super::{
    Sights,
    hosts::Hosts,
    live::{Live, full},
    negotiate::Form,
    snapshot::Snapshots,
    visit::Watcher,
};

/// A browser that shows the page takes nothing from anywhere else, and shows it in nobody's frame.
const ONLY_OURS: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// How long the loop may take for an answer. Less than a visit, so that whoever waits hears of it.
const PATIENCE: Duration = Duration::from_secs(5);

/// What all routes look at.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) sights: Sights,
    pub(super) hosts: Hosts,
    pub(super) snapshots: Snapshots,
    pub(super) live: Live,
}

/// All routes.
pub(super) fn router(scene: Arc<Scene>) -> Router {
    Router::new()
        .route("/", get(|| file("text/html; charset=utf-8", include_str!("page/page.html"))))
        .route("/page.css", get(|| file("text/css; charset=utf-8", include_str!("page/page.css"))))
        .route("/page.js", get(|| file("text/javascript; charset=utf-8", include_str!("page/page.js"))))
        .route("/events", get(events))
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .fallback(|| async { said(StatusCode::NOT_FOUND, "there is nothing here: try /, /metrics, /healthz, /readyz") })
        .layer(from_fn_with_state(Arc::clone(&scene), by_its_name))
        .layer(map_response(headers))
        .with_state(scene)
}

/// Every name the request gives must be one of ours: of two `Host`s, or a `Host` and a target with a name, either may be the foreign one.
async fn by_its_name(State(scene): State<Arc<Scene>>, request: Request, next: Next) -> Response {
    let is_own = |name: &str| scene.hosts.admits(name);
    let by_host = request.headers().get_all(HOST).iter().all(|host| host.to_str().is_ok_and(is_own));
    if by_host && request.uri().authority().is_none_or(|name| is_own(name.as_str())) {
        return next.run(request).await;
    }
    said(
        StatusCode::MISDIRECTED_REQUEST,
        "this is not a name of this listener: use its IP address, localhost or the machine's name, or give it the name by \
         emperor-metrics-host = NAME in the emperor's file",
    )
}

async fn headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(ONLY_OURS));
    response
}

async fn file(content_type: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, content_type)], text).into_response()
}

async fn events(State(scene): State<Arc<Scene>>, ConnectInfo(watcher): ConnectInfo<Watcher>) -> Response {
    match timeout(PATIENCE, scene.live.watch(&scene)).await {
        Ok(Some(answer)) => {
            watcher.stay();
            answer
        }
        Ok(None) => (StatusCode::SERVICE_UNAVAILABLE, full()).into_response(),
        Err(_) => stuck(),
    }
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
