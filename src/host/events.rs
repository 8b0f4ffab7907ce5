//! What happened lately, kept for whoever asks, and for whoever listens.
//!
//! The loop writes, the control socket reads. A ring of the last few thousand: a reader that is slow loses its oldest, is told how
//! many, and costs the loop nothing; there is no queue for each of them.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use liege_core::{Happening, Level, Name, Note, ROOT, may};
use tokio::sync::watch;

/// So many are kept.
const KEPT: usize = 4096;
/// Bytes of one sentence. A longer one (a file of a thousand mistakes) is whole in the log.
const LONGEST: usize = 4096;

/// The ring, one copy per reader.
#[derive(Clone, Debug)]
pub(crate) struct Events(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Tells this daemon from the one before, whose numbers were the same. Microseconds since 1970.
    life: u128,
    ring: Mutex<Ring>,
    /// The id of the last one: wakes who listens.
    last: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Ring {
    last: u64,
    kept: VecDeque<Arc<Kept>>,
    /// How many happenings each user may have seen.
    counts: HashMap<u32, u64>,
    /// Whose each vassal was when something was last heard of it: of one that has just gone nobody else knows.
    owners: HashMap<Name, Option<u32>>,
}

#[derive(Debug)]
struct Kept {
    /// Who may hear of it beside root.
    owner: Option<u32>,
    /// Its number among those that this user may see.
    own: u64,
    /// With its number among all: root's.
    happening: Happening,
    /// Its sentence as others may read it, where root's tells more.
    owners: Option<String>,
}

/// What a reader gets at once.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Page {
    /// The happenings it may see, in order, numbered as this reader's: a number among all would tell how much happens to others.
    pub(crate) happenings: Vec<Happening>,
    /// How many are lost of those it may see.
    pub(crate) missed: u64,
    /// From where to read on: this reader's number.
    pub(crate) last: u64,
    /// How much has happened in all: what [`Events::listen`] tells next is more.
    pub(crate) turn: u64,
}

impl Events {
    pub(crate) fn new() -> Self {
        let life = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        Self(Arc::new(Shared { life, ring: Mutex::default(), last: watch::Sender::new(0) }))
    }

    /// What a client may come back with that has seen the one with this number.
    pub(crate) fn id(&self, number: u64) -> String {
        format!("{:x}-{number}", self.0.life)
    }

    /// This reader's number of such an id; None: it is from another daemon's life.
    pub(crate) fn number(&self, id: &str, by: u32) -> Option<u64> {
        let (life, number) = id.split_once('-')?;
        let number = number.parse().ok()?;
        (life == format!("{:x}", self.0.life) && number <= self.lock().count(by)).then_some(number)
    }

    /// Keeps a note. `owner` tells whose a vassal is; None: there is no such vassal any more.
    pub(crate) fn hear(&self, note: &Note, owner: impl FnOnce(&Name) -> Option<Option<u32>>) {
        let level = note.level();
        if level == Level::Debug {
            return;
        }
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let mut ring = self.lock();
        let owner = note.vassal().and_then(|name| ring.owner(name, owner(name), matches!(note, Note::Gone { .. })));
        ring.last += 1;
        let own = owner.map_or(0, |owner| {
            let count = ring.counts.entry(owner).or_default();
            *count += 1;
            *count
        });
        let happening = Happening {
            id: ring.last,
            at,
            level,
            kind: note.kind().to_owned(),
            vassal: note.vassal().cloned(),
            text: cut(note.to_string()),
            cause: note.cause().map(|cause| cause.word().to_owned()),
        };
        if ring.kept.len() == KEPT {
            ring.kept.pop_front();
        }
        let owners = note.for_owner().map(|note| cut(note.to_string()));
        ring.kept.push_back(Arc::new(Kept { owner, own, happening, owners }));
        let last = ring.last;
        drop(ring);
        self.0.last.send_replace(last);
    }

    /// What happened after `since`, as far as it is kept, `by` may see it and it is about `vassal`.
    pub(crate) fn after(&self, since: u64, by: u32, vassal: Option<&str>) -> Page {
        let (turn, last, kept) = {
            let ring = self.lock();
            // The newest are looked at first: who listens has seen all others.
            let newer = ring.kept.iter().rev().filter(|kept| may(by, kept.owner)).take_while(|kept| kept.number(by) > since);
            (ring.last, ring.count(by), newer.cloned().collect::<Vec<_>>())
        };
        let oldest = kept.last().map_or(last + 1, |oldest| oldest.number(by));
        let missed = oldest.saturating_sub(since + 1);
        let seen = kept.iter().rev().filter(|kept| vassal.is_none_or(|name| kept.happening.vassal.as_deref() == Some(name)));
        let happenings = seen.map(|kept| kept.as_seen(by)).collect();
        Page { happenings, missed, last, turn }
    }

    /// Told whenever something happens.
    pub(crate) fn listen(&self) -> watch::Receiver<u64> {
        self.0.last.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.0.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cut(mut text: String) -> String {
    if text.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        text.truncate(end);
        text.push('…');
    }
    text
}

impl Kept {
    /// Its number as this reader counts, who may see it.
    fn number(&self, by: u32) -> u64 {
        if by == ROOT { self.happening.id } else { self.own }
    }

    fn as_seen(&self, by: u32) -> Happening {
        let text = self.owners.as_ref().filter(|_| by != ROOT).unwrap_or(&self.happening.text).clone();
        Happening { id: self.number(by), text, ..self.happening.clone() }
    }
}

impl Ring {
    /// The number of the last one that this reader may see.
    fn count(&self, by: u32) -> u64 {
        if by == ROOT { self.last } else { self.counts.get(&by).copied().unwrap_or_default() }
    }

    fn owner(&mut self, name: &Name, known: Option<Option<u32>>, is_gone: bool) -> Option<u32> {
        let owner = known.unwrap_or_else(|| self.owners.get(name).copied().flatten());
        if is_gone {
            self.owners.remove(name);
        } else if known.is_some() {
            self.owners.insert(name.clone(), owner);
        }
        owner
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(vassal: &str) -> Note {
        Note::Ready { vassal: vassal.into(), took: std::time::Duration::ZERO }
    }

    fn ids(page: &Page) -> Vec<u64> {
        page.happenings.iter().map(|happening| happening.id).collect()
    }

    #[test]
    fn the_last_thousands_are_kept_and_a_slow_reader_is_told_what_it_lost() {
        let events = Events::new();
        (0..KEPT + 10).for_each(|_| events.hear(&ready("a"), |_| Some(None)));
        let page = events.after(0, 0, None);
        assert_eq!((page.happenings.len(), page.missed, page.last), (KEPT, 10, KEPT as u64 + 10));
        let page = events.after(KEPT as u64 + 8, 0, None);
        assert_eq!((ids(&page), page.missed), (vec![KEPT as u64 + 9, KEPT as u64 + 10], 0));
        assert_eq!(events.after(page.last, 0, None), Page { last: page.last, turn: page.turn, ..Page::default() });
    }

    #[test]
    fn others_hear_of_their_own_only_to_the_end() {
        let events = Events::new();
        events.hear(&ready("mine"), |_| Some(Some(1001)));
        events.hear(&ready("roots"), |_| Some(None));
        events.hear(&Note::ShuttingDown { vassals: 2 }, |_| None);
        events.hear(&Note::Gone { vassal: "mine".into() }, |_| None);
        events.hear(&Note::BadConfig { vassal: "mine".into(), runs_on: false, diagnostics: Vec::new() }, |_| None);
        let page = events.after(0, 1001, None);
        assert_eq!((ids(&page), page.last, page.missed), (vec![1, 2], 2, 0), "who comes after it is somebody else");
        assert_eq!(page.happenings[1].kind, "gone");
        assert!(ids(&events.after(0, 1002, None)).is_empty());
        assert_eq!(ids(&events.after(0, 0, Some("mine"))), [1, 4, 5]);
    }

    #[test]
    fn numbers_tell_nothing_of_what_happens_to_others() {
        let events = Events::new();
        let hear = |name: &str, owner| events.hear(&ready(name), |_| Some(Some(owner)));
        hear("mine", 1001);
        let page = events.after(0, 1001, None);
        let id = events.id(page.last);
        (0..KEPT / 2).for_each(|_| hear("others", 1002));
        assert_eq!(events.after(page.last, 1001, None), Page { last: 1, turn: 1 + KEPT as u64 / 2, ..Page::default() });
        hear("mine", 1001);
        assert_eq!(events.number(&id, 1001), Some(1));
        assert_eq!(ids(&events.after(1, 1001, None)), [2]);
        assert_eq!(events.number(&events.id(3), 1001), None, "it has seen no third one");
        // What others push out of the ring is missed, and counted as its own.
        (0..KEPT).for_each(|_| hear("others", 1002));
        let page = events.after(1, 1001, None);
        assert_eq!((ids(&page), page.missed, page.last), (vec![], 1, 2));
        hear("mine", 1001);
        let page = events.after(1, 1001, None);
        assert_eq!((ids(&page), page.missed, page.last), (vec![3], 1, 3));
    }
}
