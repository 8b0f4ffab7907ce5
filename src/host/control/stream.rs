//! What goes on for ever, as server-sent events: what happens, and snapshots. And what happened lately, as a list.
//!
//! All that is kept for one reader may be 16 MB. A list and a stream are read from the ring page by page as the client takes them, so that no request
//! holds more than a page and what the server has not sent yet of the pages before.
//!
//! A stream is pulled by its reader: nothing is queued for it here. What a slow one has not read of the ring is lost to it, and
//! of snapshots it gets the newest. One that does not read at all is put out (`guest.rs`): happenings have ids, by which it goes on
//! from where it was.

use std::{
    convert::Infallible,
    iter::once,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    body::Body,
    extract::{ConnectInfo, State},
    http::{
        HeaderMap,
        header::{ACCEPT, CONTENT_TYPE},
    },
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::{Stream, stream};
use liege_core::{Happening, Level, VassalView};
use serde::Deserialize;
use tokio::time::{sleep, timeout};

use super::{House, asked::With, guest::Peer, routes::too_many, views};
use crate::events::{Events, Place};

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
        return served(&peer, happenings(house, peer.uid, asked.vassal, Place { seen, turn: 0 }));
    }
    let (first, end) = house.events.last(asked.n.unwrap_or(usize::MAX), peer.uid, asked.vassal.as_deref());
    if follow {
        return served(&peer, happenings(house, peer.uid, asked.vassal, first));
    }
    let mut past =
        Past { events: house.events.clone(), by: peer.uid, vassal: asked.vassal, place: first, end, written: Written::Nothing };
    let first = past.next().unwrap_or_default();
    let body = match past.written {
        Written::All => Body::from(first), // its length is known
        Written::Nothing | Written::Some => {
            peer.read_on();
            Body::from_stream(stream::iter(once(first).chain(past).map(Ok::<_, Infallible>)))
        }
    };
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

/// The past as the text of one JSON array, a piece for each page. A reader so slow that some of it is lost meanwhile finds an entry
/// of the kind `missed` in their place.
struct Past {
    events: Events,
    by: u32,
    vassal: Option<String>,
    place: Place,
    end: Place,
    written: Written,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    Nothing,
    /// The bracket, and entries behind it.
    Some,
    All,
}

impl Iterator for Past {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        if self.written == Written::All {
            return None;
        }
        let page = self.events.after(self.place, self.by, self.vassal.as_deref());
        // What happened since it was asked for does not belong to it.
        let lost = page.missed.min(self.end.seen.saturating_sub(self.place.seen));
        let lost = (lost > 0).then(|| missed(self.place.seen + lost, lost));
        let told = page.happenings.into_iter().filter(|told| told.id <= self.end.seen);
        let mut piece = String::new();
        for told in lost.into_iter().chain(told) {
            piece.push(if self.written == Written::Nothing { '[' } else { ',' });
            piece.push_str(&serde_json::to_string(&told).unwrap_or_default());
            self.written = Written::Some;
        }
        self.place = page.next;
        if self.place.turn >= self.end.turn {
            piece.push_str(if self.written == Written::Nothing { "[]" } else { "]" });
            self.written = Written::All;
        }
        Some(piece)
    }
}

/// An entry that stands for so many that were lost, the last of them with this number.
fn missed(id: u64, count: u64) -> Happening {
    Happening {
        id,
        at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
        level: Level::Warn,
        kind: "missed".to_owned(),
        vassal: None,
        text: format!("{count} events were lost: they were read too slowly"),
        cause: None,
    }
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

/// What happened after a place, then what happens.
fn happenings(house: House, uid: u32, vassal: Option<String>, place: Place) -> impl Stream<Item = Event> + Send {
    let heard = house.events.listen();
    let state = (house, heard, Vec::new().into_iter(), place);
    stream::unfold(state, move |(house, mut heard, mut waiting, mut place)| {
        let vassal = vassal.clone();
        async move {
            loop {
                if let Some(event) = waiting.next() {
                    return Some((event, (house, heard, waiting, place)));
                }
                heard.wait_for(|newest| *newest > place.turn).await.ok()?;
                let page = house.events.after(place, uid, vassal.as_deref());
                let before = house.events.id(place.seen + page.missed);
                let missed = Event::default().event("missed").id(before).data(page.missed.to_string());
                let missed = (page.missed > 0).then_some(missed);
                let happenings = page.happenings.iter().map(|told| happening(&house, told));
                waiting = missed.into_iter().chain(happenings).collect::<Vec<_>>().into_iter();
                place = page.next;
            }
        }
    })
}

fn happening(house: &House, told: &Happening) -> Event {
    let text = serde_json::to_string(told).unwrap_or_default();
    Event::default().event("happening").id(house.events.id(told.id)).data(text)
}

pub(super) fn snapshots(house: House, uid: u32, usage: bool) -> impl Stream<Item = Event> + Send {
    let heard = house.events.listen();
    stream::unfold((house, heard, None::<Vec<VassalView>>, 0), move |(house, mut heard, mut sent, mut changes)| async move {
        loop {
            if sent.is_some() {
                // What happens to others is not to be seen, not by when a snapshot comes either.
                let own = heard.wait_for(|_| house.events.changes(uid) > changes);
                match timeout(LOOK, own).await.map(|heard| heard.is_ok()) {
                    Ok(false) => return None,
                    Ok(true) => sleep(SNAPSHOTS_APART).await, // more may follow
                    Err(_) => {}
                }
            }
            changes = house.events.changes(uid);
            // What woke it is to be seen.
            let view = house.looks.fresh(uid).await?;
            let Ok(view) = views::shown(&house, &view, uid, usage).await else {
                sleep(LOOK).await; // without a thread this one is left out
                continue;
            };
            if sent.as_ref() != Some(&view.vassals) {
                let event = Event::default().event("vassals").data(serde_json::to_string(&view).unwrap_or_default());
                sent = Some(view.vassals);
                return Some((event, (house, heard, sent, changes)));
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use liege_core::{Note, ROOT};

    use super::*;

    fn past(events: &Events, count: usize) -> Past {
        let (place, end) = events.last(count, ROOT, None);
        Past { events: events.clone(), by: ROOT, vassal: None, place, end, written: Written::Nothing }
    }

    fn ids(text: &str) -> Vec<(u64, String)> {
        let told: Vec<Happening> = serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"));
        told.into_iter().map(|told| (told.id, told.kind)).collect()
    }

    #[test]
    fn a_list_is_one_array_in_pieces_and_says_what_was_lost_meanwhile() {
        let events = Events::new();
        let hear = || events.hear(&Note::Gone { vassal: "x".repeat(1000).as_str().into() }, |_| Some(None));
        let gone = |numbers: std::ops::RangeInclusive<u64>| numbers.map(|id| (id, "gone".to_owned())).collect::<Vec<_>>();
        assert_eq!(past(&events, 9).collect::<String>(), "[]");
        (0..100).for_each(|_| hear());
        assert_eq!(ids(&past(&events, 0).collect::<String>()), []);
        let pieces: Vec<String> = past(&events, usize::MAX).collect();
        assert!(pieces.len() > 4 && pieces.iter().all(|piece| piece.len() < 64 << 10), "{}", pieces.len());
        assert_eq!(ids(&pieces.concat()), gone(1..=100));
        assert_eq!(ids(&past(&events, 2).collect::<String>()), gone(99..=100));

        // What happens while it is read is not told; what that pushes out of the ring is.
        let mut slow = past(&events, usize::MAX);
        let first = slow.next().unwrap();
        let read = ids(&format!("{first}]")).len() as u64;
        (0..4096 - 50).for_each(|_| hear());
        let mut told = gone(1..=read);
        told.push((50, "missed".to_owned()));
        told.extend(gone(51..=100));
        assert!(read < 50);
        let rest: String = slow.collect();
        assert!(rest.contains(&format!("{} events were lost", 50 - read)), "{rest}");
        assert_eq!(ids(&(first + &rest)), told);

        let mut slower = past(&events, 1);
        (0..5000).for_each(|_| hear());
        assert_eq!(ids(&slower.next().unwrap()), [(4146, "missed".to_owned())]);
        assert_eq!(slower.next(), None);
    }
}
