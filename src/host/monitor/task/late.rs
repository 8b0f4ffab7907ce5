//! Looks that are late: what their names tell meanwhile, and what becomes of those that were given up.

use std::{path::Path, sync::Arc};

use liege_core::Event;
use tokio::time::Instant;

use super::{
    super::{READING_LASTS, errands::AtName, file::Sign, look::Look, naming::Verdict, progress::Progress, trail::Led},
    Monitor,
};

impl Monitor {
    /// A look has lasted long. A file of which nothing is known yet is told all the same.
    pub(super) async fn late(&mut self, path: &Path, number: u64, progress: &Arc<Progress>) {
        if !self.table.late(path, number, progress.entry()) {
            return;
        }
        if let Verdict::Vassal(vassal) = self.naming.judge(path)
            && (self.told.contains(&vassal) || self.claim(&vassal, path))
        {
            self.shared.names.reads(&vassal, progress);
            let (at, lasts) = progress.at.get().unwrap_or_else(|| (path.to_owned(), READING_LASTS));
            let what = at.display().to_string();
            self.shared.post.event(Event::Unanswered { vassal, what, lasts }).await;
        }
    }

    /// The name of a file whose look is late was looked at.
    pub(super) async fn at_name(&mut self, path: &Arc<Path>, found: AtName) {
        match found {
            AtName::There(entry) => self.table.there(Instant::now(), path, entry),
            AtName::Unclear => self.table.unclear(path),
            AtName::Gone(directory) => match self.doubted(path, Look::Missing, directory) {
                Look::Missing if self.table.lost(path) => {
                    self.finish(path, Look::Missing).await;
                    self.answer(path);
                }
                _ => self.table.unclear(path),
            },
        }
    }

    /// A look that was given up has come back. It may have changed what is watched for its file.
    pub(super) fn came_back(&mut self, path: &Arc<Path>, number: u64, led: Led) {
        self.looks -= 1;
        self.table.came_back(Instant::now(), path, number);
        self.led(path, led);
        // Another look has yet to settle what is watched; this one must not make it worthless.
        if self.table.is_looked_at(path) {
            return;
        }
        if self.table.knows(path) {
            self.table.sign(Instant::now(), path, Sign::Attributes);
        } else {
            self.follow.forget(path);
        }
    }
}
