//! What looks have found, told to the core, and the names it is told under.

use std::{path::Path, sync::Arc};

use liege_core::{Event, Name};
use liege_spec::Diagnostic;
use tokio::time::Instant;

use super::{
    super::{
        Home,
        complaints::Complaint,
        file::{Good, News},
        look::Look,
        naming::Verdict,
        renamed::Asked,
    },
    Monitor,
};

impl Monitor {
    /// A look is done: the core is told what is new.
    pub(super) async fn finish(&mut self, path: &Path, look: Look) {
        let news = self.table.finish(Instant::now(), path, look);
        let Verdict::Vassal(vassal) = self.naming.judge(path) else { return };
        let event = match news {
            News::None => return,
            News::Gone => {
                self.complaints.forget(Complaint::NameTaken, path);
                self.renamed.take(path);
                if let Some(event) = self.disks.forget(path) {
                    self.shared.post.event(event).await;
                }
                if self.told.remove(&vassal) {
                    self.shared.names.release(&vassal);
                    self.shared.post.event(Event::Vanished { vassal }).await;
                }
                return;
            }
            News::Good(Good { config, warnings, touched }) => {
                if touched {
                    warn(&vassal, &warnings); // else they were said before
                }
                let (directory, file) = (self.place.directory.clone(), self.table.id(path));
                Event::Config { vassal: vassal.clone(), config, directory, touched, file }
            }
            // No reading: what was known of it stays so.
            News::Lacking(why) => {
                if self.told.contains(&vassal) || self.claim(&vassal, path) {
                    self.shared.post.event(Event::Unread { vassal, why }).await;
                }
                return;
            }
            News::Bad(diagnostics) => Event::BadConfig { vassal: vassal.clone(), diagnostics },
        };
        let Some(event) = self.renamed.newest(path, event) else { return };
        if let Some(file) = self.table.id(path) {
            let others = self.shared.names.of_file(&vassal, &file);
            if !others.is_empty() {
                let (names, awaited) = (Arc::clone(&self.shared.names), Arc::clone(&self.first_scan.looks));
                let asked = Asked { file, others, names, answers: self.answers.0.clone(), awaited };
                return self.renamed.wait(path, event, asked);
            }
        }
        self.tell(&vassal, path, event).await;
    }

    /// News that need not wait.
    pub(super) async fn tell(&mut self, vassal: &Name, path: &Path, event: Event) {
        if self.told.contains(vassal) || self.claim(vassal, path) {
            self.shared.names.was_read(vassal, self.table.id(path));
            self.shared.post.event(event).await;
        }
    }

    pub(super) fn claim(&mut self, vassal: &Name, path: &Path) -> bool {
        if self.shared.names.claim(vassal, Home::new(path, &self.again.0)) {
            self.told.insert(vassal.clone());
            return true;
        }
        if self.complaints.is_new(Complaint::NameTaken, path) {
            tracing::warn!(target: "emperor", vassal = &**vassal, monitor = %self.place, "another monitor has this file already");
        }
        false
    }
}

fn warn(vassal: &Name, warnings: &[Diagnostic]) {
    for warning in warnings {
        tracing::warn!(target: "vassal", vassal = &**vassal, "{warning}");
    }
}
