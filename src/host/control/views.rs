//! The snapshot, cut down to what the asker may see; and one vassal with everything.

use std::{
    io,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Json,
    extract::{ConnectInfo, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use liege_core::{Detail, ROOT, Usage, Verdict, View};
use liege_sys::usage;
use serde::Deserialize;

use super::{
    House,
    asked::{Named, With},
    guest::Peer,
    routes::{is_ending, no, no_thread, rests},
    stream,
    walks::Unlooked,
};
use crate::workers::NoThread;

/// `?watch&usage`
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    watch: Option<String>,
    usage: Option<String>,
}

/// Whether a parameter is there and does not say no.
pub(super) fn is_set(parameter: Option<&String>) -> bool {
    parameter.is_some_and(|value| !matches!(value.as_str(), "0" | "false" | "no"))
}

pub(super) async fn all(State(house): State<House>, ConnectInfo(peer): ConnectInfo<Peer>, With(asked): With<Asked>) -> Response {
    let with_usage = is_set(asked.usage.as_ref());
    if is_set(asked.watch.as_ref()) {
        return stream::views(house, &peer, with_usage);
    }
    let Some(view) = seen(&house, peer.uid).await else { return is_ending() };
    match shown(&house, &view, peer.uid, with_usage).await {
        Ok(view) => Json(view).into_response(),
        Err(NoThread) => no_thread(),
    }
}

pub(super) async fn one(State(house): State<House>, ConnectInfo(peer): ConnectInfo<Peer>, Named(name): Named) -> Response {
    let Some(view) = seen(&house, peer.uid).await else { return is_ending() };
    let mut vassal = view.vassals.iter().find(|vassal| *vassal.name == *name).cloned();
    let unusable = view.unusable.iter().find(|(file, _)| **file == *name).map(|(_, mistake)| mistake.clone());
    let unread = view.unread.iter().any(|file| **file == *name);
    if vassal.is_none() && unusable.is_none() {
        return no(StatusCode::NOT_FOUND, Verdict::Unknown, "no vassal is called so");
    }
    let uid = peer.uid;
    let mut listens = Vec::new();
    if let Some((vassal, pid)) = vassal.as_mut().and_then(|vassal| vassal.pid.map(|pid| (vassal, pid))) {
        let found = match house.walks.one(uid, pid).await {
            Ok(found) => found,
            Err(Unlooked::NoThread) => return no_thread(),
            Err(Unlooked::Rests) => return rests(),
        };
        vassal.usage = found.usage.map(used);
        listens.clone_from(&found.listens);
    }
    let (deaths, deaths_unread) = match house.records.of(&name, uid).await {
        Ok(deaths) => (deaths, false),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return no_thread(),
        Err(_) => (Vec::new(), true),
    };
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    Json(Detail { now: view.now, at, vassal, unusable, listens, deaths, deaths_unread, unread }).into_response()
}

/// The snapshot as this user sees it, without what is used; None: the loop has ended.
pub(super) async fn seen(house: &House, uid: u32) -> Option<Arc<View>> {
    if uid == ROOT { house.looks.fresh(uid).await } else { house.looks.recent(uid).await }
}

/// The same, if asked for with what they use; without it, where the user has to rest.
///
/// # Errors
/// There is no thread to look that up.
pub(super) async fn shown(house: &House, seen: &View, uid: u32, usage: bool) -> Result<View, NoThread> {
    let mut view = seen.clone();
    if usage && view.vassals.iter().any(|vassal| vassal.pid.is_some()) {
        let pids = view.vassals.iter().filter_map(|vassal| vassal.pid).collect();
        let usage = match house.walks.all(uid, pids).await {
            Ok(usage) => usage,
            Err(Unlooked::NoThread) => return Err(NoThread),
            Err(Unlooked::Rests) => return Ok(view),
        };
        for vassal in &mut view.vassals {
            vassal.usage = vassal.pid.and_then(|pid| usage.get(&pid)).copied().map(used);
        }
    }
    Ok(view)
}

fn used(of: usage::Usage) -> Usage {
    let usage::Usage { processes, rss, cpu } = of;
    Usage { processes, rss, cpu }
}
