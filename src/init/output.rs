//! Where the output of hooks, daemons and app goes: a pipe for each source, and a child that writes what comes out of them to
//! the vassal's log.
//!
//! Pid 1 only holds the ends of the pipes; it never touches the log, whose disk may be full, slow or dead. As long as nobody
//! writes there is no such child: the first byte has it forked, and after some silence it leaves. A child that is killed loses
//! what it has in its hands and is replaced at the next byte; the pipes stay.
//!
//! A source more, or other rules, mean another child: the one at work is asked to finish, and the next byte forks its successor.
//!
//! Where the host could not have the log at the birth it gave an end of a socket instead, through which the log comes later. Until then a
//! child reads all the same, and counts: nobody writes where init itself would.
//!
//! Deliberately not here: what a line looks like, what is dropped and when a file is full (see `logger`).

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use liege_plan::{Act, FromInit, Identity, Log, Notice, Place, Step};
use liege_sys::{
    Errno, fds, handed, pipe,
    poll::Interest,
    process::{self, OneThread},
    stream::{self, Read},
};

use crate::{
    channel::Channel,
    clock,
    init::Init,
    logger::{self, Missing, Word},
};

/// The source that outlives all others.
pub(crate) const APP: &str = "app";

/// That of the attached daemons. Each has a pipe of its own, so that it is known which of them has said something.
const DAEMON: &str = "daemon";
/// Daemons beyond so many share the last pipe.
const DAEMONS: u8 = 32;

/// A child that could not be forked or was killed is not replaced sooner.
const AGAIN: Duration = Duration::from_millis(500);

/// For how long a line of the app, or of a daemon, is a reason for its end.
const JUST_BEFORE: Duration = Duration::from_secs(2);

/// How long the last lines may take.
pub(crate) const LAST_LINES: Duration = Duration::from_secs(1);

/// The output of a vassal.
#[derive(Debug, Default)]
pub(crate) struct Output {
    place: Option<OwnedFd>,
    /// Through this it comes, where it was not to be had.
    promise: Option<OwnedFd>,
    /// None: programs write where init would.
    log: Option<Log>,
    sources: Vec<Source>,
    child: Option<Child>,
    /// Before this moment no child is forked.
    not_before: Option<Instant>,
    /// When the app that runs was started.
    app_since: Option<Instant>,
    heard: Heard,
}

/// What children have told.
#[derive(Debug, Default)]
struct Heard {
    /// What the newest source of each name and number said last, as far as a child that has finished knew.
    last: Vec<((&'static str, u8), Said)>,
    /// What a hook said last, also one whose step has ended.
    hooks: Option<Said>,
    /// Lines of the app that the host has not been told of yet.
    noticed: Vec<(Notice, String)>,
    /// What could not be written, and was not told to the log.
    lost: Missing,
}

/// A line, and when it was said.
#[derive(Clone, Debug)]
struct Said {
    text: String,
    at: Option<Instant>,
}

#[derive(Debug)]
struct Source {
    name: &'static str,
    /// Which of those of this name.
    number: u8,
    reader: OwnedFd,
    /// None: no program will be started with it any more; those that were may still write.
    writer: Option<OwnedFd>,
}

#[derive(Debug)]
struct Child {
    pid: i32,
    /// It says here what it cannot do, and at its end what was said last.
    line: OwnedFd,
    read: Vec<u8>,
    /// It was asked to finish.
    finishes: bool,
}

impl Output {
    /// What the host gave, not in use before the plan says so.
    pub(crate) fn inherited() -> Self {
        let given = fds::inherited(liege_plan::fds::LOG);
        let (promise, place) = if given.as_ref().is_some_and(handed::is_end) { (given, None) } else { (None, given) };
        Self { place, promise, ..Self::default() }
    }

    /// From now on as the plan says, for these steps and the app.
    pub(crate) fn begin(&mut self, log: Option<Log>, steps: &[Step]) {
        self.log = log.filter(|_| self.place.is_some() || self.promise.is_some());
        // All at once, so that the first child knows them all.
        let speaks = |step: &&Step| matches!(step.act, Act::Exec(_) | Act::Print(_));
        for name in steps.iter().filter(speaks).map(|step| step.phase.name()).chain([APP]) {
            self.writer(name, None);
        }
    }

    /// Other rules.
    pub(crate) fn change(&mut self, log: Option<Log>) {
        if log.is_some() && self.log.is_some() && log != self.log {
            self.log = log;
            self.relieve();
        }
    }

    /// The first walk is over: nobody starts with the pipes of its phases any more, and those of the app and its daemons belong to
    /// their user. Later init may have no right to give.
    pub(crate) fn settle(&mut self, identity: Option<&Identity>, daemons: usize) {
        self.writer(APP, identity);
        for pipe in (0..DAEMONS).take(daemons) {
            self.daemons_writer(pipe, identity);
        }
        for source in self.sources.iter_mut().filter(|source| source.is_of_hooks()) {
            source.writer = None;
        }
    }

    /// What a program of this source writes to. None: where init itself would write.
    pub(crate) fn writer(&mut self, name: &'static str, user: Option<&Identity>) -> Option<BorrowedFd<'_>> {
        self.numbered_writer(name, 0, user)
    }

    /// The same for the attached daemon of this pipe.
    pub(crate) fn daemons_writer(&mut self, pipe: u8, user: Option<&Identity>) -> Option<BorrowedFd<'_>> {
        self.numbered_writer(DAEMON, shared(pipe), user)
    }

    fn numbered_writer(&mut self, name: &'static str, number: u8, user: Option<&Identity>) -> Option<BorrowedFd<'_>> {
        self.log?;
        let is_it = |source: &Source| (source.name, source.number) == (name, number) && source.writer.is_some();
        let known = self.sources.iter().position(is_it);
        let index = match known {
            Some(index) => index,
            None => {
                let (reader, writer) = pipe::pipe().ok()?;
                self.sources.push(Source { name, number, reader, writer: Some(writer) });
                self.relieve();
                self.sources.len() - 1
            }
        };
        let writer = self.sources[index].writer.as_ref()?;
        if let Some(user) = user {
            // Else a program that opens /dev/stderr by its name would be refused; most never do.
            let _ = pipe::give_to(writer, user.uid, user.gid);
        }
        Some(writer.as_fd())
    }

    /// The child that writes, while there is one.
    pub(crate) fn child(&self) -> Option<i32> {
        self.child.as_ref().map(|child| child.pid)
    }

    /// Another app begins: what the one before it said is not told of it.
    pub(crate) fn begin_app(&mut self) {
        self.heard.noticed.clear();
        self.begin_run();
        self.heard.last.retain(|((name, _), _)| *name != APP);
        self.app_since = Some(clock::now());
    }

    /// A run of the app begins, also in the process it has: what it says is told whatever the run before has said. To be called before the
    /// app can say anything.
    pub(crate) fn begin_run(&mut self) {
        if let Some(child) = self.child.as_ref().filter(|child| !child.finishes) {
            stream::write(&child.line, &[0]);
        }
    }

    /// What the app said just before now, once all of it was written down.
    pub(crate) fn last_of_app(&self) -> Option<String> {
        self.heard.just_before((APP, 0), self.app_since)
    }

    /// The same of the attached daemon of this pipe, which was started then.
    pub(crate) fn last_of_daemon(&self, pipe: u8, since: Instant) -> Option<String> {
        self.heard.just_before((DAEMON, shared(pipe)), Some(since))
    }

    /// What a hook said last, also one whose step has ended, once all of it was written down.
    pub(crate) fn last_of_hooks(&self) -> Option<String> {
        self.heard.hooks.as_ref().map(|said| said.text.clone())
    }

    /// Goes a step towards having all that this daemon has said written down: whether it is.
    pub(crate) fn daemons_words_are_written(&mut self, pipe: u8, one_thread: &OneThread) -> bool {
        let number = shared(pipe);
        self.are_written(one_thread, |source| (source.name, source.number) == (DAEMON, number))
    }

    /// The same of all hooks.
    pub(crate) fn hooks_words_are_written(&mut self, one_thread: &OneThread) -> bool {
        self.are_written(one_thread, Source::is_of_hooks)
    }

    /// What these sources have said is read by a child, which tells it at its end. The end of one that was asked to finish is an event, so
    /// nothing waits here.
    fn are_written(&mut self, one_thread: &OneThread, which: impl Fn(&Source) -> bool) -> bool {
        self.relieve();
        if self.child.is_some() {
            return false;
        }
        if !self.sources.iter().any(|source| which(source) && pipe::holds_something(&source.reader)) {
            return true;
        }
        if self.due(clock::now()).is_none() {
            self.fork(one_thread);
            self.relieve(); // else it would wait for more
        }
        false
    }

    /// Tells what the app has printed that says more than that it runs.
    pub(crate) fn tell_noticed(&mut self, channel: &mut Channel) {
        for (notice, line) in self.heard.noticed.drain(..) {
            channel.say(&FromInit::Noticed { notice, line });
        }
    }

    /// The daemon of this pipe is started: what the one before it said is not told of it.
    pub(crate) fn begin_daemon(&mut self, pipe: u8) {
        let key = (DAEMON, shared(pipe));
        self.heard.last.retain(|(other, _)| *other != key);
    }

    /// A step of this source begins: what it says last is kept apart from what was said before it.
    pub(crate) fn begin_step(&mut self, name: &'static str) {
        self.heard.last.retain(|((other, _), _)| *other != name);
        let has_spoken = |source: &Source| pipe::holds_something(&source.reader);
        let may_have_spoken = self.child.is_some() || self.sources.iter().any(|source| source.name == name && has_spoken(source));
        for source in self.sources.iter_mut().filter(|source| source.name == name && may_have_spoken) {
            source.writer = None; // the next one to ask for a writer gets a pipe of its own
        }
    }

    /// What a step of this source said last, once all of it was written down.
    pub(crate) fn last_of(&self, name: &str) -> Option<&str> {
        self.heard.last.iter().find(|((other, _), _)| *other == name).map(|(_, said)| &*said.text)
    }

    /// What to wait for: the child's word, or, where there is no child, anybody's; and the place, where it was promised.
    pub(crate) fn interests<'a>(&'a self, now: Instant, all: &mut Vec<Interest<'a>>) {
        all.extend(self.promise.iter().map(|promise| Interest::readable(promise.as_fd())));
        match &self.child {
            // Of one that finishes the end is waited for.
            Some(child) => all.extend((!child.finishes).then(|| Interest::readable(child.line.as_fd()))),
            None if self.due(now).is_some() => {}
            None => all.extend(self.sources.iter().map(|source| Interest::readable(source.reader.as_fd()))),
        }
    }

    /// When to wait for the sources again, if not yet.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        self.not_before.filter(|moment| *moment > now && self.child.is_none())
    }

    /// Something of what is waited for has come.
    pub(crate) fn attend(&mut self, one_thread: &OneThread, channel: &mut Channel) {
        self.take_place();
        match &mut self.child {
            Some(child) => child.listen(&self.sources, &mut self.heard, Some(channel)),
            None => {
                // Ended: nothing in it, and nobody who could write any more.
                self.sources
                    .retain(|source| source.writer.is_some() || pipe::holds_something(&source.reader) || !is_over(source));
                if self.holds_something() {
                    self.fork(one_thread);
                }
            }
        }
    }

    /// Whether it was ours that ended.
    pub(crate) fn ended(&mut self, pid: i32, in_order: bool) -> bool {
        let Some(mut child) = self.child.take_if(|child| child.pid == pid) else { return false };
        child.listen(&self.sources, &mut self.heard, None);
        if !in_order {
            self.not_before = Some(clock::now() + AGAIN);
        }
        true
    }

    /// What was promised may have come.
    fn take_place(&mut self) {
        let Some(promise) = &self.promise else { return };
        match handed::take(promise.as_fd()) {
            Ok(place) => {
                self.place = Some(place);
                self.relieve();
            }
            Err(Errno::EAGAIN) => return,
            Err(_) => {} // it never comes: the host has ended, or there was no room for it
        }
        self.promise = None;
    }

    fn fork(&mut self, one_thread: &OneThread) {
        let Some(log) = self.log else { return };
        let (place, lost) = (self.place.as_ref().map(AsFd::as_fd), self.heard.lost);
        let forked = fds::socketpair().and_then(|(ours, theirs)| {
            let sources: Vec<_> = self.sources.iter().map(|source| (source.name, source.reader.as_fd())).collect();
            let keep: Vec<_> = sources.iter().map(|source| source.1).chain(place).chain([theirs.as_fd()]).collect();
            let work = || logger::write(place, log, lost, theirs.as_fd(), &sources);
            let pid = process::fork_apart(one_thread, &keep, work)?;
            Ok(Child { pid, line: ours, read: Vec::new(), finishes: false })
        });
        match forked {
            Ok(child) => {
                self.child = Some(child);
                self.heard.lost = Missing::default(); // the child's to tell now
            }
            Err(_) => self.not_before = Some(clock::now() + AGAIN), // no memory, no pid: the pipes hold what they can
        }
    }

    fn relieve(&mut self) {
        if let Some(child) = &mut self.child
            && !std::mem::replace(&mut child.finishes, true)
        {
            stream::end_of_words(&child.line);
        }
    }

    fn holds_something(&self) -> bool {
        self.sources.iter().any(|source| pipe::holds_something(&source.reader))
    }
}

impl Source {
    fn is_of_hooks(&self) -> bool {
        ![APP, DAEMON].contains(&self.name)
    }
}

impl Said {
    /// The one of the two that tells more.
    fn behind(self, before: Option<Self>) -> Self {
        let apart = |before: &Self| self.at.zip(before.at).map(|(at, earlier)| at.saturating_duration_since(earlier));
        let tells_more = |before: &Self| apart(before).is_some_and(|apart| logger::tells_more(&before.text, &self.text, apart));
        // It is said as late as what follows it.
        before.filter(tells_more).map_or_else(|| self.clone(), |before| Self { at: self.at, ..before })
    }
}

impl Heard {
    fn hear(&mut self, source: &Source, said: Said) {
        if source.is_of_hooks() && self.hooks.as_ref().is_none_or(|before| before.at <= said.at) {
            self.hooks = Some(said.clone().behind(self.hooks.take()));
        }
        // One nothing is started with any more is of an earlier step.
        if source.writer.is_some() {
            let key = (source.name, source.number);
            let before = self.last.iter().position(|(other, _)| *other == key).map(|at| self.last.swap_remove(at).1);
            self.last.push((key, said.behind(before)));
        }
    }

    /// What was said just before now, and not before that moment.
    fn just_before(&self, key: (&str, u8), since: Option<Instant>) -> Option<String> {
        let (_, said) = self.last.iter().find(|(other, _)| *other == key)?;
        let at = said.at?;
        (at.elapsed() <= JUST_BEFORE && since.is_none_or(|since| at >= since)).then(|| said.text.clone())
    }
}

/// The number of a daemon's pipe.
fn shared(pipe: u8) -> u8 {
    pipe.min(DAEMONS - 1)
}

/// Readable without holding anything.
fn is_over(source: &Source) -> bool {
    let interest = Interest::readable(source.reader.as_fd());
    liege_sys::poll::poll(&[interest], Some(Duration::ZERO)).is_ok_and(|ready| ready[0])
}

impl Child {
    /// What it has to say. What is wrong is told on, where there is still time for it.
    fn listen(&mut self, sources: &[Source], heard: &mut Heard, mut channel: Option<&mut Channel>) {
        let mut bytes = [0; 512];
        let ended = loop {
            match stream::read(&self.line, &mut bytes) {
                Read::Bytes(n) => self.read.extend_from_slice(&bytes[..n]),
                Read::Nothing => break false,
                Read::Ended => break true,
            }
        };
        while let Some(word) = Word::take(&mut self.read) {
            match word {
                Word::Refused(errno) => {
                    if let Some(channel) = &mut channel {
                        channel.say_failed(Place::Log, errno, "what it says meanwhile is lost", false);
                    }
                }
                Word::Noticed(notice, text) => heard.noticed.push((notice, text)),
                Word::Lost(lost) => heard.lost = lost,
                Word::Last { source, ago, text } => {
                    // Sources come and go in front of the child's only while there is none.
                    if let Some(source) = sources.get(usize::from(source)) {
                        heard.hear(source, Said { text, at: clock::now().checked_sub(ago) });
                    }
                }
            }
        }
        // Its end is on the way: nothing more is heard here, so nothing is waited for.
        self.finishes |= ended;
    }
}

impl Init {
    /// Has everything that was said written down, as far as that is possible in a moment.
    pub(crate) fn finish_output(&mut self) {
        let until = clock::now() + LAST_LINES;
        loop {
            self.output.relieve();
            if self.output.child.is_none() {
                if !self.output.holds_something() {
                    return;
                }
                self.output.fork(&self.one_thread);
                self.output.relieve(); // else it would wait for more
            }
            let left = until.saturating_duration_since(clock::now());
            let signals = [Interest::readable(self.signals.as_fd())];
            if left.is_zero() || liege_sys::poll::poll(&signals, Some(left)).is_err() {
                return;
            }
            self.receive_signals();
        }
    }
}
