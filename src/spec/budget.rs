//! What one reading of a file may cost.
//!
//! Everything that can multiply what a file says is charged here: bytes that were read, bytes that expansions made, options,
//! files within files, questions to the world, and the steps of all loops. What is charged is a constant, so no text, however
//! small or large, makes a reading take more time or memory than that. When something is spent the reading ends with one
//! error at the line that spent it, and nothing is made of the file.
//!
//! The bounds are far above any configuration's need: the largest real ones have some hundred lines.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use crate::{
    AccountRecord, Code, Kind, Lookup, NoAnswer, Writer,
    heard::{Heard, Hearing},
};

/// Bytes of all that is read: the file, what it includes, `@(file)`, `for-readline`.
pub(crate) const BYTES: usize = 1 << 20;
/// Bytes that expansions make: magic variables, placeholders, the rounds of a `for`, declared options. Each option counts with its name,
/// its value and the name of its file.
pub(crate) const MADE: usize = 4 << 20;
/// Options after expansion, and lines of one text.
pub(crate) const OPTIONS: usize = 10_000;
/// Files that are read.
pub(crate) const FILES: usize = 1_000;
/// Files within files; uWSGI would include itself until its stack ends.
pub(crate) const DEPTH: usize = 32;
/// Results of one pattern.
pub(crate) const RESULTS: usize = 10_000;
/// Hooks of a vassal.
pub(crate) const HOOKS: usize = 1_000;
/// Steps of all loops.
const STEPS: usize = 16 << 20;
/// What a question to the world (a stat, a user's name) counts for.
const QUESTION: usize = 1 << 11;
/// So many steps lie between two looks at whether the reading was given up.
const BETWEEN_LOOKS: usize = 1 << 16;

/// The account of one reading.
pub(crate) struct Budget<'a> {
    world: &'a dyn Lookup,
    hearing: Option<Hearing<'a>>,
    steps: Cell<usize>,
    looked: Cell<usize>,
    read: Cell<usize>,
    files: Cell<usize>,
    made: Cell<usize>,
    over: Rc<Cell<bool>>,
    reason: RefCell<Option<(Code, String)>>,
}

impl<'a> Budget<'a> {
    pub(crate) fn new(world: &'a dyn Lookup) -> Self {
        Self {
            world,
            hearing: None,
            steps: Cell::new(0),
            looked: Cell::new(0),
            read: Cell::new(0),
            files: Cell::new(0),
            made: Cell::new(0),
            over: Rc::default(),
            reason: RefCell::default(),
        }
    }

    /// What was heard before is not asked again. It costs the same.
    pub(crate) fn hearing(world: &'a dyn Lookup, heard: &'a Heard) -> Self {
        Self { hearing: Some(Hearing::new(heard)), ..Self::new(world) }
    }

    /// Whether something is spent, or the reading was given up.
    pub(crate) fn is_over(&self) -> bool {
        self.over.get()
    }

    /// Becomes true when it is over.
    pub(crate) fn over(&self) -> Rc<Cell<bool>> {
        Rc::clone(&self.over)
    }

    /// Why it is over; given once, to the caller that knows the place.
    pub(crate) fn take_reason(&self) -> Option<(Code, String)> {
        self.reason.borrow_mut().take()
    }

    /// Charges steps. False: the caller ends.
    pub(crate) fn work(&self, steps: usize) -> bool {
        let spent = self.steps.get().saturating_add(steps);
        self.steps.set(spent);
        if spent > STEPS {
            self.end(Code::TooMuch, "takes more work than a configuration may");
        } else if spent - self.looked.get() > BETWEEN_LOOKS {
            self.looked.set(spent);
            self.look();
        }
        !self.is_over()
    }

    /// Charges bytes that an expansion made. False: the caller ends.
    pub(crate) fn make(&self, bytes: usize) -> bool {
        let made = self.made.get().saturating_add(bytes);
        self.made.set(made);
        if made > MADE {
            self.end(Code::TooMuch, format!("expands to more than {} MiB", MADE >> 20));
        }
        self.work(bytes)
    }

    /// Charges bytes that were read. False: the caller ends.
    pub(crate) fn take(&self, bytes: usize) -> bool {
        let read = self.read.get().saturating_add(bytes);
        self.read.set(read);
        if read > BYTES {
            self.end(Code::TooMuch, format!("is more to read than {} MiB", BYTES >> 20));
        }
        self.work(bytes)
    }

    /// Ends the reading; the first reason counts.
    pub(crate) fn end(&self, code: Code, why: impl Into<String>) {
        if !self.over.replace(true) {
            *self.reason.borrow_mut() = Some((code, why.into()));
        }
    }

    /// Asks the world whether the reading is still wanted.
    fn look(&self) {
        if let Some(why) = self.world.cancelled() {
            self.end(Code::Cancelled, why);
        }
    }

    /// Charges a question; false where it is not to be asked any more.
    fn ask(&self) -> bool {
        self.look();
        self.work(QUESTION)
    }
}

/// The world, each question charged. The dialect asks no other one. A question about accounts or paths that gets no answer ends the
/// reading, with that as its one mistake: so who asks need not tell it, and tells nothing that was made of it.
pub(crate) struct Metered<'a> {
    pub(crate) budget: &'a Budget<'a>,
}

const SPENT: &str = "the reading has ended";

impl Metered<'_> {
    fn ask<T>(&self, of: impl std::fmt::Display, ask: impl FnOnce(&dyn Lookup) -> Result<T, NoAnswer>) -> Result<T, NoAnswer> {
        if !self.budget.ask() {
            return Err(NoAnswer::Failed(SPENT.into()));
        }
        ask(self.budget.world).inspect_err(|why| {
            let code = match why {
                NoAnswer::Failed(_) => Code::Unreadable,
                NoAnswer::Lacking(_) => Code::Lacking,
                NoAnswer::TooMuch => Code::TooMuch,
                NoAnswer::Cancelled(_) => Code::Cancelled,
            };
            self.budget.end(code, format!("{of} cannot be looked up: {why}"));
        })
    }
}

impl Lookup for Metered<'_> {
    fn read(&self, source: &str, most: usize) -> Result<Vec<u8>, NoAnswer> {
        let budget = self.budget;
        budget.files.set(budget.files.get() + 1);
        if budget.files.get() > FILES {
            budget.end(Code::TooMuch, format!("is more than {FILES} files to read"));
        }
        if !budget.ask() {
            return Err(NoAnswer::Failed(SPENT.into()));
        }
        let most = most.min(BYTES.saturating_sub(budget.read.get()));
        let ask = || budget.world.read(source, most);
        let answer = match &budget.hearing {
            Some(hearing) => hearing.read(source, most, ask),
            None => ask(),
        };
        match &answer {
            Ok(bytes) => _ = budget.take(bytes.len()),
            Err(NoAnswer::Failed(_)) => {}
            Err(NoAnswer::Lacking(why)) => budget.end(Code::Lacking, format!("{source} cannot be read: {why}")),
            Err(NoAnswer::TooMuch) => budget.end(Code::TooMuch, format!("is more to read than {} MiB", BYTES >> 20)),
            Err(NoAnswer::Cancelled(why)) => budget.end(Code::Cancelled, why.as_str()),
        }
        answer
    }

    fn writers(&self, path: &str) -> Result<BTreeSet<Writer>, NoAnswer> {
        if !self.budget.ask() {
            return Err(NoAnswer::Failed(SPENT.into()));
        }
        self.budget.world.writers(path).inspect_err(|why| match why {
            NoAnswer::Lacking(why) => self.budget.end(Code::Lacking, format!("{path} cannot be looked up: {why}")),
            NoAnswer::Failed(_) | NoAnswer::TooMuch | NoAnswer::Cancelled(_) => {}
        })
    }

    fn kind(&self, path: &str) -> Result<Option<Kind>, NoAnswer> {
        self.ask(path, |world| world.kind(path))
    }

    fn glob(&self, pattern: &str, most: usize) -> Result<Vec<String>, NoAnswer> {
        let budget = self.budget;
        if !budget.ask() {
            return Ok(Vec::new());
        }
        let answer = match budget.world.glob(pattern, most) {
            Ok(found) if found.len() > most => Err(NoAnswer::TooMuch),
            answer => answer,
        };
        match &answer {
            Ok(found) => _ = budget.make(found.iter().map(String::len).sum()),
            Err(NoAnswer::Failed(why)) => budget.end(Code::Unreadable, format!("{pattern} cannot be looked up: {why}")),
            Err(NoAnswer::Lacking(why)) => budget.end(Code::Lacking, format!("{pattern} cannot be looked up: {why}")),
            Err(NoAnswer::TooMuch) => budget.end(Code::TooMuch, format!("matches more than {most} names")),
            Err(NoAnswer::Cancelled(why)) => budget.end(Code::Cancelled, why.as_str()),
        }
        answer
    }

    fn cancelled(&self) -> Option<String> {
        self.budget.world.cancelled()
    }

    fn env(&self, name: &str) -> Option<String> {
        if self.budget.work(64) { self.budget.world.env(name) } else { None }
    }

    fn env_names(&self) -> Vec<String> {
        if self.budget.ask() { self.budget.world.env_names() } else { Vec::new() }
    }

    fn hostname(&self) -> String {
        self.budget.world.hostname()
    }

    fn now(&self) -> u64 {
        self.budget.world.now()
    }

    fn directory(&self) -> String {
        self.budget.world.directory()
    }

    fn own_identity(&self) -> (u32, String, u32, String) {
        self.budget.world.own_identity()
    }

    fn processors(&self) -> usize {
        self.budget.world.processors()
    }

    fn user(&self, name_or_number: &str) -> Result<Option<(u32, u32, String)>, NoAnswer> {
        self.ask(format_args!("the user {name_or_number}"), |world| world.user(name_or_number))
    }

    fn group(&self, name_or_number: &str) -> Result<Option<u32>, NoAnswer> {
        self.ask(format_args!("the group {name_or_number}"), |world| world.group(name_or_number))
    }

    fn account(&self, uid: u32) -> Result<Option<AccountRecord>, NoAnswer> {
        self.ask(format_args!("the account of uid {uid}"), |world| world.account(uid))
    }

    fn read_secret(&self, path: &str, most: usize) -> Result<Vec<u8>, NoAnswer> {
        if !self.budget.ask() {
            return Err(NoAnswer::Failed(SPENT.into()));
        }
        let lacks = |why: &NoAnswer| match why {
            NoAnswer::Lacking(why) => self.budget.end(Code::Lacking, format!("{path} cannot be read: {why}")),
            NoAnswer::Failed(_) | NoAnswer::TooMuch | NoAnswer::Cancelled(_) => {}
        };
        self.budget.world.read_secret(path, most).inspect_err(lacks)
    }

    fn groups_of(&self, user: &str, gid: u32) -> Result<Vec<u32>, NoAnswer> {
        self.ask(format_args!("the groups of {user}"), |world| world.groups_of(user, gid))
    }

    fn full_path(&self, path: &str) -> String {
        if self.budget.ask() { self.budget.world.full_path(path) } else { path.to_owned() }
    }

    fn inode(&self, path: &str) -> Option<u64> {
        if self.budget.ask() { self.budget.world.inode(path) } else { None }
    }

    fn uwsgi_binary(&self) -> String {
        self.budget.world.uwsgi_binary()
    }

    fn uwsgi_version(&self) -> String {
        self.budget.world.uwsgi_version()
    }
}
