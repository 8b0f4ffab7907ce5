//! Health lines: every `emperor-health-log` seconds the samples of the metrics, one log line each, under the target `health`.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::{inbox::Post, metrics::health, workers::QUESTIONS};

/// Starts the task. It ends with the loop.
pub(crate) fn start(every: Duration, post: Post) {
    tokio::spawn(async move {
        let mut ticks = interval(every.max(Duration::from_millis(10)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await; // the first one is at once, when there is nothing to say
        loop {
            ticks.tick().await;
            let Some(view) = post.view().await else { return };
            // On a thread of its own: ten thousand vassals are forty thousand lines.
            let told = QUESTIONS.run(move || health(view).for_each(|sample| tracing::info!(target: "health", "{sample}")));
            told.await.ok(); // without a thread this report is left out
        }
    });
}
