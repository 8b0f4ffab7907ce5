//! What happened lately, kept for whoever asks, and for whoever listens.
//!
//! The loop writes, the control socket reads. A ring of the last few thousand: a reader that is slow loses its oldest, is told how
//! many, and costs the loop nothing; there is no queue for each of them. All readers read it page by page: what one of them holds at
//! once is a page, however much is kept.
//!
//! Root reads a ring of all that happens. Each other user reads a ring of its own. These share as many places, and a place is taken
//! from the user who holds the most: much that happens to one user's vassals pushes out no other user's past.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use liege_core::{Happening, Level, Name, Note, ROOT, may};
use tokio::sync::watch;

/// So many are kept for root, and so many for all other users together.
const KEPT: usize = 4096;
/// Bytes of one sentence. A longer one (a file of a thousand mistakes) is whole in the log.
const LONGEST: usize = 4096;
/// Bytes of the sentences and names of one page, after which no further happening is added.
const PAGE: usize = 16 << 10;

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
    /// Root's.
    kept: VecDeque<Arc<Kept>>,
    /// Each user's own; none is empty.
    users: HashMap<u32, VecDeque<Arc<Kept>>>,
    /// How many each of those holds, and the number among all of its oldest: the last one has to give a place.
    shares: BTreeSet<(usize, Reverse<u64>, u32)>,
    /// How many they hold together.
    held: usize,
    /// How many happenings each user may have seen.
    counts: HashMap<u32, u64>,
    /// How often each user's vassal came to be another user's.
    losses: HashMap<u32, u64>,
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

/// Where a reader is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// The number, among those it may see, of the last one it has seen.
    pub(crate) seen: u64,
    /// The number among all up to which it has looked: there is more while [`Events::listen`] tells a greater one.
    pub(crate) turn: u64,
}

/// What a reader gets at once.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Page {
    /// The happenings it may see, in order, numbered as this reader's: a number among all would tell how much happens to others.
    pub(crate) happenings: Vec<Happening>,
    /// How many are lost before these, of those it may see.
    pub(crate) missed: u64,
    /// From where to read on.
    pub(crate) next: Place,
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
        let owners = note.for_owner().map(|note| cut(note.to_string()));
        ring.keep(Arc::new(Kept { owner, own, happening, owners }));
        let last = ring.last;
        drop(ring);
        self.0.last.send_replace(last);
    }

    /// The place before the last so many that are kept, `by` may see and are about `vassal`; and the place after them.
    pub(crate) fn last(&self, count: usize, by: u32, vassal: Option<&str>) -> (Place, Place) {
        let ring = self.lock();
        let end = Place { seen: ring.count(by), turn: ring.last };
        let newest_first = ring.of(by).into_iter().flatten().rev().filter(|kept| kept.is_about(vassal));
        let first = newest_first.take(count).last();
        (first.map_or(end, |first| Place { seen: first.number(by) - 1, turn: first.happening.id - 1 }), end)
    }

    /// A page of what happened after `place`, as far as it is kept, `by` may see it and it is about `vassal`.
    pub(crate) fn after(&self, place: Place, by: u32, vassal: Option<&str>) -> Page {
        let ring = self.lock();
        let mut page = Page { next: place, ..Page::default() };
        // A reader's numbers follow each other.
        let number = |kept: &Arc<Kept>| kept.number(by);
        let newer = |own: &'_ VecDeque<Arc<Kept>>| {
            let seen = (place.seen + 1).saturating_sub(own.front().map_or(0, number));
            usize::try_from(seen).map_or(own.len(), |seen| seen.min(own.len()))
        };
        let mut bytes = 0;
        for kept in ring.of(by).into_iter().flat_map(|own| own.range(newer(own)..)) {
            if bytes >= PAGE {
                return page;
            }
            page.next.turn = kept.happening.id;
            page.missed += kept.number(by) - (page.next.seen + 1);
            page.next.seen = kept.number(by);
            if kept.is_about(vassal) {
                let told = kept.as_seen(by);
                bytes += told.text.len() + told.vassal.as_ref().map_or(0, |name| name.len());
                page.happenings.push(told);
            }
        }
        // Of the newest ones none may be kept.
        page.missed += ring.count(by).saturating_sub(page.next.seen);
        page.next = Place { seen: page.next.seen.max(ring.count(by)), turn: ring.last };
        page
    }

    /// How often something has happened by which this user sees more, or less.
    pub(crate) fn changes(&self, by: u32) -> u64 {
        let ring = self.lock();
        ring.count(by) + ring.losses.get(&by).copied().unwrap_or_default()
    }

    /// Told whenever something happens, to whomever: who is woken by it asks [`Self::changes`] before it lets that be seen.
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
    fn is_about(&self, vassal: Option<&str>) -> bool {
        vassal.is_none_or(|name| self.happening.vassal.as_deref() == Some(name))
    }

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
    /// What this reader may see.
    fn of(&self, by: u32) -> Option<&VecDeque<Arc<Kept>>> {
        if by == ROOT { Some(&self.kept) } else { self.users.get(&by) }
    }

    fn keep(&mut self, kept: Arc<Kept>) {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(Arc::clone(&kept));
        if let Some(user) = kept.owner.filter(|user| *user != ROOT && may(*user, kept.owner)) {
            self.change(user, |own| own.push_back(kept));
            self.held += 1;
        }
        while self.held > KEPT
            && let Some(&(_, _, user)) = self.shares.last()
        {
            self.change(user, |own| drop(own.pop_front()));
            self.held -= 1;
        }
    }

    /// Changes what is kept for a user, and its share with it.
    fn change(&mut self, user: u32, change: impl FnOnce(&mut VecDeque<Arc<Kept>>)) {
        let share = |own: &VecDeque<Arc<Kept>>| own.front().map(|oldest| (own.len(), Reverse(oldest.happening.id), user));
        let own = self.users.entry(user).or_default();
        let before = share(own);
        change(own);
        let after = share(own);
        if let Some(before) = before {
            self.shares.remove(&before);
        }
        match after {
            Some(after) => drop(self.shares.insert(after)),
            None => drop(self.users.remove(&user)),
        }
    }

    /// The number of the last one that this reader may see.
    fn count(&self, by: u32) -> u64 {
        if by == ROOT { self.last } else { self.counts.get(&by).copied().unwrap_or_default() }
    }

    fn owner(&mut self, name: &Name, known: Option<Option<u32>>, is_gone: bool) -> Option<u32> {
        let owner = known.unwrap_or_else(|| self.owners.get(name).copied().flatten());
        if is_gone {
            self.owners.remove(name);
        } else if known.is_some() {
            let former = self.owners.insert(name.clone(), owner).flatten();
            if let Some(former) = former.filter(|former| owner != Some(*former)) {
                *self.losses.entry(former).or_default() += 1;
            }
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

    fn at(seen: u64) -> Place {
        Place { seen, turn: 0 }
    }

    /// All pages from a place on, as one.
    fn whole(events: &Events, place: Place, by: u32, vassal: Option<&str>) -> Page {
        let mut whole = Page { next: place, ..Page::default() };
        loop {
            let page = events.after(whole.next, by, vassal);
            whole.missed += page.missed;
            whole.happenings.extend(page.happenings);
            whole.next = page.next;
            if whole.next.turn == *events.listen().borrow() {
                return whole;
            }
        }
    }

    #[test]
    fn the_last_thousands_are_kept_and_a_slow_reader_is_told_what_it_lost() {
        let events = Events::new();
        (0..KEPT + 10).for_each(|_| events.hear(&ready("a"), |_| Some(None)));
        let page = whole(&events, Place::default(), 0, None);
        assert_eq!((page.happenings.len(), page.missed, page.next.seen), (KEPT, 10, KEPT as u64 + 10));
        let page = events.after(at(KEPT as u64 + 8), 0, None);
        assert_eq!((ids(&page), page.missed), (vec![KEPT as u64 + 9, KEPT as u64 + 10], 0));
        assert_eq!(events.after(page.next, 0, None), Page { next: page.next, ..Page::default() });
    }

    #[test]
    fn a_page_is_small_however_much_is_kept() {
        let events = Events::new();
        let long = "x".repeat(LONGEST);
        (0..100).for_each(|n| events.hear(&ready(&format!("{n}{long}")), |_| Some(Some(1000 + n % 2))));
        for (by, all) in [(ROOT, 100), (1000, 50)] {
            let (mut place, mut seen) = (Place::default(), Vec::new());
            while seen.len() < all {
                let page = events.after(place, by, None);
                let bytes: usize = page.happenings.iter().map(|told| told.text.len() + told.vassal.as_ref().unwrap().len()).sum();
                assert!(!page.happenings.is_empty() && bytes < PAGE + 3 * LONGEST, "{bytes} bytes after {seen:?}");
                assert_eq!(page.missed, 0);
                seen.extend(ids(&page));
                place = page.next;
            }
            assert_eq!(seen, (1..=all as u64).collect::<Vec<_>>());
            assert!(place.turn >= 99, "{place:?}");
        }
    }

    #[test]
    fn the_last_ones_begin_where_they_are_told_to() {
        let events = Events::new();
        ["a", "b", "a", "b", "a"].iter().for_each(|name| events.hear(&ready(name), |_| Some(Some(1001))));
        for (count, vassal, told) in [
            (2, None, vec![4, 5]),
            (2, Some("a"), vec![3, 5]),
            (9, Some("b"), vec![2, 4]),
            (0, None, vec![]),
            (usize::MAX, None, vec![1, 2, 3, 4, 5]),
            (1, Some("c"), vec![]),
        ] {
            let (first, end) = events.last(count, 1001, vassal);
            let page = whole(&events, first, 1001, vassal);
            assert_eq!((ids(&page), page.missed, page.next), (told, 0, end), "{count} of {vassal:?}");
        }
        assert_eq!(events.last(9, 1002, None), (Place { seen: 0, turn: 5 }, Place { seen: 0, turn: 5 }));
    }

    #[test]
    fn others_hear_of_their_own_only_to_the_end() {
        let events = Events::new();
        events.hear(&ready("mine"), |_| Some(Some(1001)));
        events.hear(&ready("roots"), |_| Some(None));
        events.hear(&Note::ShuttingDown { vassals: 2 }, |_| None);
        events.hear(&Note::Gone { vassal: "mine".into() }, |_| None);
        events.hear(&Note::BadConfig { vassal: "mine".into(), runs_on: false, diagnostics: Vec::new() }, |_| None);
        let page = events.after(at(0), 1001, None);
        assert_eq!((ids(&page), page.next.seen, page.missed), (vec![1, 2], 2, 0), "who comes after it is somebody else");
        assert_eq!(page.happenings[1].kind, "gone");
        assert!(ids(&events.after(at(0), 1002, None)).is_empty());
        assert_eq!(ids(&events.after(at(0), 0, Some("mine"))), [1, 4, 5]);
    }

    #[test]
    fn numbers_tell_nothing_of_what_happens_to_others() {
        let events = Events::new();
        let hear = |name: &str, owner| events.hear(&ready(name), |_| Some(Some(owner)));
        hear("mine", 1001);
        let page = events.after(at(0), 1001, None);
        let id = events.id(page.next.seen);
        (0..KEPT / 2).for_each(|_| hear("others", 1002));
        let next = Place { seen: 1, turn: 1 + KEPT as u64 / 2 };
        assert_eq!(events.after(page.next, 1001, None), Page { next, ..Page::default() });
        hear("mine", 1001);
        assert_eq!(events.number(&id, 1001), Some(1));
        assert_eq!(ids(&events.after(at(1), 1001, None)), [2]);
        assert_eq!(events.number(&events.id(3), 1001), None, "it has seen no third one");
    }

    #[test]
    fn much_that_happens_to_one_user_pushes_out_its_own_past_only() {
        let events = Events::new();
        let hear = |name: &str, owner| events.hear(&ready(name), |_| Some(Some(owner)));
        (0..10).for_each(|_| hear("mine", 1001));
        (0..3 * KEPT).for_each(|_| hear("others", 1002));
        assert_eq!((ids(&whole(&events, at(0), 1001, None)), events.last(3, 1001, None).0.seen), ((1..=10).collect(), 7));
        let others = whole(&events, at(0), 1002, None);
        assert_eq!((others.happenings.len(), others.missed), (KEPT - 10, 2 * KEPT as u64 + 10));
        // As many users as there are places have one each, the newest.
        for round in 0..2 {
            (0..KEPT as u32).for_each(|n| hear("many", 2000 + n));
            let page = events.after(at(round), 2000 + 7, None);
            assert_eq!((ids(&page), page.missed), (vec![round + 1], 0));
        }
        assert_eq!(events.after(at(9), 1001, None).missed, 1);
        let ring = events.lock();
        assert_eq!((ring.held, ring.shares.len()), (KEPT, ring.users.len()));
        assert_eq!(ring.users.values().map(VecDeque::len).sum::<usize>(), KEPT);
    }
}
