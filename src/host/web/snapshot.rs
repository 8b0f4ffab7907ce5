//! One snapshot for everybody who looks within half a second.
//!
//! A snapshot costs the loop a copy of all vassals. However many ask, and however fast, it is made at most twice a second, and so
//! is the text of the exposition.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::body::Bytes;
use liege_core::View;
use tokio::sync::Mutex;

use super::negotiate::Form;
use crate::{
    inbox::Post,
    metrics::{Book, exposition, text_format},
};

/// How old a snapshot may be.
const FRESH: Duration = Duration::from_millis(500);

/// The newest snapshot, and what was made of it.
#[derive(Debug)]
pub(super) struct Snapshots {
    post: Post,
    book: Arc<Book>,
    newest: Mutex<Option<Snapshot>>,
}

#[derive(Debug)]
struct Snapshot {
    asked: Instant,
    view: Arc<View>,
    open_metrics: Option<Bytes>,
    text: Option<Bytes>,
}

impl Snapshots {
    pub(super) fn new(post: Post, book: Arc<Book>) -> Self {
        Self { post, book, newest: Mutex::default() }
    }

    /// The snapshot, and when it was asked for; None: the loop has ended.
    pub(super) async fn view(&self) -> Option<(Instant, Arc<View>)> {
        let mut newest = self.newest.lock().await;
        self.refresh(&mut newest).await.map(|snapshot| (snapshot.asked, Arc::clone(&snapshot.view)))
    }

    /// The exposition in one of its forms; None: the loop has ended.
    pub(super) async fn exposition(&self, form: Form) -> Option<Bytes> {
        let mut newest = self.newest.lock().await;
        let Snapshot { view, open_metrics, text, .. } = self.refresh(&mut newest).await?;
        let open_metrics = open_metrics.get_or_insert_with(|| exposition(view, &self.book).into());
        Some(match form {
            Form::OpenMetrics => open_metrics.clone(),
            Form::Text => text.get_or_insert_with(|| text_format(&String::from_utf8_lossy(open_metrics)).into()).clone(),
        })
    }

    /// Who asks meanwhile waits at the lock, and finds the answer there.
    async fn refresh<'a>(&self, newest: &'a mut Option<Snapshot>) -> Option<&'a mut Snapshot> {
        if newest.as_ref().is_none_or(|snapshot| snapshot.asked.elapsed() > FRESH) {
            *newest = None;
            let asked = Instant::now();
            let view = Arc::new(self.post.view().await?);
            *newest = Some(Snapshot { asked, view, open_metrics: None, text: None });
        }
        newest.as_mut()
    }
}
