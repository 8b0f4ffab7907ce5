//! What people are told: one closed list of things that happen to vassals, each one sentence.

use std::time::Duration;

use liege_spec::Diagnostic;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Cause, Name, vassal::not_saved};

/// How loud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Only when asked.
    Debug,
    /// The ordinary course.
    Info,
    /// Somebody should look.
    Warn,
    /// Something does not work.
    Error,
}

/// Something worth telling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields of a sentence are explained by the sentence")]
pub enum Note {
    /// A new file.
    Added { vassal: Name },
    /// It starts when this one has ended, which had its file.
    WaitsFor { vassal: Name, other: Name },
    /// The app runs.
    Started { vassal: Name, pid: i32, took: Duration },
    /// The app is ready.
    Ready { vassal: Name, took: Duration },
    /// The app accepts requests.
    Accepting { vassal: Name },
    /// The app has served a request.
    Loyal { vassal: Name },
    /// The app is being replaced in the kept namespaces.
    Reloading { vassal: Name, why: String },
    /// The app was replaced.
    Reloaded { vassal: Name, took: Duration },
    /// The whole instance is being rebuilt: this line made it so.
    Rebuilding { vassal: Name, why: String },
    /// It was asked to end.
    Stopping { vassal: Name, why: Cause },
    /// It is being destroyed: so long it has lived, and whose it is.
    Destroying {
        vassal: Name,
        why: Cause,
        #[serde(default)]
        lived: Duration,
        #[serde(default)]
        owner: Option<u32>,
    },
    /// It did not die of SIGKILL within the time given; tried again.
    Lingers { vassal: Name, pid: i32, since: Duration },
    /// Who holds up its end.
    HeldUp { vassal: Name, found: Vec<String> },
    /// Who of an ended life survives SIGKILL.
    LeftBehind { vassal: Name, found: Vec<String> },
    /// So many failed together that one cause is likely; others of them wait for this one.
    Storm { vassal: Name, layer: String, failed: usize },
    /// It waits for another one that stands on the same layer.
    Held { vassal: Name, layer: String },
    /// That one does well.
    StormOver { vassal: Name, layer: String, lasted: Duration, held: usize },
    /// Its life ends, and what these had not written back is lost. `stop` is its stop-timeout, where that was not enough.
    Unsaved {
        vassal: Name,
        killed: Vec<String>,
        stop: Option<Duration>,
        #[serde(default)]
        owner: Option<u32>,
    },
    /// Its life ended, and whose it was: the vassal may be somebody else's by now.
    Ended {
        vassal: Name,
        cause: Cause,
        lived: Duration,
        again_in: Option<Duration>,
        #[serde(default)]
        owner: Option<u32>,
        /// It is not tried again, because it has failed as often as it may.
        #[serde(default)]
        gave_up: bool,
    },
    /// So many failures within this time: from now on each delay is longer, up to the longest.
    Flapping { vassal: Name, failures: u32, window: Duration, longest: Duration },
    /// A run has lasted so long that it is flapping no more.
    Steady { vassal: Name, lasted: Duration },
    /// It has failed as often as it may, and waits for a start.
    GaveUp { vassal: Name, failures: u32 },
    /// It was asked to stay away until it is started again.
    Suspended { vassal: Name },
    /// Nothing of it is left.
    Gone { vassal: Name },
    /// A step failed that is allowed to.
    Tolerated { vassal: Name, what: String },
    /// Its app runs, and said what means that it may serve nothing.
    Doubtful { vassal: Name, what: String },
    /// What died again and again lives.
    Undoubted { vassal: Name, what: String },
    /// The kernel's OOM killer was at work in its control groups.
    OomKilled { vassal: Name, kills: u64 },
    /// An attached daemon runs.
    DaemonStarted { vassal: Name, pid: i32, daemon: String },
    /// An attached daemon ended, or could not be started.
    DaemonEnded { vassal: Name, what: String, again_in: Duration },
    /// A daemon of the vassal died.
    OrphanDied { vassal: Name, pid: i32, name: String, how: String },
    /// So many more died, too fast to be named.
    OrphansDied { vassal: Name, count: u32 },
    /// A watched mount changed its state.
    Mount { vassal: Name, path: String, state: String, detail: String },
    /// A file has mistakes; what runs goes on.
    BadConfig { vassal: Name, runs_on: bool, diagnostics: Vec<Diagnostic> },
    /// A file could not be read for something that is lacking, or that hangs; it is read again.
    Unread { vassal: Name, runs_on: bool, why: String, hangs: bool },
    /// A vassals' directory is not what it was; its vassals are kept for now.
    DirectoryHeld { directory: String, vassals: usize, why: String, believed_in: Option<Duration> },
    /// It is what it was, or it is believed.
    DirectoryReleased { directory: String, vassals: usize, believed: bool, after: Duration },
    /// Everything is being taken down.
    ShuttingDown { vassals: usize },
    /// Somebody is impatient.
    Hurrying { vassals: usize },
}

impl Note {
    /// How loud it is told.
    #[must_use]
    pub fn level(&self) -> Level {
        match self {
            Self::OrphanDied { .. } | Self::OrphansDied { .. } | Self::Accepting { .. } => Level::Debug,
            Self::Added { .. }
            | Self::WaitsFor { .. }
            | Self::Started { .. }
            | Self::Ready { .. }
            | Self::Loyal { .. }
            | Self::Reloading { .. }
            | Self::Reloaded { .. }
            | Self::Rebuilding { .. }
            | Self::Stopping { .. }
            | Self::StormOver { .. }
            | Self::Held { .. }
            | Self::Steady { .. }
            | Self::Suspended { .. }
            | Self::Gone { .. }
            | Self::DaemonStarted { .. }
            | Self::Undoubted { .. }
            | Self::DirectoryReleased { believed: false, .. }
            | Self::ShuttingDown { .. }
            | Self::Hurrying { .. } => Level::Info,
            Self::Ended { cause, .. } | Self::Destroying { why: cause, .. } => {
                if cause.is_failure() {
                    Level::Warn
                } else {
                    Level::Info
                }
            }
            Self::Mount { state, .. } => {
                if state == "healthy" {
                    Level::Info
                } else {
                    Level::Warn
                }
            }
            Self::Tolerated { .. }
            | Self::Doubtful { .. }
            | Self::OomKilled { .. }
            | Self::DaemonEnded { .. }
            | Self::Unsaved { .. }
            | Self::Unread { .. }
            | Self::Flapping { .. } => Level::Warn,
            Self::LeftBehind { found, .. } if found.is_empty() => Level::Info,
            Self::LeftBehind { .. }
            | Self::DirectoryHeld { .. }
            | Self::DirectoryReleased { .. }
            | Self::Lingers { .. }
            | Self::HeldUp { .. }
            | Self::Storm { .. }
            | Self::GaveUp { .. }
            | Self::BadConfig { .. } => Level::Error,
        }
    }

    /// The room of the log it belongs to.
    #[must_use]
    pub fn target(&self) -> &'static str {
        match self {
            Self::ShuttingDown { .. } | Self::Hurrying { .. } | Self::DirectoryHeld { .. } | Self::DirectoryReleased { .. } => {
                "emperor"
            }
            Self::Mount { .. } | Self::Storm { .. } | Self::StormOver { .. } | Self::Held { .. } => "mountpoint",
            Self::Added { .. }
            | Self::WaitsFor { .. }
            | Self::Started { .. }
            | Self::Ready { .. }
            | Self::Accepting { .. }
            | Self::Loyal { .. }
            | Self::Reloading { .. }
            | Self::Reloaded { .. }
            | Self::Rebuilding { .. }
            | Self::Stopping { .. }
            | Self::Destroying { .. }
            | Self::Lingers { .. }
            | Self::HeldUp { .. }
            | Self::LeftBehind { .. }
            | Self::Unsaved { .. }
            | Self::Ended { .. }
            | Self::Flapping { .. }
            | Self::Steady { .. }
            | Self::GaveUp { .. }
            | Self::Suspended { .. }
            | Self::Gone { .. }
            | Self::Tolerated { .. }
            | Self::Doubtful { .. }
            | Self::Undoubted { .. }
            | Self::OomKilled { .. }
            | Self::DaemonStarted { .. }
            | Self::DaemonEnded { .. }
            | Self::OrphanDied { .. }
            | Self::OrphansDied { .. }
            | Self::Unread { .. }
            | Self::BadConfig { .. } => "vassal",
        }
    }

    /// What kind of thing happened, in one word.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Added { .. } => "added",
            Self::WaitsFor { .. } => "waits_for",
            Self::Started { .. } => "started",
            Self::Ready { .. } => "ready",
            Self::Accepting { .. } => "accepting",
            Self::Loyal { .. } => "loyal",
            Self::Reloading { .. } => "reloading",
            Self::Reloaded { .. } => "reloaded",
            Self::Rebuilding { .. } => "rebuilding",
            Self::Stopping { .. } => "stopping",
            Self::Destroying { .. } => "destroying",
            Self::Lingers { .. } => "lingers",
            Self::HeldUp { .. } => "held_up",
            Self::LeftBehind { .. } => "left_behind",
            Self::Storm { .. } => "storm",
            Self::StormOver { .. } => "storm_over",
            Self::Held { .. } => "held",
            Self::Unsaved { .. } => "unsaved",
            Self::Ended { .. } => "ended",
            Self::Flapping { .. } => "flapping",
            Self::Steady { .. } => "steady",
            Self::GaveUp { .. } => "gave_up",
            Self::Suspended { .. } => "suspended",
            Self::Gone { .. } => "gone",
            Self::Tolerated { .. } => "tolerated",
            Self::Doubtful { .. } => "doubtful",
            Self::Undoubted { .. } => "undoubted",
            Self::OomKilled { .. } => "oom_killed",
            Self::DaemonStarted { .. } => "daemon_started",
            Self::DaemonEnded { .. } => "daemon_ended",
            Self::OrphanDied { .. } => "orphan_died",
            Self::OrphansDied { .. } => "orphans_died",
            Self::Mount { .. } => "mount",
            Self::BadConfig { .. } => "bad_config",
            Self::Unread { .. } => "unread",
            Self::DirectoryHeld { .. } => "directory_held",
            Self::DirectoryReleased { .. } => "directory_released",
            Self::ShuttingDown { .. } => "shutting_down",
            Self::Hurrying { .. } => "hurrying",
        }
    }

    /// Whom it is about.
    #[must_use]
    pub fn vassal(&self) -> Option<&Name> {
        match self {
            Self::ShuttingDown { .. } | Self::Hurrying { .. } | Self::DirectoryHeld { .. } | Self::DirectoryReleased { .. } => {
                None
            }
            Self::Added { vassal }
            | Self::WaitsFor { vassal, .. }
            | Self::Started { vassal, .. }
            | Self::Ready { vassal, .. }
            | Self::Accepting { vassal }
            | Self::Loyal { vassal }
            | Self::Reloading { vassal, .. }
            | Self::Reloaded { vassal, .. }
            | Self::Rebuilding { vassal, .. }
            | Self::Stopping { vassal, .. }
            | Self::Destroying { vassal, .. }
            | Self::Lingers { vassal, .. }
            | Self::HeldUp { vassal, .. }
            | Self::LeftBehind { vassal, .. }
            | Self::Unsaved { vassal, .. }
            | Self::Ended { vassal, .. }
            | Self::Flapping { vassal, .. }
            | Self::Steady { vassal, .. }
            | Self::GaveUp { vassal, .. }
            | Self::Suspended { vassal }
            | Self::Gone { vassal }
            | Self::Tolerated { vassal, .. }
            | Self::Doubtful { vassal, .. }
            | Self::Undoubted { vassal, .. }
            | Self::OomKilled { vassal, .. }
            | Self::DaemonStarted { vassal, .. }
            | Self::DaemonEnded { vassal, .. }
            | Self::OrphanDied { vassal, .. }
            | Self::OrphansDied { vassal, .. }
            | Self::Mount { vassal, .. }
            | Self::Storm { vassal, .. }
            | Self::StormOver { vassal, .. }
            | Self::Held { vassal, .. }
            | Self::Unread { vassal, .. }
            | Self::BadConfig { vassal, .. } => Some(vassal),
        }
    }

    /// The word of the cause, where the note is about an end: the `cause` field of the log line.
    #[must_use]
    pub fn cause(&self) -> Option<&Cause> {
        match self {
            Self::Stopping { why: cause, .. } | Self::Destroying { why: cause, .. } | Self::Ended { cause, .. } => Some(cause),
            Self::Added { .. }
            | Self::WaitsFor { .. }
            | Self::Started { .. }
            | Self::Ready { .. }
            | Self::Accepting { .. }
            | Self::Loyal { .. }
            | Self::Reloading { .. }
            | Self::Reloaded { .. }
            | Self::Rebuilding { .. }
            | Self::Lingers { .. }
            | Self::HeldUp { .. }
            | Self::Suspended { .. }
            | Self::LeftBehind { .. }
            | Self::Unsaved { .. }
            | Self::Gone { .. }
            | Self::Tolerated { .. }
            | Self::Doubtful { .. }
            | Self::Undoubted { .. }
            | Self::OomKilled { .. }
            | Self::DaemonStarted { .. }
            | Self::DaemonEnded { .. }
            | Self::OrphanDied { .. }
            | Self::OrphansDied { .. }
            | Self::Mount { .. }
            | Self::Storm { .. }
            | Self::StormOver { .. }
            | Self::Held { .. }
            | Self::Flapping { .. }
            | Self::Steady { .. }
            | Self::GaveUp { .. }
            | Self::BadConfig { .. }
            | Self::Unread { .. }
            | Self::DirectoryHeld { .. }
            | Self::DirectoryReleased { .. }
            | Self::ShuttingDown { .. }
            | Self::Hurrying { .. } => None,
        }
    }
}

impl Note {
    /// The same as the vassal's owner may read it; None: the owner may read all of it.
    #[must_use]
    pub fn for_owner(&self) -> Option<Self> {
        let told = self.cause()?.for_owner()?;
        let mut note = self.clone();
        if let Self::Stopping { why: cause, .. } | Self::Destroying { why: cause, .. } | Self::Ended { cause, .. } = &mut note {
            *cause = told;
        }
        Some(note)
    }

    /// Whose life it is about, where the note itself knows; None within: root's alone.
    pub(crate) fn owner(&self) -> Option<Option<u32>> {
        if let Self::Ended { owner, .. } | Self::Unsaved { owner, .. } = self { Some(*owner) } else { None }
    }
}

impl std::fmt::Display for Note {
    /// The sentence, without the vassal's name (the log line has it as a field).
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Added { .. } => f.write_str("added"),
            Self::WaitsFor { other, .. } => write!(f, "waits for {other}, which had this file, to end"),
            Self::Started { pid, took, .. } => write!(f, "started (app is pid {pid} in its namespace) after {}", seconds(*took)),
            Self::Ready { took, .. } => write!(f, "ready after {}", seconds(*took)),
            Self::Accepting { .. } => f.write_str("accepting"),
            Self::Loyal { .. } => f.write_str("loyal"),
            Self::Reloading { why, .. } => write!(f, "reloading in place: {why}"),
            Self::Reloaded { took, .. } => write!(f, "reloaded after {}", seconds(*took)),
            Self::Rebuilding { why, .. } => write!(f, "rebuilding: {why}"),
            Self::Stopping { why, .. } => write!(f, "stopping: {why}"),
            Self::Destroying { why, .. } => write!(f, "destroying: {why}"),
            Self::Lingers { pid, since, .. } => {
                write!(f, "pid {pid} still lives {} after SIGKILL; killed again", seconds(*since))
            }
            Self::HeldUp { found, .. } if found.is_empty() => f.write_str("nobody is found who holds up its end"),
            Self::HeldUp { found, .. } => write!(f, "its end is held up by {}", found.join("; ")),
            Self::LeftBehind { found, .. } if found.is_empty() => f.write_str("what it left behind has ended at last"),
            Self::LeftBehind { found, .. } => {
                write!(f, "beyond SIGKILL and left behind: {}; killed again and again, nothing waits for it", found.join("; "))
            }
            Self::Storm { layer, failed, .. } => {
                write!(
                    f,
                    "{failed} vassals that use {layer} have lost their mounts together: this one tries first, those that follow wait for it"
                )
            }
            Self::StormOver { lasted, held: 0, .. } => write!(f, "it is well again after {}", seconds(*lasted)),
            Self::StormOver { layer, lasted, held: 1, .. } => {
                write!(f, "it is well again after {}: the one that waits for {layer} starts too", seconds(*lasted))
            }
            Self::StormOver { layer, lasted, held, .. } => {
                write!(f, "it is well again after {}: the {held} that wait for {layer} start too", seconds(*lasted))
            }
            Self::Held { layer, .. } => {
                write!(f, "waits: others that use {layer} lost their mounts too, and one of them tries first")
            }
            Self::Unsaved { killed, stop, .. } => f.write_str(&not_saved(killed, *stop)),
            Self::Ended { cause, lived, again_in, gave_up, .. } => {
                write!(f, "ended after {}: {cause}; ", seconds(*lived))?;
                match again_in {
                    None if *gave_up => f.write_str("not tried again"),
                    None => f.write_str("not wanted any more"),
                    Some(delay) if delay.is_zero() => f.write_str("starts again now"),
                    Some(delay) => write!(f, "starts again in {}", seconds(*delay)),
                }
            }
            Self::Flapping { failures, window, longest, .. } => write!(
                f,
                "flapping: {failures} failures within {window:?} (flapping-failures, flapping-window); each delay is longer now, up to \
                 {longest:?}, until it has run for {window:?}"
            ),
            Self::Steady { lasted, .. } => write!(f, "flapping no more: it has run for {lasted:?}"),
            Self::GaveUp { failures, .. } => {
                write!(
                    f,
                    "given up after {failures} failures (start-limit): a start, a clear or a change of its file begins anew"
                )
            }
            Self::Suspended { .. } => f.write_str("stopped: it waits for a start"),
            Self::Gone { .. } => f.write_str("gone"),
            Self::Tolerated { what, .. } | Self::Doubtful { what, .. } | Self::Undoubted { what, .. } => f.write_str(what),
            Self::OomKilled { kills, .. } => write!(f, "out of memory: the kernel's OOM killer took {kills} of its processes"),
            Self::DaemonStarted { pid, daemon, .. } => write!(f, "daemon started (pid {pid} in its namespace): {daemon}"),
            Self::DaemonEnded { what, again_in, .. } if again_in.is_zero() => write!(f, "{what}; starts again now"),
            Self::DaemonEnded { what, again_in, .. } => write!(f, "{what}; starts again in {}", seconds(*again_in)),
            Self::OrphanDied { pid, name, how, .. } => write!(f, "{name} with pid {pid} in its namespace {how}"),
            Self::OrphansDied { count, .. } => write!(f, "{count} more processes died that nobody in it waited for"),
            Self::Mount { path, state, detail, .. } if detail.is_empty() => write!(f, "{path} is {state}"),
            Self::Mount { path, state, detail, .. } => write!(f, "{path} is {state}: {detail}"),
            Self::BadConfig { runs_on, diagnostics, .. } => {
                let errors = diagnostics.iter().filter(|d| d.is_error()).count();
                let goes_on = if *runs_on { "; what runs goes on" } else { "" };
                write!(f, "its file cannot be used ({errors} mistake{}){goes_on}", if errors == 1 { "" } else { "s" })?;
                diagnostics.iter().try_for_each(|d| write!(f, "\n{d}"))
            }
            Self::Unread { runs_on, why, hangs, .. } => {
                let goes_on = if *runs_on { "; what runs goes on" } else { "" };
                let then = if *hangs { "it is taken as soon as that answers" } else { "it is read again within a few seconds" };
                write!(f, "its file cannot be read for now: {why}{goes_on}; {then}")
            }
            Self::DirectoryHeld { directory, vassals: 0, why, .. } => {
                write!(f, "{directory} {why}: its vassals are not known; it is taken as soon as it can be read")
            }
            Self::DirectoryHeld { directory, vassals, why, believed_in } => {
                write!(f, "{directory} {why}: its {vassals} vassals run on")?;
                match believed_in {
                    Some(span) => write!(
                        f,
                        " and end in {} unless their files come back; liege rescan --force ends them now",
                        seconds(*span)
                    ),
                    None => Ok(()),
                }
            }
            Self::DirectoryReleased { directory, vassals: 0, after, .. } => {
                write!(f, "{directory} can be read, after {}", seconds(*after))
            }
            Self::DirectoryReleased { directory, believed: false, after, .. } => {
                write!(f, "{directory} is what it was, after {}", seconds(*after))
            }
            Self::DirectoryReleased { directory, vassals, after, .. } => {
                write!(f, "{directory} is believed after {}: of its {vassals} vassals those without a file end", seconds(*after))
            }
            Self::ShuttingDown { vassals } => {
                write!(f, "shutting down, {vassals} vassals are asked to end; a second signal means now")
            }
            Self::Hurrying { vassals } => write!(f, "no more waiting, {vassals} vassals are killed"),
        }
    }
}

/// `0.012s`: milliseconds are what an operator compares.
fn seconds(span: Duration) -> String {
    format!("{:.3}s", span.as_secs_f64())
}
