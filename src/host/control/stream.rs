//! What goes on for ever, as server-sent events: what happens, and snapshots.
//!
//! A stream is pulled by its reader: nothing is queued for it here. What a slow one has not read of the ring is lost to it, and
//! of snapshots it gets the newest. One that does not read at all is put out (`guest.rs`): happenings have ids, by which it goes on
//! from where it was.

use std::{convert::Infallible, time::Duration};

use axum::{
    Json,
    extract::{ConnectInfo, State},
    http::{HeaderMap, header::ACCEPT},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::{Stream, stream};
use liege_core::{Happening, VassalView};
use serde::Deserialize;
use tokio::time::{sleep, timeout};

use super::{House, asked::With, guest::Peer, routes::too_many, views};

/// Snapshots follow each other no faster.
const SNAPSHOTS_APART: Duration = Duration::from_millis(250);
/// What changes without a word (the time of a probe, what is used) is looked for so often.
const LOOK: Duration = Duration::from_secs(2);

/// Where a client was whose stream broke off.
const LAST_EVENT_ID: &str = "last-event-id";

/// `?vassal=NAME&n=100&follow`
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    vassal: Option<String>,
    n: Option<usize>,
    follow: Option<String>,
}

pub(super) async fn events(
    State(house): State<House>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    With(asked): With<Asked>,
    headers: HeaderMap,
) -> Response {
    let follow = views::is_set(asked.follow.as_ref()) || accepts_events(&headers);
    if let Some(id) = headers.get(LAST_EVENT_ID).filter(|_| follow) {
        let seen = id.to_str().ok().and_then(|id| house.events.number(id, peer.uid)).unwrap_or_default();
        return served(&peer, happenings(house, peer.uid, asked.vassal, Vec::new(), (seen, 0)));
    }
    let page = house.events.after(0, peer.uid, asked.vassal.as_deref());
    let mut past = page.happenings;
    past.drain(..past.len().saturating_sub(asked.n.unwrap_or(usize::MAX)));
    if !follow {
        return Json(past).into_response();
    }
    served(&peer, happenings(house, peer.uid, asked.vassal, past, (page.last, page.turn)))
}

/// Whether a client asks for server-sent events.
pub(super) fn accepts_events(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).is_some_and(|accept| accept.contains("text/event-stream"))
}

/// The snapshots, the first one at once.
pub(super) fn views(house: House, peer: &Peer, usage: bool) -> Response {
    served(peer, snapshots(house, peer.uid, usage))
}

fn served(peer: &Peer, events: impl Stream<Item = Event> + Send + 'static) -> Response {
    if !peer.stay() {
        return too_many();
    }
    let events = futures::StreamExt::map(events, Ok::<_, Infallible>);
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}

/// The past, then what happens.
fn happenings(
    house: House,
    uid: u32,
    vassal: Option<String>,
    past: Vec<Happening>,
    (last, turn): (u64, u64),
) -> impl Stream<Item = Event> + Send {
    let heard = house.events.listen();
    let past: Vec<Event> = past.iter().map(|past| happening(&house, past)).collect();
    let state = (house, heard, past.into_iter(), last, turn);
    stream::unfold(state, move |(house, mut heard, mut waiting, mut last, mut turn)| {
        let vassal = vassal.clone();
        async move {
            loop {
                if let Some(event) = waiting.next() {
                    return Some((event, (house, heard, waiting, last, turn)));
                }
                heard.wait_for(|newest| *newest > turn).await.ok()?;
                let page = house.events.after(last, uid, vassal.as_deref());
                let before = house.events.id(last + page.missed);
                let missed = Event::default().event("missed").id(before).data(page.missed.to_string());
                let missed = (page.missed > 0).then_some(missed);
                let happenings = page.happenings.iter().map(|told| happening(&house, told));
                waiting = missed.into_iter().chain(happenings).collect::<Vec<_>>().into_iter();
                (last, turn) = (page.last, page.turn);
            }
        }
    })
}

fn happening(house: &House, told: &Happening) -> Event {
    let text = serde_json::to_string(told).unwrap_or_default();
    Event::default().event("happening").id(house.events.id(told.id)).data(text)
}

fn snapshots(house: House, uid: u32, usage: bool) -> impl Stream<Item = Event> + Send {
    let heard = house.events.listen();
    stream::unfold((house, heard, None::<Vec<VassalView>>), move |(house, mut heard, mut sent)| async move {
        loop {
            if sent.is_some() {
                match timeout(LOOK, heard.changed()).await {
                    Ok(Err(_)) => return None,
                    Ok(Ok(())) => sleep(SNAPSHOTS_APART).await, // more may follow
                    Err(_) => {}
                }
            }
            heard.mark_unchanged();
            // What woke it is to be seen.
            let view = house.looks.fresh().await?;
            let Ok(view) = views::shown(&house, &view, uid, usage).await else {
                sleep(LOOK).await; // without a thread this one is left out
                continue;
            };
            if sent.as_ref() != Some(&view.vassals) {
                let event = Event::default().event("vassals").data(serde_json::to_string(&view).unwrap_or_default());
                sent = Some(view.vassals);
                return Some((event, (house, heard, sent)));
            }
        }
    })
}
