//! A file without a vassal: what is known of it, to be shown.

use std::time::Duration;

use crate::Time;

#[derive(Debug)]
pub(crate) struct Unusable {
    /// Its mistakes, a line each; or what is lacking to read it, or does not answer.
    pub(crate) what: String,
    /// It could not be read, and may be right.
    pub(crate) is_unread: bool,
    /// What its reading waits for has not answered since then.
    unanswered: Option<Time>,
}

impl Unusable {
    pub(crate) fn with(mistakes: String) -> Self {
        Self { what: mistakes, is_unread: false, unanswered: None }
    }

    pub(crate) fn unread(lacks: String) -> Self {
        Self { what: lacks, is_unread: true, unanswered: None }
    }

    /// This has not answered for so long by now.
    pub(crate) fn unanswered(what: String, now: Time, lasts: Duration) -> Self {
        let micros = u64::try_from(lasts.as_micros()).unwrap_or(u64::MAX);
        Self { what, is_unread: true, unanswered: Some(Time(now.0.saturating_sub(micros))) }
    }

    /// As it is shown now.
    pub(crate) fn why(&self, now: Time) -> String {
        match self.unanswered {
            Some(since) => format!("{} has not answered for {} s", self.what, (now - since).as_secs()),
            None => self.what.clone(),
        }
    }
}
