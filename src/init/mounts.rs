//! The vassal's own mount table, watched: a mount that comes or goes is told to the host at once.
//!
//! The kernel tells each change once, to whoever holds the table open. Held, it keeps the root busy that was init's when it was opened, and
//! shows no other: so it is let go of before the root or the namespace changes and opened again afterwards. What was there
//! before is told first, because the new root may not show it.
//!
//! What changed is told entry by entry: a mount of the host's comes into every vassal at once, and a thousand of them need not look at
//! their mounts for it.
//!
//! Why the table and not fanotify (`FAN_REPORT_MNT`, Linux 6.15, available where this was measured, on 6.18): it tells of a mount in 12 to 16 µs,
//! the poll of the table in the same call's time (0.4 µs once it is there), and reading the table costs 43 µs with 10 mounts, 1.2 ms with 1000. So
//! it would save the reading in a vassal with very many mounts, at most each 50 ms, and nothing else: it names mounts by id alone, what
//! they are must be looked up all the same, it needs one more privilege than init has in a user namespace, and kernels before it need
//! this file anyway.
//!
//! A user of the host who mounts and unmounts in a loop changes the table of every vassal that follows the host's root. While only such
//! foreign mounts change the table is read less and less often, down to [`LONGEST_PAUSE`]. They are known by what they follow
//! (`master:` in the table), which a new mount of the vassal's own does not. A change of its own sets the pause back, and so does the end
//! of any child, which may be the FUSE daemon of one. Where the table is the host's own nothing follows anything: foreign is then all
//! that no process of the vassal is known to serve (`save/known.rs`).
//!
//! Deliberately not here: which mounts are watched, and what a change means.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{Read, Seek},
    os::fd::AsFd,
    time::{Duration, Instant},
};

use liege_plan::{Act, FromInit, MountChange};
use liege_sys::{
    mountinfo::{self, Mount},
    poll::{Interest, poll},
};

use crate::exits::Exits;

/// A vassal that mounts all the time is heard so often.
const PAUSE: Duration = Duration::from_millis(50);

/// And so often while only mounts of others come and go. Shorter than the usual interval of a check.
const LONGEST_PAUSE: Duration = Duration::from_millis(800);

/// More changes at once are only said to be many.
const MOST_TOLD: usize = 64;

/// A mount as far as it is remembered. No names: a host may have thousands of mounts, and a machine thousands of inits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    id: u32,
    parent: u32,
    device: (u32, u32),
    /// As in [`mountinfo::Brief`].
    follows: bool,
}

/// What changed since the table was last read.
#[derive(Debug, PartialEq, Eq)]
struct News {
    /// None: too many, or nobody knows what was there before.
    changes: Option<Vec<MountChange>>,
    /// All of it is known, and none of it the vassal's own.
    is_foreign: bool,
}

/// Whether an act changes which mounts init sees.
pub(crate) fn moves(act: &Act) -> bool {
    matches!(act, Act::PivotRoot { .. } | Act::Chroot(_) | Act::Unshare(_))
}

/// The table, as far as init cares.
#[derive(Debug)]
pub(crate) struct Mounts {
    /// Of which changes the host holds the exits.
    pub(crate) exits: Exits,
    /// None: there is no `/proc`, so changes are seen at the next probe only.
    table: Option<File>,
    /// FUSE mounts that came with the namespace, the host's, by id and connection. Those that have gone from the table are forgotten:
    /// the number of a connection may be the vassal's own then.
    inherited: BTreeSet<(u32, u32)>,
    /// Where the table is the host's: the mounts that a process of the vassal is known to serve. Nothing else in it is the vassal's. None: the
    /// table is the vassal's own.
    proven: Option<BTreeSet<u32>>,
    /// What stood there when it was last read, in order. None: the root has changed since.
    entries: Option<Vec<Entry>>,
    /// Whether own FUSE mounts stood there when it was last read.
    has_own: bool,
    /// The table could not be opened again: own connections are taken for granted.
    is_blind: bool,
    /// The own connections that can be written to, and whether that has not been told yet.
    writable: Vec<u32>,
    is_writable_news: bool,
    /// An app has run, and may have written: a connection that could be written to stays one, however it is remounted.
    app_has_run: bool,
    /// When it was last found changed: until the pause is over nobody looks.
    changed: Option<Instant>,
    pause: Duration,
}

/// The mount table at one moment.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) mounts: Vec<Mount>,
    /// The connections that came with the namespace.
    inherited: BTreeSet<u32>,
    /// As in [`Mounts`].
    proven: Option<BTreeSet<u32>>,
    /// The connections that the app may have written to before.
    written: Vec<u32>,
}

impl Table {
    /// The FUSE mounts that may be the vassal's own.
    pub(crate) fn own(&self) -> impl Iterator<Item = &Mount> {
        self.mounts.iter().filter(|mount| mount.is_fuse() && !self.inherited.contains(&mount.device.1))
    }

    /// Whether it is the host's.
    pub(crate) fn is_shared(&self) -> bool {
        self.proven.is_some()
    }

    /// Of a connection that is in it: what is written there may have to be written back.
    pub(crate) fn is_writable(&self, minor: u32) -> Option<bool> {
        let mount = self.own().find(|mount| mount.device.1 == minor)?;
        Some(self.written.contains(&minor) || mount.super_options.split(',').next() != Some("ro"))
    }
}

impl Mounts {
    /// From now on.
    pub(crate) fn watched() -> Self {
        let table = File::open("/proc/self/mountinfo").ok();
        let mut mounts = Self::of(table);
        let text = mounts.read();
        mounts.inherited = fuse(&text).collect();
        mounts.news(&text);
        mounts
    }

    fn of(table: Option<File>) -> Self {
        Self {
            exits: Exits::default(),
            table,
            inherited: BTreeSet::new(),
            proven: None,
            entries: None,
            has_own: false,
            is_blind: false,
            writable: Vec::new(),
            is_writable_news: false,
            app_has_run: false,
            changed: None,
            pause: PAUSE,
        }
    }

    /// From now on it is known to be the host's.
    pub(crate) fn is_the_hosts(&mut self) {
        self.proven = Some(BTreeSet::new());
    }

    /// Which mounts of the host's table the vassal serves. None: those that it is known to serve. Else also what to tell, where there are new
    /// ones.
    pub(crate) fn prove(&mut self, ids: BTreeSet<u32>) -> Option<Option<FromInit>> {
        let before = self.proven.replace(ids).unwrap_or_default();
        if self.proven.as_ref() == Some(&before) {
            return None;
        }
        let text = self.read();
        self.find_writable(&text, true);
        let has_come = self.proven.iter().flatten().any(|id| !before.contains(id));
        let number = || FromInit::MountsChanged { own_fuse: true, changes: Some(Vec::new()), number: self.exits.tell() };
        Some(has_come.then(number))
    }

    /// What to wait for.
    pub(crate) fn interest(&self, now: Instant) -> Option<Interest<'_>> {
        let table = self.table.as_ref().filter(|_| self.silent_until(now).is_none())?;
        Some(Interest::changed(table.as_fd()))
    }

    /// When to wait for it again; what happens meanwhile is told then.
    pub(crate) fn silent_until(&self, now: Instant) -> Option<Instant> {
        self.changed.map(|changed| changed + self.pause).filter(|until| *until > now)
    }

    /// A child has ended, perhaps the daemon of a mount: a change is not left waiting for mounts of others.
    pub(crate) fn child_ended(&mut self) {
        self.pause = PAUSE;
    }

    /// The root or the namespace is about to change. What to tell before.
    pub(crate) fn let_go(&mut self) -> Option<FromInit> {
        let news = self.own_fuse();
        (self.table, self.entries) = (None, None);
        news
    }

    /// From now on the app may write.
    pub(crate) fn app_begins(&mut self) {
        // A step may have remounted what it had mounted: that is no change of the table's entries.
        if !self.app_has_run && !self.writable.is_empty() {
            let text = self.read();
            let has_own_fuse = self.has_own_fuse(&text);
            self.find_writable(&text, has_own_fuse);
        }
        self.app_has_run = true;
    }

    /// It has changed.
    pub(crate) fn follow(&mut self) {
        self.table = mountinfo::watched().ok();
        self.is_blind = self.table.is_none();
    }

    /// The steps are done, or the vassal ends. What was mounted and not told is told, and only where a FUSE daemon could hold up the
    /// vassal's end: most vassals have nothing to tell.
    pub(crate) fn settled(&mut self) -> Option<FromInit> {
        if let Some(table) = &self.table {
            let _ = poll(&[Interest::changed(table.as_fd())], Some(Duration::ZERO)); // takes the change, if there was one
        }
        self.own_fuse()
    }

    fn own_fuse(&mut self) -> Option<FromInit> {
        let text = self.read();
        let own_fuse = self.has_own_fuse(&text);
        let changes = self.news(&text).changes;
        let is_nothing = changes.as_ref().is_some_and(Vec::is_empty);
        if !is_nothing {
            self.find_writable(&text, own_fuse);
        }
        (own_fuse && !is_nothing).then(|| FromInit::MountsChanged { own_fuse, changes, number: self.exits.tell() })
    }

    /// It changed: what to tell, if anything.
    pub(crate) fn changed(&mut self, now: Instant) -> Option<FromInit> {
        let text = self.read();
        self.judge(&text, now)
    }

    fn judge(&mut self, text: &[u8], now: Instant) -> Option<FromInit> {
        self.changed = Some(now);
        let has_own_fuse = self.has_own_fuse(text);
        let News { changes, is_foreign } = self.news(text);
        self.pause = if is_foreign { (self.pause * 2).min(LONGEST_PAUSE) } else { PAUSE };
        let is_nothing = changes.as_ref().is_some_and(Vec::is_empty);
        if is_nothing {
            return None;
        }
        // Where only mounts of others changed, the exits of own connections stand as they stood.
        let own_fuse = has_own_fuse && !is_foreign;
        if !is_foreign {
            self.find_writable(text, has_own_fuse);
        }
        let number = if own_fuse { self.exits.tell() } else { self.exits.told() };
        Some(FromInit::MountsChanged { own_fuse, changes, number })
    }

    /// The whole table, where it holds FUSE mounts that are not the host's. None: it holds none.
    pub(crate) fn with_own_fuse(&mut self) -> Option<Table> {
        if self.table.is_none() {
            self.table = mountinfo::watched().ok(); // at the end init has the right to it again
            self.is_blind &= self.table.is_none();
        }
        let text = self.read();
        self.has_own_fuse(&text).then(|| self.table_of(&text))
    }

    fn table_of(&self, text: &[u8]) -> Table {
        let inherited = self.inherited.iter().map(|mount| mount.1).collect();
        let written = if self.app_has_run { self.writable.clone() } else { Vec::new() };
        Table { mounts: mountinfo::parse(text), inherited, proven: self.proven.clone(), written }
    }

    /// Which own connections can be written to by this table; the first of very many.
    fn find_writable(&mut self, text: &[u8], has_own_fuse: bool) {
        let mut now = BTreeSet::new();
        if has_own_fuse {
            let table = self.table_of(text);
            let is_ours = |mount: &&Mount| self.proven.as_ref().is_none_or(|proven| proven.contains(&mount.id));
            let all = table.own().filter(is_ours).map(|mount| mount.device.1);
            now.extend(all.filter(|minor| table.is_writable(*minor) == Some(true)).take(MOST_TOLD));
        }
        if !now.iter().eq(&self.writable) {
            (self.writable, self.is_writable_news) = (now.into_iter().collect(), true);
        }
    }

    /// Whether there were own FUSE mounts when the table was last read.
    pub(crate) fn has_own(&self) -> bool {
        self.has_own
    }

    /// Whether an own connection can be written to.
    pub(crate) fn can_be_written(&self) -> bool {
        !self.writable.is_empty()
    }

    /// The own connections that can be written to, where these are not the ones that were told.
    pub(crate) fn writable_news(&mut self) -> Option<Vec<u32>> {
        std::mem::take(&mut self.is_writable_news).then(|| self.writable.clone())
    }

    /// Too often rather than not once: the prober knows better which are whose.
    fn has_own_fuse(&mut self, text: &[u8]) -> bool {
        let standing: BTreeSet<_> = fuse(text).collect();
        self.inherited.retain(|mount| standing.contains(mount));
        let inherited: BTreeSet<u32> = self.inherited.iter().map(|mount| mount.1).collect();
        self.has_own = self.is_blind || standing.iter().any(|(_, minor)| !inherited.contains(minor));
        self.has_own
    }

    fn news(&mut self, text: &[u8]) -> News {
        let mut now: Vec<Entry> = mountinfo::brief(text).map(|mount| entry(&mount)).collect();
        now.sort_unstable();
        let before = self.entries.replace(now);
        let (Some(before), Some(now)) = (before, &self.entries) else { return News { changes: None, is_foreign: false } };
        differences(&before, now, text, self.proven.as_ref())
    }

    /// What cannot be read is a table without mounts, and the next change is another chance.
    fn read(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        if let Some(table) = &mut self.table {
            let _ = table.rewind().and_then(|()| table.read_to_end(&mut text));
        }
        text
    }
}

/// FUSE mounts by id and connection.
fn fuse(text: &[u8]) -> impl Iterator<Item = (u32, u32)> {
    mountinfo::brief(text).filter(|mount| mount.is_fuse).map(|mount| (mount.id, mount.device.1))
}

fn entry(mount: &mountinfo::Brief<'_>) -> Entry {
    Entry { id: mount.id, parent: mount.parent, device: mount.device, follows: mount.follows }
}

/// Both in order; `text` is the table of `now`.
fn differences(before: &[Entry], now: &[Entry], text: &[u8], proven: Option<&BTreeSet<u32>>) -> News {
    let is_foreign = |id: u32, follows: bool| proven.map_or(follows, |proven| !proven.contains(&id));
    let went = before.iter().filter(|entry| now.binary_search(entry).is_err());
    let came = mountinfo::brief(text).filter(|mount| before.binary_search(&entry(mount)).is_err());
    let is_foreign = went.clone().all(|entry| is_foreign(entry.id, entry.follows))
        && came.clone().all(|mount| is_foreign(mount.id, mount.follows));
    let went = went.map(|entry| MountChange::Went { device: entry.device });
    let came = came.map(|mount| MountChange::Came { point: mount.mount_point().to_string_lossy().into_owned() });
    let changes: Vec<_> = went.chain(came).collect();
    News { changes: Some(changes).filter(|changes| changes.len() <= MOST_TOLD), is_foreign }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "1 0 8:1 / / rw - ext4 x rw\n5 1 0:40 / /app rw - fuse.zip z rw\n7 1 0:41 / /old rw - tmpfs t rw\n";

    fn nothing() -> Mounts {
        Mounts::of(None)
    }

    fn seen(mounts: &mut Mounts, text: &str) -> Option<Vec<MountChange>> {
        mounts.news(text.as_bytes()).changes
    }

    #[test]
    fn while_only_mounts_of_others_change_the_pause_grows_and_a_change_of_its_own_sets_it_back() {
        let (mut mounts, start) = (nothing(), Instant::now());
        let foreign = [BEFORE, "9 1 0:50 / /user rw shared:3 master:2 - fuse.sshfs s rw\n"].concat();
        let own = [&foreign, "10 1 0:51 / /own rw - fuse.zip z rw\n"].concat();
        let told = |mounts: &mut Mounts, text: &str, at: Instant| {
            let said = mounts.judge(text.as_bytes(), at);
            let own_fuse = said.map(|said| matches!(said, FromInit::MountsChanged { own_fuse: true, .. }));
            (own_fuse, mounts.silent_until(at).map_or(Duration::ZERO, |until| until - at))
        };
        assert_eq!(told(&mut mounts, BEFORE, start), (Some(true), PAUSE), "nobody knows what was there before");
        let pauses: Vec<_> =
            [&foreign, BEFORE, &foreign, BEFORE, &foreign, BEFORE].map(|text| told(&mut mounts, text, start)).into();
        assert_eq!(pauses[0], (Some(false), 2 * PAUSE), "no exit is to be opened for it");
        assert_eq!(pauses[5], (Some(false), LONGEST_PAUSE));
        assert_eq!(told(&mut mounts, &own, start), (Some(true), PAUSE));
        assert_eq!(told(&mut mounts, &own, start).0, None, "nothing to tell");
        assert_eq!(told(&mut mounts, BEFORE, start), (Some(true), PAUSE), "its own went, and a foreign one with it");
        told(&mut mounts, &foreign, start);
        mounts.child_ended();
        assert_eq!(mounts.silent_until(start), Some(start + PAUSE));
    }

    /// Nothing follows anything there: only what a process of the vassal serves is its own.
    #[test]
    fn in_the_hosts_table_what_others_mount_is_as_foreign() {
        let (mut mounts, start) = (nothing(), Instant::now());
        mounts.is_the_hosts();
        let other = [BEFORE, "9 1 0:50 / /user rw - fuse.sshfs s rw,user_id=7,group_id=7\n"].concat();
        mounts.judge(BEFORE.as_bytes(), start);
        let own_fuse = |said: Option<FromInit>| matches!(said, Some(FromInit::MountsChanged { own_fuse: true, .. }));
        for text in [&other, BEFORE, &other, BEFORE, &other] {
            assert!(!own_fuse(mounts.judge(text.as_bytes(), start)), "no exit is to be opened for it");
        }
        assert_eq!(mounts.silent_until(start), Some(start + LONGEST_PAUSE));
        mounts.find_writable(other.as_bytes(), true);
        assert_eq!(mounts.writable, [0; 0]);

        assert!(own_fuse(mounts.prove([9].into()).unwrap()), "its exit is to be opened");
        assert!(mounts.prove([9].into()).is_none(), "nothing new");
        mounts.find_writable(other.as_bytes(), true);
        assert_eq!(mounts.writable, [50]);
        assert!(own_fuse(mounts.judge(BEFORE.as_bytes(), start)));
        assert_eq!(mounts.silent_until(start), Some(start + PAUSE));
        assert!(mounts.prove([].into()).unwrap().is_none(), "it went, which was told");
    }

    #[test]
    fn each_change_of_own_fuse_mounts_has_a_number_and_one_of_others_has_none_of_its_own() {
        let (mut mounts, start) = (nothing(), Instant::now());
        let foreign = [BEFORE, "9 1 0:50 / /user rw shared:3 master:2 - fuse.sshfs s rw\n"].concat();
        let number = |told: Option<FromInit>| match told {
            Some(FromInit::MountsChanged { own_fuse, number, .. }) => Some((own_fuse, number)),
            _ => None,
        };
        assert_eq!(number(mounts.judge(BEFORE.as_bytes(), start)), Some((true, 1)));
        assert_eq!(number(mounts.judge(foreign.as_bytes(), start)), Some((false, 1)), "no exit is to be opened for it");
        assert_eq!(number(mounts.judge(foreign.as_bytes(), start)), None);
        assert_eq!(
            number(mounts.judge(b"1 0 8:1 / / rw - ext4 x rw\n11 1 0:51 / /own rw - fuse.zip z rw\n", start)),
            Some((true, 2))
        );
    }

    #[test]
    fn what_came_and_what_went_is_told_and_nothing_else() {
        let mut mounts = nothing();
        assert_eq!(seen(&mut mounts, BEFORE), None, "nobody knows what was there before");
        assert_eq!(seen(&mut mounts, BEFORE), Some(vec![]));
        // The id of what went is used again, and options change.
        let now = "1 0 8:1 / / ro - ext4 x rw\n5 1 0:40 / /app rw - fuse.zip z rw\n7 5 0:42 / /app/new\\040one rw - tmpfs t rw\n";
        let came = MountChange::Came { point: "/app/new one".into() };
        assert_eq!(seen(&mut mounts, now), Some(vec![MountChange::Went { device: (0, 41) }, came]));
        let many: String = (10..100).map(|n| format!("{n} 1 0:{n} / /m{n} rw - tmpfs t rw\n")).collect();
        assert_eq!(seen(&mut mounts, &many), None, "too many");
        assert_eq!(seen(&mut mounts, &many), Some(vec![]));
    }

    /// What was written before it became read-only may not be written back yet.
    #[test]
    fn what_the_app_could_write_to_stays_writable_while_it_stands() {
        let mut mounts = nothing();
        let after = |mounts: &mut Mounts, text: &str| {
            mounts.find_writable(text.as_bytes(), true);
            mounts.writable.clone()
        };
        let (two, none) = ("5 1 0:40 / /a rw - fuse.zip z rw\n6 1 0:41 / /b rw - fuse.zip z ro\n", "");
        let read_only = two.replace("z rw", "z ro,user_id=0");
        assert_eq!(after(&mut mounts, two), [40]);
        assert_eq!(after(&mut mounts, &read_only), [0; 0], "a step has remounted it");
        assert_eq!(after(&mut mounts, two), [40]);
        mounts.app_has_run = true;
        assert_eq!(after(&mut mounts, &read_only), [40]);
        assert_eq!((after(&mut mounts, none), after(&mut mounts, &read_only)), (vec![], vec![]), "another one of that number");
    }

    #[test]
    fn the_number_of_an_inherited_connection_may_become_the_vassals_own() {
        let mut mounts = nothing();
        mounts.inherited = fuse(BEFORE.as_bytes()).collect();
        let mut has_own = |text: &str| mounts.has_own_fuse(text.as_bytes());
        assert!(!has_own(BEFORE));
        let bound = "9 1 0:40 / /bound rw - fuse.zip z rw\n";
        assert!(!has_own(&[BEFORE, bound].concat()), "it is the host's, wherever it stands");
        assert!(!has_own("1 0 8:1 / / rw - ext4 x rw\n"));
        assert!(has_own("1 0 8:1 / / rw - ext4 x rw\n9 1 0:40 / /own rw - fuse.zip z rw\n"));
    }
}
