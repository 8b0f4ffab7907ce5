//! What makes a running app doubtful: it serves nothing by its own words, or something of it dies again and again.
//!
//! | doubt | begins | ends |
//! |---|---|---|
//! | no app, no plugin | uwsgi says so, for the first time in this run; told with the option for the app | with the run |
//! | workers die | the [`MANY`]th death within [`WINDOW`] | after a rest of three times the mean gap between the last deaths, at least [`REST`] |
//! | requests last too long | the same of the processes that uwsgi kills for that (harakiri) | the same rest |
//! | an attached daemon does not stay up | the same of its ends | the same rest, since it was started last |
//!
//! What a uwsgi says at its start is the cause, and what requests bring up later is a consequence: the first line of a kind stands. A
//! plugin that is missing explains that there is no app, but not why one could not be loaded: that is told as well.
//!
//! A uwsgi says when a worker dies, and not when the next one works: so only a rest is a sign of that. One death is none of a
//! doubt: whatever crashed was started again.

use std::{collections::BTreeMap, time::Duration};

use liege_plan::Notice;

use super::Vassal;
use crate::{Note, Time, advice, cause::quoting, emperor::Context, timers::Timer};

/// So many deaths within this time are a doubt.
const MANY: usize = 3;
const WINDOW: Duration = Duration::from_secs(60);
/// A shorter time without a death says nothing.
const REST: Duration = Duration::from_secs(10);

/// What a uwsgi says where it has no app at all, whatever the reason.
const NONE_LOADED: &str = "no app loaded";

/// What dies again and again, or not.
#[derive(Debug, Default)]
struct Deaths {
    /// The last [`MANY`] at most.
    at: Vec<Time>,
    /// What was said of the last one, and what of it is told when it is over.
    said: String,
    of: String,
    /// Enough of them came within the window, and there was no rest since.
    is_many: bool,
    /// When the rest will have been long enough.
    over: Option<Time>,
}

impl Deaths {
    /// One more. Whether that makes them many.
    fn add(&mut self, now: Time, said: String) -> bool {
        if !self.is_many {
            self.at.retain(|at| now - *at < WINDOW);
        }
        if self.at.len() == MANY {
            self.at.remove(0);
        }
        self.at.push(now);
        self.said = said;
        let is_news = !self.is_many && self.at.len() == MANY;
        self.is_many |= is_news;
        is_news
    }

    /// From now on it seems to live. Deaths that are not many are forgotten with their window.
    fn rests(&mut self, now: Time) {
        if !self.is_many {
            return;
        }
        let (first, last) = (self.at.first().copied().unwrap_or(now), self.at.last().copied().unwrap_or(now));
        let gaps = u32::try_from(self.at.len().saturating_sub(1)).unwrap_or(1).max(1);
        self.over = Some(now + REST.max((last - first) * 3 / gaps));
    }
}

/// All doubts of one run.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    said: BTreeMap<Notice, (String, Time)>,
    workers: Deaths,
    /// Those that its uwsgi kills for a request that lasts too long.
    harakiri: Deaths,
    /// By their place in the plan.
    daemons: BTreeMap<u32, Deaths>,
}

impl Doubts {
    /// A new app: what the one before it said is not said of it. Daemons stay.
    pub(super) fn begin_run(&mut self) {
        self.said.clear();
        (self.workers, self.harakiri) = (Deaths::default(), Deaths::default());
    }

    /// Other daemons than before.
    pub(super) fn begin_daemons(&mut self) {
        self.daemons.clear();
    }

    /// The line of this kind, if there was one.
    pub(super) fn line(&self, notice: Notice) -> Option<&str> {
        self.said.get(&notice).map(|(line, _)| &**line)
    }

    /// The same, where it was said last at such a time.
    pub(super) fn line_since(&self, notice: Notice, is_new: impl Fn(Time) -> bool) -> Option<&str> {
        self.said.get(&notice).filter(|(_, at)| is_new(*at)).map(|(line, _)| &**line)
    }

    /// All that is to be doubted, in one sentence.
    pub(super) fn sentence(&self) -> Option<String> {
        let plugin = self.line(Notice::NoPlugin).map(no_plugin);
        let app = self.line(Notice::NoApp).filter(|why| plugin.is_none() || !why.contains(NONE_LOADED)).map(no_app);
        let workers = Some(&self.workers).filter(|workers| workers.is_many).map(|workers| workers_die(&workers.said));
        let harakiri = Some(&self.harakiri).filter(|killed| killed.is_many).map(|killed| takes_too_long(&killed.said));
        let daemons = self.daemons.values().filter(|daemon| daemon.is_many).map(|daemon| daemon_dies(&daemon.said));
        let all: Vec<String> = plugin.into_iter().chain(app).chain(workers).chain(harakiri).chain(daemons).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// When the next one is over.
    fn next_over(&self) -> Option<Time> {
        self.deaths().filter_map(|deaths| deaths.over).min()
    }

    fn deaths(&self) -> impl Iterator<Item = &Deaths> {
        [&self.workers, &self.harakiri].into_iter().chain(self.daemons.values())
    }

    /// Forgets what is over; the sentences of those that were many.
    fn take_over(&mut self, now: Time) -> Vec<String> {
        let is_over = |deaths: &Deaths| deaths.over.is_some_and(|over| over <= now);
        let mut sentences = Vec::new();
        if is_over(&self.workers) {
            let workers = std::mem::take(&mut self.workers);
            sentences.extend(workers.is_many.then(|| "its processes live again".to_owned()));
        }
        if is_over(&self.harakiri) {
            let killed = std::mem::take(&mut self.harakiri);
            sentences.extend(killed.is_many.then(|| "its uwsgi kills nothing by harakiri any more".to_owned()));
        }
        for deaths in self.daemons.values_mut().filter(|deaths| is_over(deaths)) {
            let deaths = std::mem::take(deaths);
            sentences.extend(deaths.is_many.then(|| format!("stays up again: {}", deaths.of)));
        }
        sentences
    }
}

fn no_plugin(line: &str) -> String {
    format!("a plugin is missing (plugin = NAME, or its package), its uwsgi says: {line}")
}

/// `why`: what uwsgi says, behind the option that it is about.
fn no_app(why: &str) -> String {
    format!("it may serve nothing, {why}")
}

fn workers_die(line: &str) -> String {
    format!("its processes die again and again, it says: {line}")
}

/// Which option that is: the line says what was killed.
fn takes_too_long(line: &str) -> String {
    let has = |what: &str| line.contains(&format!("HARAKIRI ON {what}"));
    let what = if has("MULE") {
        "what its mules do takes longer than mule-harakiri"
    } else if has("THE SPOOLER") {
        "what its spooler does takes longer than spooler-harakiri"
    } else if has("CRON") {
        "what its cron does takes longer than cron-harakiri"
    } else {
        "requests take longer than harakiri"
    };
    format!("{what}, its uwsgi says: {line}")
}

fn daemon_dies(what: &str) -> String {
    format!("does not stay up: {what}")
}

impl Vassal {
    /// The app printed something that says more than that it runs.
    pub(super) fn noticed(&mut self, notice: Notice, line: String, cx: &mut Context<'_>) {
        let Some(life) = &mut self.life else { return };
        let doubts = &mut life.doubts;
        let news = match notice {
            Notice::NoApp | Notice::NoPlugin if doubts.said.contains_key(&notice) => None,
            Notice::NoPlugin => {
                let news = no_plugin(&line);
                doubts.said.insert(notice, (line, cx.now));
                Some(news)
            }
            Notice::NoApp => {
                let option = life.running.as_ref().and_then(|config| advice::option_meant(&line, &config.fresh));
                let option = option.map(|option| format!("{option}, ")).unwrap_or_default();
                let why = format!("{option}its uwsgi says: {line}");
                let news = no_app(&why);
                doubts.said.insert(notice, (why, cx.now));
                Some(news)
            }
            Notice::AddressInUse | Notice::LeftBehind => {
                doubts.said.insert(notice, (line, cx.now));
                None // it is the reason of the end that follows, or of none
            }
            Notice::WorkerDied => {
                let is_news = doubts.workers.add(cx.now, line.clone());
                doubts.workers.rests(cx.now);
                is_news.then(|| workers_die(&line))
            }
            Notice::Harakiri => {
                let is_news = doubts.harakiri.add(cx.now, line.clone());
                doubts.harakiri.rests(cx.now);
                is_news.then(|| takes_too_long(&line))
            }
        };
        self.doubted(news, cx);
    }

    /// The app begins anew in its own process.
    pub(super) fn undoubt_run(&mut self, cx: &mut Context<'_>) {
        if let Some(life) = &mut self.life {
            life.doubts.begin_run();
        }
        self.doubted(None, cx);
    }

    /// An attached daemon ended, and will be started again. `said`: its own words.
    pub(super) fn daemon_died(&mut self, index: u32, what: &str, said: Option<&str>, cx: &mut Context<'_>) {
        let Some(life) = &mut self.life else { return };
        let deaths = life.doubts.daemons.entry(index).or_default();
        what.clone_into(&mut deaths.of);
        let told = quoting(what, said);
        let is_news = deaths.add(cx.now, told.clone());
        deaths.over = None; // there is no rest while it is not there
        self.doubted(is_news.then(|| daemon_dies(&told)), cx);
    }

    /// It was started (again).
    pub(super) fn daemon_lives(&mut self, index: u32, cx: &mut Context<'_>) {
        let Some(life) = &mut self.life else { return };
        if let Some(deaths) = life.doubts.daemons.get_mut(&index) {
            deaths.rests(cx.now);
        }
        self.doubted(None, cx);
    }

    /// A rest was long enough.
    pub(super) fn doubts_due(&mut self, cx: &mut Context<'_>) {
        let over = self.life.as_mut().map(|life| life.doubts.take_over(cx.now)).unwrap_or_default();
        for what in over {
            cx.note(Note::Undoubted { vassal: self.name.clone(), what });
        }
        self.doubted(None, cx);
    }

    fn doubted(&mut self, news: Option<String>, cx: &mut Context<'_>) {
        if let Some(what) = news {
            cx.note(Note::Doubtful { vassal: self.name.clone(), what });
        }
        match self.life.as_ref().and_then(|life| life.doubts.next_over()) {
            Some(over) => self.timers.arm(Timer::Doubts, over),
            None => self.timers.disarm(Timer::Doubts),
        }
    }
}
