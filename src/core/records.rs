//! What the control socket tells beside the snapshot: answers, what happened, last ends, what a vassal uses.
//!
//! Plain data, here because host and remote mean the same by it. Moments are seconds since 1970, as a person's clock has them.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Answer, Cause, Level, Name, Order, Time, VassalView, vassal::not_saved};

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reply {
    /// In one word.
    pub answer: Verdict,
    /// The reason, where one is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// An answer in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// What was asked for is begun.
    Done,
    /// It is so already.
    Nothing,
    /// No.
    Refused,
    /// Nobody is called so, or nobody of the asker's.
    Unknown,
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        let (answer, why) = match answer {
            Answer::Done => (Verdict::Done, None),
            Answer::Nothing(why) => (Verdict::Nothing, Some(why)),
            Answer::Refused(why) => (Verdict::Refused, Some(why)),
            Answer::Unknown => (Verdict::Unknown, Some("no vassal is called so".to_owned())),
        };
        Self { answer, why }
    }
}

impl Reply {
    /// As people are told. An end is only begun when it is answered, and may last.
    #[must_use]
    pub fn to(&self, order: Order) -> String {
        if (order, self.answer) == (Order::Stop, Verdict::Done) { "asked to stop".to_owned() } else { self.to_string() }
    }
}

impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.answer {
            Verdict::Done => "done",
            Verdict::Nothing => "nothing to do",
            Verdict::Refused => "refused",
            Verdict::Unknown => "unknown",
        })?;
        self.why.iter().try_for_each(|why| write!(f, ": {why}"))
    }
}

/// Something that happened: a note of the core, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Happening {
    /// One more than that of the one before; begins anew with the daemon.
    pub id: u64,
    /// Seconds since 1970.
    pub at: f64,
    /// How loud it is.
    pub level: Level,
    /// What kind of thing, in one word.
    pub kind: String,
    /// Whom it is about; null: the daemon.
    pub vassal: Option<Name>,
    /// The sentence of the log.
    pub text: String,
    /// The word of the cause, where it is about an end.
    pub cause: Option<String>,
}

/// One end of a vassal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Death {
    /// Seconds since 1970.
    pub at: f64,
    /// The word of the closed list, as in the metric label `cause`.
    pub cause: String,
    /// The sentence of the log.
    pub what: String,
    /// Everything that is known of the cause.
    pub detail: Cause,
    /// So many ends of the same kind in a row, of which this is the newest.
    #[serde(default = "once")]
    pub count: u32,
    /// When the first of them was, in seconds since 1970; null: this is the only one.
    #[serde(default)]
    pub first: Option<f64>,
    /// It was not tried again, because it had failed as often as it may.
    #[serde(default)]
    pub gave_up: bool,
    /// Seconds.
    pub lived: f64,
    /// Whose life it was, beside root; null: root's alone.
    #[serde(default)]
    pub owner: Option<u32>,
    /// Seconds until it is tried again; null: it is not wanted any more.
    pub again_in: Option<f64>,
    /// Its end has begun; it was not seen to be over, or not yet.
    #[serde(default)]
    pub unfinished: bool,
    /// Who was last seen to hold up its end.
    #[serde(default)]
    pub held_up_by: Vec<String>,
    /// What these had not written back is lost: they were killed, or died, before they had.
    #[serde(default)]
    pub unsaved: Vec<String>,
    /// Its stop-timeout in seconds, where that was not enough to write all of it back.
    #[serde(default)]
    pub stop_timeout: Option<f64>,
    /// The last lines of its log, as far as they are of this life; none where its output goes elsewhere.
    #[serde(default)]
    pub last_lines: Vec<String>,
}

impl Death {
    /// It failed, or something was lost by it: it is remembered whatever wished ends come after it.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        self.detail.is_failure() || !self.unsaved.is_empty()
    }

    /// What overviews say of it: the cause, and what it has cost.
    #[must_use]
    pub fn sentence(&self) -> String {
        if self.unsaved.is_empty() {
            return self.what.clone();
        }
        let stop = self.stop_timeout.and_then(|stop| Duration::try_from_secs_f64(stop).ok());
        format!("{}; {}", self.what, not_saved(&self.unsaved, stop))
    }

    /// The same as the vassal's owner may read it.
    #[must_use]
    pub fn for_owner(mut self) -> Self {
        if let Some(told) = self.detail.for_owner() {
            (self.what, self.detail) = (told.to_string(), told);
        }
        self
    }
}

fn once() -> u32 {
    1
}

/// What the processes of a vassal use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// How many live, its init with them.
    pub processes: u32,
    /// Bytes of memory resident; what they share is counted for each of them.
    pub rss: u64,
    /// Seconds of processor time, of those that have ended too.
    pub cpu: f64,
}

/// Everything about one vassal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Detail {
    /// When.
    pub now: Time,
    /// The same moment in seconds since 1970.
    pub at: f64,
    /// Its part of the snapshot; null where its file never was usable.
    pub vassal: Option<VassalView>,
    /// The mistakes of a file that never was usable, a line each.
    pub unusable: Option<String>,
    /// That file could not be read because the host, or the daemon, lacks what is needed for it: it may be right.
    #[serde(default)]
    pub unread: bool,
    /// Where its processes listen: addresses of TCP, paths of unix sockets (`@` before an abstract name); 256 at most.
    #[serde(default)]
    pub listens: Vec<String>,
    /// Its last ends, the newest last.
    pub deaths: Vec<Death>,
    /// They could not be read: the disk of the state directory does not answer.
    #[serde(default)]
    pub deaths_unread: bool,
}
