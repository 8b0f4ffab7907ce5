//! The snapshot everybody reads: metrics, status, page and tests see the same.

use std::time::Duration;

use liege_spec::Diagnostic;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Health, Mounted, Name, Phase, Time, Usage};

/// All vassals at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct View {
    /// When.
    pub now: Time,
    /// Whether the daemon is on its way out.
    pub shutting_down: bool,
    /// By name.
    pub vassals: Vec<VassalView>,
    /// Files that never were usable, by name, each with its mistakes, a line each: they have no vassal.
    #[serde(default)]
    pub unusable: Vec<(Name, String)>,
    /// Those of them that could not be read because the host, or the daemon, lacks what is needed for it: they may be right.
    #[serde(default)]
    pub unread: Vec<Name>,
    /// Directories that are not what they were, and whose vassals are kept for now.
    #[serde(default)]
    pub held: Vec<HeldDirectory>,
}

impl View {
    /// The state of a file that has no vassal.
    #[must_use]
    pub fn file_word(&self, name: &Name) -> &'static str {
        file_word(self.unread.contains(name))
    }
}

/// The state of a file that has no vassal; `unread`: it could not be read yet, and may be right.
#[must_use]
pub fn file_word(unread: bool) -> &'static str {
    if unread { "not read yet" } else { "bad file" }
}

/// A vassals' directory that was unmounted, replaced by an empty one, or cannot be read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HeldDirectory {
    /// Its path.
    pub directory: String,
    /// So many vassals have their files there. None is known where a directory could not be read from the first: then nothing is kept.
    pub vassals: usize,
    /// What is wrong with it.
    pub why: String,
    /// Since when.
    pub since: Time,
    /// When it is believed, and they end; None: it is not.
    pub until: Option<Time>,
}

impl HeldDirectory {
    /// Whether no vassal of it is known: it is told because it cannot be read.
    #[must_use]
    pub fn is_unread(&self) -> bool {
        self.vassals == 0
    }
}

impl std::fmt::Display for HeldDirectory {
    /// What people are told, without the time.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_unread() {
            return write!(f, "{} {}: its vassals are not known", self.directory, self.why);
        }
        let (directory, vassals, many) = (&self.directory, self.vassals, if self.vassals == 1 { "" } else { "s" });
        write!(f, "{directory} {}: its {vassals} vassal{many} kept", self.why)
    }
}

/// So many mistakes of a file are shown; `liege check` has all of them.
const MISTAKES: usize = 20;
/// Characters of each.
const MISTAKE: usize = 400;

/// The mistakes of a file, a line each. Those of the file as a whole come last, because one in a line of it mostly is their cause: of a
/// misspelt `command` there is none.
pub(crate) fn mistakes(diagnostics: &[Diagnostic]) -> Option<String> {
    let mut errors: Vec<&Diagnostic> = diagnostics.iter().filter(|d| d.is_error()).collect();
    errors.sort_by_key(|d| d.line == 0);
    let mut lines: Vec<String> = errors.iter().take(MISTAKES).map(|d| in_a_line(d)).collect();
    let more = errors.len().saturating_sub(MISTAKES);
    if more > 0 {
        lines.push(format!("and {more} more (liege check)"));
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// Where, what, and what would mend it.
fn in_a_line(of: &Diagnostic) -> String {
    let place = if of.line == 0 { of.file.clone() } else { format!("{}:{}:{}", of.file, of.line, of.column) };
    let hint = of.hint.as_ref().map(|hint| format!(": {hint}")).unwrap_or_default();
    let line = format!("{place}: {}{hint}", of.message).replace('\n', " ");
    match line.char_indices().nth(MISTAKE) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Of a mount that does not answer and is not late.
pub(crate) fn no_answer_yet(waited: Duration) -> String {
    format!("no answer for {} s yet", waited.as_secs())
}

/// One vassal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VassalView {
    /// Its name.
    pub name: Name,
    /// Where it stands.
    pub phase: Phase,
    /// The pid of its init, in the daemon's pid namespace.
    pub pid: Option<i32>,
    /// When its phase began.
    pub since: Time,
    /// The uid it runs as, where its file tells: he may see and order it, as root may. Null: root alone.
    #[serde(default)]
    pub owner: Option<u32>,
    /// Its app runs as root: its file says so, or says nothing.
    #[serde(default)]
    pub runs_as_root: bool,
    /// As whom its app is started, whatever its process makes of itself. Null: as root, or it is not known yet.
    #[serde(default)]
    pub user: Option<UserView>,
    /// The pid of its app, in its own pid namespace.
    #[serde(default)]
    pub app_pid: Option<i32>,
    /// When the app that runs was started; a reload starts another one.
    #[serde(default)]
    pub up_since: Option<Time>,
    /// The app said it is ready (or was started, where it cannot say).
    pub ready: bool,
    /// The app accepts requests (uwsgi only).
    pub accepting: bool,
    /// The app has served a request (uwsgi only).
    pub loyal: bool,
    /// What its processes use; only where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Its watched mounts.
    pub mounts: Vec<MountView>,
    /// Who holds up its end, while it is being destroyed and somebody does: processes and mounts. And who of its earlier lives
    /// survives SIGKILL.
    pub leftovers: Vec<String>,
    /// Ends so far, by the word of their cause.
    pub restarts: Vec<(String, u64)>,
    /// Failures in a row.
    pub failures: u32,
    /// It fails over and over: each delay is longer.
    #[serde(default)]
    pub flapping: Option<Flapping>,
    /// It has failed as often as `start-limit` allows, and waits for a start, or for a change of its file.
    #[serde(default)]
    pub gave_up: bool,
    /// The vassal that had its file, and must end before it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// When it is tried again, while it waits.
    pub retry_at: Option<Time>,
    /// Why it last died, in one sentence: as its owner may read it.
    pub last_cause: Option<String>,
    /// When that was.
    #[serde(default)]
    pub last_end: Option<Time>,
    /// Why it last failed, whatever wished ends came after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<Failure>,
    /// The step of its start under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepView>,
    /// Its app runs, and has said that it may serve nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<String>,
    /// Its file has mistakes; what runs is the last good one. The mistakes, a line each.
    pub config_error: Option<String>,
    /// Its last reload was given up, because a step of it failed: the step, and why. The app of before runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload_given_up: Option<String>,
    /// What root alone may read instead.
    #[serde(skip)]
    #[schemars(skip)]
    pub roots: Roots,
}

/// A user by its numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserView {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// Sentences that tell root more than the owner of a vassal. None: they are the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roots {
    /// For `last_cause`.
    pub last_cause: Option<String>,
    /// For `last_failure`.
    pub last_failure: Option<String>,
}

impl VassalView {
    /// One of which nothing more is to be said.
    #[must_use]
    pub fn new(name: Name, phase: Phase, since: Time) -> Self {
        Self {
            name,
            phase,
            pid: None,
            since,
            owner: None,
            runs_as_root: false,
            user: None,
            app_pid: None,
            up_since: None,
            ready: false,
            accepting: false,
            loyal: false,
            usage: None,
            mounts: Vec::new(),
            leftovers: Vec::new(),
            restarts: Vec::new(),
            failures: 0,
            flapping: None,
            gave_up: false,
            waits_for: None,
            retry_at: None,
            last_cause: None,
            last_end: None,
            last_failure: None,
            step: None,
            doubt: None,
            config_error: None,
            reload_given_up: None,
            roots: Roots::default(),
        }
    }
}

/// Why a vassal failed, in this daemon's life or an earlier one's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// The word of the closed list.
    pub cause: String,
    /// The sentence.
    pub what: String,
    /// Seconds before the snapshot.
    pub ago: f64,
}

/// A step of a start that may last: a program of a hook, a wait.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepView {
    /// The step, and the line that asked for it.
    pub what: String,
    /// When it began.
    pub since: Time,
    /// What to do where it lasts.
    pub advice: Option<String>,
}

impl VassalView {
    /// With the sentences that only root may read.
    #[must_use]
    pub fn for_root(mut self) -> Self {
        let Roots { last_cause, last_failure } = std::mem::take(&mut self.roots);
        if last_cause.is_some() {
            self.last_cause = last_cause;
        }
        if let (Some(failure), Some(what)) = (&mut self.last_failure, last_failure) {
            failure.what = what;
        }
        self
    }

    /// Something of it is not as it should be, though it may run: its file, its last reload or its app.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        self.config_error.is_some() || self.reload_given_up.is_some() || self.doubt.is_some()
    }

    /// The word people see: how it does where that matters more than its phase.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match (self.gave_up, self.flapping, &self.doubt) {
            (true, _, _) => "gave_up",
            (false, Some(_), _) => "flapping",
            (false, None, Some(_)) => "doubtful",
            (false, None, None) => self.phase.word(),
        }
    }
}

/// A vassal that fails over and over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Flapping {
    /// When it was seen to.
    pub since: Time,
    /// Failures so far, those that made it so with them.
    pub failures: u32,
    /// A run that lasts so long ends it.
    pub steady_after: Duration,
}

/// One watched mount.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MountView {
    /// The path in the vassal's root.
    pub path: String,
    /// The last answer; None before the first.
    pub health: Option<Health>,
    /// Microseconds the last probe took, or the one under way takes that has no answer for longer than usual.
    pub micros: u64,
    /// When that one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unanswered_since: Option<Time>,
    /// The mount first seen there, which must stay.
    pub mount: Option<Mounted>,
    /// How many looks in a row found it hung.
    pub hung: u32,
    /// How many looks in a row could not be made.
    #[serde(default)]
    pub unknown: u32,
    /// A mount must be there: the file says so, or one was seen there since the file last changed.
    #[serde(default)]
    pub expected: bool,
    /// Why nothing is mounted there, where the step that was to mount it failed. Or how long there is no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl MountView {
    /// Nothing is known of it yet.
    #[must_use]
    pub fn new(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            health: None,
            micros: 0,
            unanswered_since: None,
            mount: None,
            hung: 0,
            unknown: 0,
            expected: false,
            why: None,
        }
    }

    /// As it is shown now: while there is no answer the time without one grows.
    pub(crate) fn at(&self, now: Time) -> Self {
        let mut shown = self.clone();
        if let Some(since) = self.unanswered_since {
            let waited = now - since;
            shown.micros = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
            shown.why = Some(no_answer_yet(waited));
        }
        shown
    }

    /// Whether its mount is missed. One that never was there is shown, and nothing waits for it.
    #[must_use]
    pub fn is_missed(&self) -> bool {
        self.expected && (self.health == Some(Health::NotMounted) || self.mount.is_none_or(|mount| mount.not_mounted))
    }

    /// The word people see.
    #[must_use]
    pub fn word(&self) -> &'static str {
        self.health.map_or("unknown", Health::word)
    }
}
