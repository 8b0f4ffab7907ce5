//! The live page: a look each second for everybody who watches, as server-sent events.
//!
//! One task makes the looks, while anybody watches at all, and everybody is sent the same. Who reads slowly misses looks and holds
//! nothing: there is only ever the newest. Who does not read is put out (`visit.rs`).

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::response::{
    IntoResponse, Response,
    sse::{Event, Sse},
};
use futures::{Stream, StreamExt, stream};
use tokio::{
    sync::{Semaphore, watch},
    time::{MissedTickBehavior, interval},
};

use super::{
    routes::Scene,
    status::{ROWS, json},
};

/// Who may watch at once. The others of the room are for scrapes.
pub(super) const WATCHERS: usize = 32;
const EVERY: Duration = Duration::from_secs(1);

/// Where the looks come from.
#[derive(Debug)]
pub(super) struct Live {
    newest: watch::Sender<Arc<str>>,
    places: Arc<Semaphore>,
}

impl Live {
    pub(super) fn new() -> Self {
        Self { newest: watch::Sender::new("".into()), places: Arc::new(Semaphore::new(WATCHERS)) }
    }

    /// Makes looks until the loop has ended.
    pub(super) async fn look(&self, scene: &Scene) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if self.newest.receiver_count() > 0 {
                let Some((_, view)) = scene.snapshots.view().await else { return };
                self.newest.send_replace(json(&view, &scene.sights.recent, false).into());
            }
        }
    }

    /// The answer to one who wants to watch: everything at once, then each new look. None: there are too many.
    pub(super) async fn watch(&self, scene: &Scene) -> Option<Response> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let news = self.newest.subscribe();
        let (_, view) = scene.snapshots.view().await?;
        let whole = Event::default().event("whole").data(json(&view, &scene.sights.recent, true));
        let first = stream::once(async move { Ok::<_, Infallible>(whole) });
        Some(Sse::new(first.chain(looks(news, place))).into_response())
    }
}

fn looks(news: watch::Receiver<Arc<str>>, place: impl Send) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold((news, place), |(mut news, place)| async move {
        news.changed().await.ok()?;
        let look = Event::default().event("look").data(&**news.borrow_and_update());
        Some((Ok(look), (news, place)))
    })
}

/// What one who found no place is told.
pub(super) fn full() -> String {
    format!("{WATCHERS} watch already, or the daemon is ending; /metrics has all vassals, the page the first {ROWS}\n")
}
