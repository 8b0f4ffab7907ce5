//! What one reading of a file may cost.
//!
//! Everything that can multiply what a file says is charged here: bytes that were read, bytes that expansions made, options,
//! files within files, questions to the world, and the steps of all loops. What is charged is a constant, so no text, however
//! small or large, makes a reading take more time or memory than that. When something is spent the reading ends with one
//! error at the line that spent it, and nothing is made of the file.
//!
//! The bounds are far above any configuration's need: the largest real ones have some hundred lines.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::{AccountRecord, Code, Identity, Kind, Lookup, NoAnswer};

/// Bytes of all that is read: the file, what it includes, `@(file)`, `for-readline`.
pub(crate) const BYTES: usize = 4 << 20;
/// Bytes that expansions make: magic variables, placeholders, the rounds of a `for`, declared options.
pub(crate) const MADE: usize = 8 << 20;
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
            steps: Cell::new(0),
            looked: Cell::new(0),
            read: Cell::new(0),
            files: Cell::new(0),
            made: Cell::new(0),
            over: Rc::default(),
            reason: RefCell::default(),
        }
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

/// The world, each question charged. The dialect asks no other one.
pub(crate) struct Metered<'a> {
    pub(crate) budget: &'a Budget<'a>,
}

const SPENT: &str = "the reading has ended";

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
        let answer = budget.world.read(source, most);
        match &answer {
            Ok(bytes) => _ = budget.take(bytes.len()),
            Err(NoAnswer::Failed(_)) => {}
            Err(NoAnswer::TooMuch) => budget.end(Code::TooMuch, format!("is more to read than {} MiB", BYTES >> 20)),
            Err(NoAnswer::Cancelled(why)) => budget.end(Code::Cancelled, why.as_str()),
        }
        answer
    }

    fn kind(&self, path: &str) -> Option<Kind> {
        if self.budget.ask() { self.budget.world.kind(path) } else { None }
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
            Err(NoAnswer::Failed(_)) => {}
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

    fn user(&self, name_or_number: &str) -> Option<(u32, u32, String)> {
        if self.budget.ask() { self.budget.world.user(name_or_number) } else { None }
    }

    fn group(&self, name_or_number: &str) -> Option<u32> {
        if self.budget.ask() { self.budget.world.group(name_or_number) } else { None }
    }

    fn account(&self, uid: u32) -> Option<AccountRecord> {
        if self.budget.ask() { self.budget.world.account(uid) } else { None }
    }

    fn read_secret(&self, path: &str, most: usize) -> Result<Vec<u8>, NoAnswer> {
        if self.budget.ask() { self.budget.world.read_secret(path, most) } else { Err(NoAnswer::Failed(SPENT.into())) }
    }

    fn groups_of(&self, user: &str, gid: u32) -> Vec<u32> {
        if self.budget.ask() { self.budget.world.groups_of(user, gid) } else { Vec::new() }
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

    fn identity(&self, uid: u32, gid: u32, user: Option<&str>, no_initgroups: bool, more: &[u32]) -> Identity {
        self.budget.world.identity(uid, gid, user, no_initgroups, more)
    }
}
