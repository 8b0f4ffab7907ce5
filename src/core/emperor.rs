//! The machine of the daemon: all vassals, the places to start, the deadlines.
//!
//! One event in, a list of actions out. The emperor finds the vassal an event is for, lets it decide, hands out free places to
//! start in the order they were asked for, and keeps the one sorted table of deadlines that a single timer serves.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use liege_plan::{FromInit, Limits};
use liege_spec::{EmperorSpec, Hook, Namespaces, RestartLimits};

use crate::{
    Action, Answer, Cause, Event, FileId, HeldDirectory, Listener, Name, Note, Order, Phase, Request, Time, VassalView, View,
    request::{ROOT, may},
    storm::Storms,
    succession::Succession,
    unusable::Unusable,
    vassal::{Vassal, Whose},
    view::mistakes,
};

/// The files that an order is about were read for it.
#[derive(Debug)]
pub(crate) struct ReadFirst {
    /// After that moment.
    pub(crate) since: Time,
    /// Those that could not be read, each with the reason.
    pub(crate) unread: BTreeMap<Name, String>,
}

/// What the emperor's file decides for all vassals.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) namespaces: Namespaces,
    pub(crate) vassal_caps: Option<u64>,
    pub(crate) throttle: Duration,
    pub(crate) max_throttle: Duration,
    pub(crate) restarts: RestartLimits,
    pub(crate) required_heartbeat: Duration,
    pub(crate) graceful_stop: bool,
    pub(crate) vassal_hooks: Vec<Hook>,
    pub(crate) limits: Limits,
}

/// The places to start at once.
#[derive(Debug)]
pub(crate) struct Starts {
    free: usize,
    queue: VecDeque<Name>,
}

impl Starts {
    pub(crate) fn queue(&mut self, name: Name) {
        self.queue.push_back(name);
    }

    pub(crate) fn give_back(&mut self) {
        self.free += 1;
    }
}

/// What a vassal may see and touch while it decides.
pub(crate) struct Context<'a> {
    pub(crate) now: Time,
    pub(crate) settings: &'a Settings,
    pub(crate) starts: &'a mut Starts,
    births: &'a mut u64,
    pub(crate) storms: &'a mut Storms,
    /// The daemon was told to end.
    pub(crate) is_ending: bool,
    actions: &'a mut Vec<Action>,
}

impl Context<'_> {
    pub(crate) fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    pub(crate) fn note(&mut self, note: Note) {
        self.actions.push(Action::Note(note));
    }

    pub(crate) fn next_birth(&mut self) -> u64 {
        *self.births += 1;
        *self.births
    }
}

/// How far the end of the daemon has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reign {
    Rules,
    ShuttingDown,
    Hurrying,
    Over,
}

/// The pure machine of the daemon.
#[derive(Debug)]
pub struct Emperor {
    settings: Settings,
    reign: Reign,
    vassals: BTreeMap<Name, Vassal>,
    /// Files without a vassal, because they never were usable: the first mistake of each, only to be shown.
    unusable: BTreeMap<Name, Unusable>,
    /// By its path.
    held: BTreeMap<String, HeldDirectory>,
    starts: Starts,
    births: u64,
    storms: Storms,
    succession: Succession,
    deadlines: BTreeSet<(Time, Name)>,
    /// Those with a deadline that ends something.
    pressed: BTreeSet<Name>,
}

impl Emperor {
    /// A daemon without vassals. `processors` decides how many may start at once where the file does not.
    #[must_use]
    pub fn new(spec: &EmperorSpec, processors: usize, limits: Limits) -> Self {
        Self {
            settings: Settings {
                namespaces: spec.namespaces,
                vassal_caps: spec.vassal_caps.as_ref().map(|asked| asked.value),
                throttle: spec.throttle,
                max_throttle: spec.max_throttle,
                restarts: spec.restarts,
                required_heartbeat: spec.required_heartbeat,
                graceful_stop: spec.graceful_stop,
                vassal_hooks: spec.vassal_hooks.clone(),
                limits,
            },
            reign: Reign::Rules,
            vassals: BTreeMap::new(),
            unusable: BTreeMap::new(),
            held: BTreeMap::new(),
            starts: Starts { free: spec.max_starts.unwrap_or(2 * processors).max(1), queue: VecDeque::new() },
            births: 0,
            storms: Storms::default(),
            succession: Succession::default(),
            deadlines: BTreeSet::new(),
            pressed: BTreeSet::new(),
        }
    }

    /// Something happened at `now`: what is to be done. Times never run backwards.
    pub fn handle(&mut self, now: Time, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        self.dispatch(now, event, &mut actions);
        for name in self.storms.take_released() {
            self.with(now, &name, &mut actions, Vassal::released);
        }
        self.hand_out_starts(now, &mut actions);
        if self.reign != Reign::Rules && self.reign != Reign::Over && self.vassals.is_empty() {
            self.reign = Reign::Over;
            actions.push(Action::Quit);
        }
        actions
    }

    /// When the machine wants to hear [`Event::Deadline`]; always later than the last one it was told.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Whether a deadline is pending that ends something: a step, a start, an app that beats, what saves. While nothing can run the time that
    /// the machine is told must stand still then.
    #[must_use]
    pub fn is_pressed(&self) -> bool {
        !self.pressed.is_empty()
    }

    /// Whether the app of a vassal is ready, where it runs.
    #[must_use]
    pub fn is_ready(&self, vassal: &Name) -> bool {
        self.vassals.get(vassal).is_some_and(Vassal::is_ready_now)
    }

    /// The snapshot of everything.
    #[must_use]
    pub fn view(&self, now: Time) -> View {
        self.view_of(now, ROOT)
    }

    /// The snapshot, as far as this user may see it. What it costs grows with what is seen.
    #[must_use]
    pub fn view_of(&self, now: Time, user: u32) -> View {
        let seen = self.vassals.values().filter(|vassal| may(user, vassal.seen_by()));
        let mut view = View {
            now,
            shutting_down: self.reign != Reign::Rules,
            vassals: seen.map(|vassal| self.view_of_one(now, vassal, user)).collect(),
            ..View::default()
        };
        if user == ROOT {
            view.unread = self.unusable.iter().filter(|(_, file)| file.is_unread).map(|(name, _)| name.clone()).collect();
            view.unusable = self.unusable.iter().map(|(name, file)| (name.clone(), file.why(now))).collect();
            view.held = self.held.values().cloned().collect();
        }
        view
    }

    fn view_of_one(&self, now: Time, vassal: &Vassal, user: u32) -> VassalView {
        let mut view = vassal.view(now);
        let waits_for = self.succession.awaited_by(vassal.name()).filter(|_| vassal.phase() == Phase::Waiting);
        view.waits_for = waits_for.map(|other| {
            let may_know = self.vassals.get(other).is_some_and(|other| may(user, other.seen_by()));
            if may_know { other.to_string() } else { "another vassal".to_owned() }
        });
        view
    }

    /// As whom the vassal with this init runs; None also where it is root's.
    #[must_use]
    pub fn owner_of(&self, init: i32) -> Option<u32> {
        self.vassals.values().find(|vassal| vassal.init() == Some(init)).and_then(Vassal::seen_by)
    }

    fn dispatch(&mut self, now: Time, event: Event, actions: &mut Vec<Action>) {
        match event {
            Event::Config { vassal, config, directory, touched, file } => {
                self.unusable.remove(&vassal);
                if self.reign != Reign::Rules {
                    return; // nothing is begun any more
                }
                if self.vassals.contains_key(&vassal) {
                    self.with(now, &vassal, actions, |v, cx| v.config(config, directory, touched, file, cx));
                } else {
                    self.add(now, vassal.clone(), config, directory, file, actions);
                }
                if self.vassals.get(&vassal).is_some_and(Vassal::will_be_born) {
                    self.follow(&vassal, actions);
                }
            }
            Event::BadConfig { vassal, diagnostics } => {
                if self.vassals.contains_key(&vassal) {
                    self.with(now, &vassal, actions, |v, cx| v.bad_config(diagnostics, cx));
                } else {
                    self.unusable.insert(vassal.clone(), Unusable::with(mistakes(&diagnostics).unwrap_or_default()));
                    actions.push(Action::Note(Note::BadConfig { vassal, runs_on: false, diagnostics }));
                }
            }
            Event::Unread { vassal, why } => {
                let runs_on = self.vassals.get(&vassal).is_some_and(Vassal::runs_on);
                // A file that has mistakes keeps them.
                let has_mistakes = self.unusable.get(&vassal).is_some_and(|file| !file.is_unread);
                if !has_mistakes && !self.vassals.contains_key(&vassal) {
                    self.unusable.insert(vassal.clone(), Unusable::unread(why.clone()));
                }
                actions.push(Action::Note(Note::Unread { vassal, runs_on, why, hangs: false }));
            }
            Event::Unanswered { vassal, what, lasts } => {
                let runs_on = self.vassals.get(&vassal).is_some_and(Vassal::runs_on);
                let file = Unusable::unanswered(what, now, lasts);
                let why = file.why(now);
                if !self.unusable.contains_key(&vassal) && !self.vassals.contains_key(&vassal) {
                    self.unusable.insert(vassal.clone(), file);
                }
                actions.push(Action::Note(Note::Unread { vassal, runs_on, why, hangs: true }));
            }
            Event::Vanished { vassal } => {
                self.unusable.remove(&vassal);
                self.with(now, &vassal, actions, |v, cx| v.down(Cause::Vanished, cx));
            }
            Event::DirectoryHeld { directory, vassals, why, believed_in } => {
                let is_news = self.held.get(&directory).is_none_or(|held| held.why != why);
                let since = self.held.get(&directory).map_or(now, |held| held.since);
                let until = believed_in.map(|span| now + span);
                let held = HeldDirectory { directory: directory.clone(), vassals, why: why.clone(), since, until };
                self.held.insert(directory.clone(), held);
                if is_news {
                    actions.push(Action::Note(Note::DirectoryHeld { directory, vassals, why, believed_in }));
                }
            }
            Event::DirectoryReleased { directory, believed } => {
                if let Some(held) = self.held.remove(&directory) {
                    let (vassals, after) = (held.vassals, now - held.since);
                    if !believed {
                        self.directory_is_back(now, &directory, held.since, actions);
                    }
                    actions.push(Action::Note(Note::DirectoryReleased { directory, vassals, believed, after }));
                }
            }
            Event::Spawned { vassal, birth, pid } => {
                if self.lives(&vassal, birth) {
                    let waits = self.succession.awaited_by(&vassal).is_some();
                    self.with(now, &vassal, actions, |v, cx| v.spawned(pid, waits, cx));
                } else {
                    actions.push(Action::Kill { vassal, birth }); // of a life nobody knows: nothing may be left of it
                }
            }
            Event::Mounted { vassal, birth, points } => {
                self.of_life(now, &vassal, birth, actions, |v, _| v.mounted_at_birth(points));
            }
            Event::SpawnFailed { vassal, birth, stage, errno, own_bound } => {
                self.of_life(now, &vassal, birth, actions, |v, cx| v.spawn_failed(&stage, errno, own_bound, cx));
            }
            Event::Reported { vassal, birth, report } => self.report(now, &vassal, birth, report, actions),
            Event::Garbled { vassal, birth } => self.of_life(now, &vassal, birth, actions, Vassal::garbled),
            Event::OomKilled { vassal, birth, kills, around } => {
                self.of_life(now, &vassal, birth, actions, |v, cx| v.oom_killed(kills, around, cx));
            }
            Event::Exited { vassal, birth, exit } => {
                if self.lives(&vassal, birth) {
                    self.with(now, &vassal, actions, |v, cx| v.exited(exit, cx));
                } else {
                    actions.push(Action::Release { vassal, birth });
                }
            }
            Event::Probed { vassal, birth, path, probed } => {
                self.of_life(now, &vassal, birth, actions, |v, cx| v.probed(&path, probed, cx));
            }
            Event::Secured { vassal, birth, number } => {
                self.of_life(now, &vassal, birth, actions, |v, cx| v.secured(number, cx));
            }
            Event::Examined { vassal, birth, found, is_stuck } => {
                self.of_life(now, &vassal, birth, actions, |v, cx| v.examined(found, is_stuck, cx));
            }
            Event::Listening { vassal, birth, found } => {
                let found = found.into_iter().map(|listener| (self.whose(&listener), listener)).collect();
                self.of_life(now, &vassal, birth, actions, |v, cx| v.listening(found, cx));
            }
            Event::LeftBehind { vassal, found } => {
                // Told also where the vassal is gone: they are not.
                actions.push(Action::Note(Note::LeftBehind { vassal: vassal.clone(), found: found.clone() }));
                self.with(now, &vassal, actions, |v, _| v.left_behind(found));
            }
            Event::Deadline => self.deadline(now, actions),
            Event::Asked(request) => self.asked(now, request, None, actions),
            Event::ReadAndAsked { request, received, unread } => {
                self.asked(now, request, Some(&ReadFirst { since: received, unread }), actions);
            }
        }
    }

    fn report(&mut self, now: Time, vassal: &Name, birth: u64, report: FromInit, actions: &mut Vec<Action>) {
        self.of_life(now, vassal, birth, actions, |v, cx| v.reported(report, cx));
    }

    fn deadline(&mut self, now: Time, actions: &mut Vec<Action>) {
        while let Some((at, name)) = self.deadlines.first().cloned() {
            if at > now {
                break;
            }
            self.with(now, &name, actions, |v, cx| {
                while let Some(timer) = v.timers.take_due(now) {
                    v.due(timer, cx);
                }
            });
        }
    }

    /// `read`: the files it is about were read for it.
    fn asked(&mut self, now: Time, request: Request, read: Option<&ReadFirst>, actions: &mut Vec<Action>) {
        let answer = match request {
            Request::Shutdown => self.shut_down(now, actions),
            _ if self.reign != Reign::Rules => Answer::refused("the daemon is ending"),
            Request::Rescan => {
                actions.push(Action::Rescan);
                Answer::Done
            }
            Request::Believe => {
                actions.push(Action::Believe);
                Answer::Done
            }
            Request::Each { order, by } => self.order_each(now, order, read, by, actions),
            Request::One { vassal, order, by } => self.order_one(now, &vassal, (order, read), by, actions),
        };
        actions.push(Action::Answer(answer));
    }

    fn shut_down(&mut self, now: Time, actions: &mut Vec<Action>) -> Answer {
        match self.reign {
            Reign::Rules => {
                self.reign = Reign::ShuttingDown;
                actions.push(Action::Note(Note::ShuttingDown { vassals: self.vassals.len() }));
                self.each(now, actions, |v, cx| v.down(Cause::Requested, cx));
            }
            Reign::ShuttingDown => {
                self.reign = Reign::Hurrying;
                actions.push(Action::Note(Note::Hurrying { vassals: self.vassals.len() }));
                self.each(now, actions, Vassal::hurry);
            }
            Reign::Hurrying | Reign::Over => return Answer::nothing("it cannot be hurried more"),
        }
        Answer::Done
    }

    /// The vassals whose files are read before this request is answered: it brings their apps up with what the files say.
    #[must_use]
    pub fn to_be_read(&self, request: &Request) -> Vec<Name> {
        let brings_up = |order: Order| matches!(order, Order::Start | Order::Restart | Order::Reload);
        let is_his = |name: &Name, by| self.vassals.get(name).map_or(may(by, None), |vassal| may(by, vassal.owner()));
        match request {
            _ if self.reign != Reign::Rules => Vec::new(),
            Request::One { vassal, order, by } if brings_up(*order) && is_his(vassal, *by) => vec![vassal.clone()],
            Request::Each { order, by } if brings_up(*order) => {
                let all = self.vassals.keys().chain(self.unusable.keys());
                all.filter(|name| is_his(name, *by)).cloned().collect()
            }
            Request::Shutdown | Request::Rescan | Request::Believe | Request::One { .. } | Request::Each { .. } => Vec::new(),
        }
    }

    /// A restart of all is for all that are wanted: who was stopped, or is about to be, stays so.
    fn order_each(&mut self, now: Time, order: Order, read: Option<&ReadFirst>, by: u32, actions: &mut Vec<Action>) -> Answer {
        let is_meant = |v: &Vassal| may(by, v.owner()) && !(order == Order::Restart && v.is_stopped());
        let meant = self.vassals.iter().filter(|(_, v)| is_meant(v));
        let refused = |(name, v): (&Name, &Vassal)| (name.clone(), v.refused_at_once(order, read));
        let (mut answers, mut left) = (Vec::new(), Vec::new());
        for (name, refused) in meant.map(refused).collect::<Vec<_>>() {
            match refused {
                Some(why) => left.push((name, why)),
                None => answers.push((name.clone(), self.order_one(now, &name, (order, read), by, actions))),
            }
        }
        Answer::of_all(answers, left)
    }

    fn order_one(
        &mut self,
        now: Time,
        name: &Name,
        (order, read): (Order, Option<&ReadFirst>),
        by: u32,
        actions: &mut Vec<Action>,
    ) -> Answer {
        match (self.vassals.get(name), self.unusable.get(name)) {
            (Some(vassal), _) if may(by, vassal.owner()) => {
                self.with(now, name, actions, |v, cx| v.ordered(order, read, cx)).unwrap_or(Answer::Unknown)
            }
            (None, Some(unusable)) if may(by, None) => {
                let unread = read
                    .and_then(|read| read.unread.get(name))
                    .cloned()
                    .or_else(|| unusable.is_unread.then(|| unusable.why(now)));
                Answer::Refused(match unread {
                    Some(why) => format!("its file cannot be read: {why}"),
                    None => format!("its file is bad: {}", unusable.what.lines().next().unwrap_or_default()),
                })
            }
            (Some(_), _) | (None, _) => Answer::Unknown,
        }
    }

    /// Who may hear of this beside root, where it is about a vassal that is there; None within: nobody.
    #[must_use]
    pub fn audience(&self, note: &Note) -> Option<Option<u32>> {
        let seen_by = |name: &Name| self.vassals.get(name).map(Vassal::seen_by);
        match note {
            // It names another one's vassal.
            Note::WaitsFor { vassal, other } if seen_by(vassal) != seen_by(other) => Some(None),
            note => note.owner().or_else(|| Some(self.vassals.get(note.vassal()?)?.audience(note))),
        }
    }

    /// What has failed while its directory was away may have failed of that.
    fn directory_is_back(&mut self, now: Time, directory: &str, since: Time, actions: &mut Vec<Action>) {
        let names: Vec<Name> = self.vassals.keys().cloned().collect();
        for name in names {
            self.with(now, &name, actions, |vassal, cx| vassal.directory_is_back(directory, since, cx));
        }
    }

    fn add(
        &mut self,
        now: Time,
        name: Name,
        config: Arc<liege_spec::VassalConfig>,
        directory: String,
        file: Option<FileId>,
        actions: &mut Vec<Action>,
    ) {
        let mut cx = Context {
            now,
            settings: &self.settings,
            starts: &mut self.starts,
            births: &mut self.births,
            storms: &mut self.storms,
            is_ending: self.reign != Reign::Rules,
            actions,
        };
        let vassal = Vassal::new(name.clone(), config, directory, file, &mut cx);
        self.vassals.insert(name, vassal);
    }

    /// Free places go to those whose time has come, in the order they asked.
    fn hand_out_starts(&mut self, now: Time, actions: &mut Vec<Action>) {
        while self.starts.free > 0 {
            let Some(name) = self.starts.queue.pop_front() else { break };
            // One that is gone or no longer wants to start has left its place in the queue behind.
            if self.vassals.get(&name).is_some_and(|v| v.due && v.phase() == Phase::Waiting) {
                // The end it waits for queues it again.
                if self.follow(&name, actions) {
                    continue;
                }
                self.starts.free -= 1;
                self.with(now, &name, actions, Vassal::spawn);
            }
        }
    }

    /// Whether a birth under this name waits for the end of another vassal.
    fn follow(&mut self, name: &Name, actions: &mut Vec<Action>) -> bool {
        if let Some(other) = self.succession.follow(name, &self.vassals) {
            actions.push(Action::Note(Note::WaitsFor { vassal: name.clone(), other }));
        }
        self.succession.awaited_by(name).is_some()
    }

    /// The vassal one of whose processes holds this socket.
    fn whose(&self, listener: &Listener) -> Option<Whose> {
        let init = listener.holder.as_ref()?.below?;
        self.vassals.values().find_map(|vassal| vassal.whose(init))
    }

    fn lives(&self, name: &Name, birth: u64) -> bool {
        self.vassals.get(name).is_some_and(|v| v.birth() == Some(birth))
    }

    /// For what an earlier life may still say after its end: stale, ignored.
    fn of_life(
        &mut self,
        now: Time,
        name: &Name,
        birth: u64,
        actions: &mut Vec<Action>,
        decide: impl FnOnce(&mut Vassal, &mut Context<'_>),
    ) {
        if self.lives(name, birth) {
            self.with(now, name, actions, decide);
        }
    }

    fn each(&mut self, now: Time, actions: &mut Vec<Action>, decide: impl Fn(&mut Vassal, &mut Context<'_>)) {
        let names: Vec<Name> = self.vassals.keys().cloned().collect();
        for name in names {
            self.with(now, &name, actions, &decide);
        }
    }

    /// Lets one vassal decide, then keeps the table of deadlines and the list of vassals true.
    fn with<T>(
        &mut self,
        now: Time,
        name: &Name,
        actions: &mut Vec<Action>,
        decide: impl FnOnce(&mut Vassal, &mut Context<'_>) -> T,
    ) -> Option<T> {
        let vassal = self.vassals.get_mut(name)?;
        let (before, birth, was_pressed) = (vassal.timers.next(), vassal.birth(), vassal.is_pressed());
        let mut cx = Context {
            now,
            settings: &self.settings,
            starts: &mut self.starts,
            births: &mut self.births,
            storms: &mut self.storms,
            is_ending: self.reign != Reign::Rules,
            actions,
        };
        let decided = decide(vassal, &mut cx);
        let after = vassal.timers.next();
        if before != after {
            if let Some(at) = before {
                self.deadlines.remove(&(at, name.clone()));
            }
            if let Some(at) = after {
                self.deadlines.insert((at, name.clone()));
            }
        }
        match (was_pressed, vassal.is_pressed()) {
            (false, true) => _ = self.pressed.insert(name.clone()),
            (true, false) => _ = self.pressed.remove(name),
            (true, true) | (false, false) => {}
        }
        let is_over = birth.filter(|_| vassal.birth() != birth);
        if vassal.phase() == Phase::Gone
            && let Some(mistake) = self.vassals.remove(name).and_then(Vassal::into_mistake)
        {
            self.unusable.insert(name.clone(), Unusable::with(mistake)); // of a file that came after the one that is gone
        }
        self.succession.update(name, self.vassals.get(name));
        if let Some(birth) = is_over {
            self.succession.over(name, birth).into_iter().for_each(|next| self.starts.queue(next));
        }
        Some(decided)
    }
}
