//! Which file the vassal has, and which one its life was begun with.

use super::{Phase, Vassal};
use crate::{FileId, Name};

impl Vassal {
    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    /// The file its life was begun with, where that ends and the next one, if any, is of another file.
    pub(crate) fn file_given_up(&self) -> Option<FileId> {
        let ran = self.ran.filter(|_| self.life.is_some())?;
        let ends = match self.phase {
            Phase::Stopping | Phase::Killing => true,
            // It ends when the clone lives.
            Phase::Spawning => self.wish.is_none(),
            Phase::Waiting | Phase::Preparing | Phase::Running | Phase::Reloading | Phase::Suspended | Phase::Gone => false,
        };
        (ends && !self.keeps(&ran)).then_some(ran)
    }

    /// The file its next life begins with, where the last one was of another or there was none.
    pub(crate) fn file_wanted_anew(&self) -> Option<FileId> {
        self.file.filter(|file| !self.ran.is_some_and(|ran| ran.is_same(file)))
    }

    /// Whether this is its file, and it stays.
    pub(crate) fn keeps(&self, file: &FileId) -> bool {
        self.wish.is_some() && self.file.is_some_and(|own| own.is_same(file))
    }

    /// Whether a birth comes next, or is under way.
    pub(crate) fn will_be_born(&self) -> bool {
        match self.phase {
            Phase::Waiting | Phase::Spawning | Phase::Stopping | Phase::Killing => true,
            Phase::Suspended | Phase::Preparing | Phase::Running | Phase::Reloading | Phase::Gone => false,
        }
    }

    /// It has this file from now on. `same`: with the same configuration as the one before, so its life is as good as begun with it.
    pub(super) fn has_file(&mut self, file: Option<FileId>, same: bool) {
        if same && self.ran.is_some() && self.ran == self.file {
            self.ran = file;
        }
        self.file = file;
    }
}
