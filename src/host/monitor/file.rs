//! One vassal file as its monitor sees it, told the time and what happened; answers when it wants to be looked at.
//!
//! | state | how it gets there | what follows |
//! |---|---|---|
//! | at rest | a look is done | the next sign or scan |
//! | being written | CREATE, MODIFY without a CLOSE_WRITE yet | a look at CLOSE_WRITE, at the latest [`LONGEST_WRITE`] later |
//! | written | a look finds a process that has it open for writing | a look at CLOSE_WRITE, and each [`SILENT_WRITE`]; after [`LONGEST_OPEN`] it is read all the same |
//! | fresh | modified just now, under a name that no signs come for (a link's target) | a look [`FRESH`] later, until it is not |
//! | leaving | DELETE, MOVED_FROM | a look after a grace: editors move the old file away before the new one is there |
//! | in reading | its time has come | one look in flight, never two; signs meanwhile make its answer worthless |
//! | late | a look in flight has lasted [`super::READING_LASTS`] | signs and scans have its name looked at, which needs no reading |
//!
//! What a look at the name of a late file finds: it is gone (told, and the late look is given up); it is another one, or there were
//! signs since the late look began (that look is given up, and another one begins, as often as the table lets it); nothing new (the
//! late look is waited for). The answer of a look that was given up is thrown away by the table, which knows looks by their numbers.
//!
//! Race: a look may read what is half written while the sign of it still waits in inotify's queue. The writer's sign is there
//! before the bytes are, so the task takes all waiting signs before it takes an answer, and an answer older than the last sign
//! is thrown away (not for ever: a file that is never quiet is believed after [`NEVER_QUIET`]).

use std::{sync::Arc, time::Duration};

use liege_core::FileId;
use liege_spec::{Code, Diagnostic, VassalConfig};
use tokio::time::Instant;

use super::{
    look::{Known, Look, Question},
    stamp::{FRESH, Stamp},
};

/// A writer that is silent for this long is believed to be done, closed or not.
const SILENT_WRITE: Duration = Duration::from_secs(1);
/// A file that is written without end is looked at all the same.
const LONGEST_WRITE: Duration = Duration::from_secs(2);
/// So long a file that a process has open for writing is waited for, where the kernel tells.
const LONGEST_OPEN: Duration = Duration::from_secs(30);
/// After CREATE: a link is there at once, a file gets its CLOSE_WRITE.
const NEW: Duration = Duration::from_millis(5);
/// `perl -i` and the like delete, then make the new file: two system calls apart.
const DELETED: Duration = Duration::from_millis(2);
/// A scan that does not find it may have come between the two.
const NOT_FOUND: Duration = Duration::from_millis(20);
/// Editors move the old file away, then write the new one.
const MOVED_AWAY: Duration = Duration::from_millis(100);
/// Who removes a link's target may put another one there, or remove the link as well.
const LEFT_OVER: Duration = Duration::from_secs(1);
/// Answers are thrown away for so long, then a file that is never quiet is believed.
const NEVER_QUIET: Duration = Duration::from_secs(3);
/// So many looks may follow each other at once; a file that is replaced again and again is looked at ever more rarely.
const QUICK_LOOKS: u32 = 6;
const FIRST_APART: Duration = Duration::from_millis(10);
const MOST_APART: Duration = Duration::from_millis(640);
/// Looks that are further apart than this do not follow each other.
const FOLLOW: Duration = Duration::from_secs(1);
/// What is lacking to read a file is tried for again.
const LACKING: Duration = Duration::from_secs(2);
/// A file with mistakes is read again at rescans, at most this many apart.
const MOST_SCANS_APART: u32 = 16;

/// What inotify says about one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// CREATE
    Created,
    /// MODIFY
    Modified,
    /// CLOSE_WRITE, MOVED_TO: complete.
    Complete,
    /// ATTRIB: perhaps touched.
    Attributes,
    /// DELETE
    Deleted,
    /// MOVED_FROM
    MovedAway,
}

/// What a full scan says about one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A file.
    File(Stamp),
    /// A link, or something else that was not asked for its stamp: only a look can.
    Something,
    /// It is not there.
    Nothing,
}

/// One file.
#[derive(Debug, Default)]
pub(super) struct File {
    /// The last reading.
    known: Option<Known>,
    /// The last reading that could be used: what was told.
    good: Option<Known>,
    /// Its last reading could not be used.
    bad: Option<Bad>,
    /// What was lacking at its last reading.
    lacking: Option<String>,
    /// Its first look was late, and that was told.
    hung_first: bool,
    /// Why the last look could not read it, where that says nothing about its content.
    unread: Option<String>,
    /// It is to be read again although nothing happened to it.
    again: bool,
    /// When it wants to be looked at.
    due: Option<Instant>,
    /// Since when somebody writes to it, as far as we know.
    open_since: Option<Instant>,
    /// The last sign said that a writer is done.
    complete: bool,
    /// The last sign said that the name was unlinked, or moved away.
    unlinked: bool,
    /// Since when it is waited for because a process has it open for writing.
    written_since: Option<Instant>,
    /// Since when it is waited for because it is fresh.
    fresh_since: Option<Instant>,
    /// How many signs there were.
    signs: u64,
    in_flight: Option<Flight>,
    /// The number of signs when the look at its name began, if one is under way.
    naming: Option<u64>,
    /// Since when all answers came too late.
    late_since: Option<Instant>,
    /// The next look is a rescan's: mistakes are not read again where nothing has changed.
    glance: bool,
    /// How many looks followed each other, and when the last one began.
    looks: u32,
    looked: Option<Instant>,
}

/// A look under way.
#[derive(Debug)]
struct Flight {
    number: u64,
    /// How many signs there were when it began.
    signs: u64,
    late: Option<Late>,
}

/// A look that is late.
#[derive(Debug)]
struct Late {
    /// The name as it stood when the look began; None: not even that is known.
    entry: Option<Stamp>,
}

/// What begins when a file is due.
#[derive(Debug)]
pub(super) enum Begun {
    Look(Question),
    /// Only its name is looked at, because a look is late.
    Name,
}

#[derive(Debug)]
struct Bad {
    diagnostics: Vec<Diagnostic>,
    /// Rescans until it is read again, and the number after that.
    scans_left: u32,
    scans_apart: u32,
    /// The look in flight is only such a second try: the same mistakes are not told again.
    quietly: bool,
}

impl Bad {
    /// At a rescan: whether its turn to be read again has come.
    fn wants_another_try(&mut self, changed: bool) -> bool {
        self.quietly = !changed;
        self.scans_left -= 1;
        if self.scans_left > 0 {
            return false;
        }
        self.scans_apart = (self.scans_apart * 2).min(MOST_SCANS_APART);
        self.scans_left = self.scans_apart;
        true
    }
}

/// What the core is to be told.
#[derive(Debug)]
pub(super) enum News {
    /// A good configuration.
    Good(Good),
    /// Mistakes.
    Bad(Vec<Diagnostic>),
    /// It could not be read because this is lacking.
    Lacking(String),
    /// It is gone.
    Gone,
    /// Nothing.
    None,
}

/// What could be used of a reading.
#[derive(Debug)]
pub(super) struct Good {
    pub(super) config: Arc<VassalConfig>,
    pub(super) warnings: Vec<Diagnostic>,
    /// Somebody wrote or touched the file since the last good reading. That it could not be read for a moment is no touch.
    pub(super) touched: bool,
}

impl File {
    /// When it wants to be looked at; None while a look is in flight that is not late.
    pub(super) fn due(&self) -> Option<Instant> {
        let may = self.in_flight.as_ref().is_none_or(|flight| flight.late.is_some() && self.naming.is_none());
        let due = self.due.filter(|_| may)?;
        Some(self.not_before().map_or(due, |earliest| due.max(earliest)))
    }

    fn not_before(&self) -> Option<Instant> {
        let more = self.looks.checked_sub(QUICK_LOOKS)?;
        Some(self.looked? + FIRST_APART.saturating_mul(1 << more.min(10)).min(MOST_APART))
    }

    /// It is not missing because its directory is: a sign said so.
    pub(super) fn is_unlinked(&self) -> bool {
        self.unlinked
    }

    /// Which file its last reading was of.
    pub(super) fn id(&self) -> Option<FileId> {
        self.known.map(|known| known.file)
    }

    /// Somebody was told of it.
    pub(super) fn was_told(&self) -> bool {
        self.good.is_some() || self.bad.is_some() || self.lacking.is_some() || self.hung_first
    }

    /// It was looked at again and again just now, so the next look waits.
    pub(super) fn is_held(&self) -> bool {
        self.looks >= QUICK_LOOKS
    }

    /// What was asked of it is answered: nothing is awaited, or only that it can be read again.
    pub(super) fn is_settled(&self) -> bool {
        self.in_flight.is_none() && (self.due.is_none() || self.unread.is_some())
    }

    /// Why the last look could not read it, where that says nothing about its content.
    pub(super) fn why_unread(&self) -> Option<&str> {
        self.unread.as_deref()
    }

    /// inotify said something about it.
    pub(super) fn sign(&mut self, now: Instant, sign: Sign) {
        self.signs += 1;
        self.glance = false;
        self.unlinked = match sign {
            Sign::Deleted | Sign::MovedAway => true,
            Sign::Created | Sign::Modified | Sign::Complete => false,
            Sign::Attributes => self.unlinked,
        };
        if let Some(bad) = &mut self.bad {
            bad.quietly = false; // somebody did something: he gets an answer, be it the same
        }
        match sign {
            Sign::Created => {
                self.complete = false;
                self.open_since = Some(now);
                self.due = Some(now + NEW);
            }
            Sign::Modified => {
                self.complete = false;
                let since = *self.open_since.get_or_insert(now);
                self.due = Some((now + SILENT_WRITE).min(since + LONGEST_WRITE));
            }
            Sign::Complete => {
                self.complete = true;
                self.open_since = None;
                self.due = Some(now);
            }
            // While it is written the write decides, and an unlink shows as a change of attributes (the link count) first.
            Sign::Attributes => self.due = Some(self.due.unwrap_or(now)),
            Sign::Deleted => self.leaves(now + DELETED),
            Sign::MovedAway => self.leaves(now + MOVED_AWAY),
        }
    }

    /// It is to be read again, whatever is known of it; a look in flight may be older than the reason.
    pub(super) fn read_again(&mut self, now: Instant) {
        self.signs += 1;
        self.again = true;
        self.unread = None;
        self.due.get_or_insert(now);
        if let Some(bad) = &mut self.bad {
            bad.quietly = true;
        }
    }

    /// What was signed was said of another directory's file. Its due time stays.
    pub(super) fn distrust(&mut self) {
        self.signs += 1;
        self.complete = false;
    }

    fn leaves(&mut self, at: Instant) {
        self.open_since = None;
        self.due = Some(at);
    }

    /// A full scan is done.
    pub(super) fn scanned(&mut self, now: Instant, found: Found) {
        if let Some(flight) = &self.in_flight {
            // The name of one that hangs, if there may be something new about it.
            let is_same = |late: &Late| matches!(found, Found::File(stamp) if late.entry == Some(stamp));
            if flight.late.as_ref().is_some_and(|late| !is_same(late)) {
                let at = if found == Found::Nothing { now + NOT_FOUND } else { now };
                self.due.get_or_insert(at);
            }
            return;
        }
        if self.due.is_some() {
            return; // a look is coming anyway, at the right time
        }
        let changed = match found {
            Found::File(stamp) => self.known.is_some_and(|known| known.stamp != stamp),
            Found::Something => {
                let is_turn = self.bad.as_mut().is_some_and(|bad| bad.wants_another_try(false));
                self.glance = !is_turn;
                self.due = Some(now);
                return;
            }
            Found::Nothing => {
                self.due = Some(now + NOT_FOUND);
                return;
            }
        };
        let suspect = self.known.is_some_and(|known| known.racy);
        let wanted = match &mut self.bad {
            Some(bad) => bad.wants_another_try(changed),
            None => self.known.is_none(),
        };
        if changed || suspect || wanted {
            self.due = Some(now);
        }
    }

    /// Begins a look, under this number.
    pub(super) fn begin(&mut self, now: Instant, number: u64) -> Begun {
        self.due = None;
        let follows = self.looked.is_some_and(|last| now < last + FOLLOW);
        self.looks = if follows { self.looks + 1 } else { 0 };
        self.looked = Some(now);
        if self.in_flight.is_some() {
            self.naming = Some(self.signs);
            return Begun::Name;
        }
        self.in_flight = Some(Flight { number, signs: self.signs, late: None });
        let glance = std::mem::take(&mut self.glance);
        let young = self.open_since.is_some_and(|since| now < since + SILENT_WRITE);
        let patient = self.fresh_since.is_none_or(|since| now < since + LONGEST_WRITE);
        Begun::Look(Question {
            known: self.known,
            again: self.again || (self.bad.is_some() && !glance),
            young,
            complete: self.complete,
            patient,
            waits_for_writer: self.written_since.is_none_or(|since| now < since + LONGEST_OPEN),
            was_users: self.good.is_some_and(|good| good.is_users),
        })
    }

    /// Whether the look in flight is this one.
    pub(super) fn awaits(&self, number: u64) -> bool {
        self.in_flight.as_ref().is_some_and(|flight| flight.number == number)
    }

    pub(super) fn is_looked_at(&self) -> bool {
        self.in_flight.is_some()
    }

    /// The look in flight is late; its name was this when it began. Whether that is the first to be told of it.
    pub(super) fn late(&mut self, entry: Option<Stamp>) -> bool {
        if let Some(flight) = &mut self.in_flight {
            flight.late = Some(Late { entry });
        }
        let is_news = !self.was_told();
        self.hung_first |= is_news;
        is_news
    }

    /// A look at its name has found that it is there. The look in flight that is given up for another one, if it may be.
    pub(super) fn there(&mut self, now: Instant, entry: Stamp, may: bool) -> Option<u64> {
        let naming = self.naming.take()?;
        let flight = self.in_flight.take_if(|flight| {
            let is_other = flight.late.as_ref().is_some_and(|late| late.entry.is_some_and(|before| before != entry));
            may && (is_other || naming != flight.signs)
        })?;
        self.due.get_or_insert(now);
        Some(flight.number)
    }

    /// A look at its name was worth nothing.
    pub(super) fn unclear(&mut self) {
        self.naming = None;
    }

    /// A look at its name has found that it is gone. The look in flight that is given up for it.
    pub(super) fn lost(&mut self) -> Option<u64> {
        let naming = self.naming.take()?;
        let flight = self.in_flight.as_mut()?;
        // [`Self::finish`] comes next, and takes it for the look that has found it.
        flight.signs = naming;
        Some(flight.number)
    }

    /// A look that was given up has come back: another one may begin, if that is what this file waits for.
    pub(super) fn may_try_again(&mut self, now: Instant) {
        if self.in_flight.as_ref().is_some_and(|flight| flight.late.is_some() && flight.signs != self.signs) {
            self.due.get_or_insert(now);
        }
    }

    /// A look is done.
    pub(super) fn finish(&mut self, now: Instant, look: Look) -> News {
        self.unread = None;
        let stale = self.in_flight.take().is_none_or(|flight| flight.signs != self.signs);
        if stale && now < *self.late_since.get_or_insert(now) + NEVER_QUIET {
            self.due.get_or_insert(now);
            return News::None;
        }
        self.late_since = None;
        match look {
            Look::NoFile(diagnostic) if self.good.is_none() => {
                self.known = None;
                self.spoiled(vec![diagnostic])
            }
            // Whose target is removed is removed; a link that is left is told when it has stood for a while.
            Look::NoFile(_) => {
                self.forget();
                self.due.get_or_insert(now + LEFT_OVER);
                News::Gone
            }
            Look::Missing => {
                self.forget();
                News::Gone
            }
            Look::Kept(why) => {
                self.rest();
                self.unread = Some(why);
                News::None
            }
            Look::Unfinished => {
                let since = *self.open_since.get_or_insert(now);
                self.due.get_or_insert((since + SILENT_WRITE).max(now + NEW));
                News::None
            }
            Look::Written => {
                self.written_since.get_or_insert(now);
                self.due.get_or_insert(now + SILENT_WRITE);
                self.unread = Some("a process has it open for writing and may not be done".into());
                News::None
            }
            Look::Fresh => {
                self.fresh_since.get_or_insert(now);
                self.due.get_or_insert(now + FRESH);
                News::None
            }
            Look::Same(known) => {
                self.settle(known);
                News::None
            }
            Look::Unreadable(diagnostic) if diagnostic.code == Code::Lacking => self.lacks(now, &diagnostic),
            Look::Unreadable(diagnostic) => self.spoiled(vec![diagnostic]),
            Look::Read(known, reading) => {
                if let Some(lacking) = reading.diagnostics.iter().find(|found| found.code == Code::Lacking) {
                    return self.lacks(now, lacking);
                }
                self.settle(known);
                match reading.value {
                    Some(config) => {
                        (self.bad, self.lacking) = (None, None);
                        let touched = self.good.replace(known).is_none_or(|good| known.touched_since(&good));
                        News::Good(Good { config, warnings: reading.diagnostics, touched })
                    }
                    None => self.spoiled(reading.diagnostics),
                }
            }
        }
    }

    /// It is gone. What was signed since is about another file of its name, which is yet to be looked at.
    fn forget(&mut self) {
        let Self { due, open_since, complete, signs, looks, looked, .. } = *self;
        *self = Self { due, open_since, complete, signs, looks, looked, ..Self::default() };
    }

    fn settle(&mut self, known: Known) {
        self.known = Some(known);
        self.rest();
    }

    /// Whatever is found next is another story.
    fn rest(&mut self) {
        self.again = false;
        self.unlinked = false;
        self.open_since = None;
        self.written_since = None;
        self.fresh_since = None;
        self.complete = false;
    }

    /// It may be right, and what is lacking may be there soon.
    fn lacks(&mut self, now: Instant, what: &Diagnostic) -> News {
        self.rest();
        self.again = true;
        self.due.get_or_insert(now + LACKING);
        let what = format!("{}: {}", what.file, what.message);
        let is_news = self.lacking.as_ref() != Some(&what);
        (self.lacking, self.unread) = (Some(what.clone()), Some(what.clone()));
        if is_news { News::Lacking(what) } else { News::None }
    }

    fn spoiled(&mut self, diagnostics: Vec<Diagnostic>) -> News {
        self.rest();
        self.lacking = None;
        let bad = self.bad.get_or_insert(Bad { diagnostics: Vec::new(), scans_left: 1, scans_apart: 1, quietly: false });
        let told_before = std::mem::replace(&mut bad.quietly, false) && bad.diagnostics == diagnostics;
        if told_before {
            return News::None;
        }
        bad.diagnostics.clone_from(&diagnostics);
        News::Bad(diagnostics)
    }
}

#[cfg(test)]
mod tests;
