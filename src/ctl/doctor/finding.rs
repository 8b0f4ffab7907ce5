//! One finding: what was looked at, how it is, and where it is not well what that costs and what mends it.

use serde::Serialize;

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// There, but less than it could be.
    Degraded,
    /// Not there.
    Missing,
    /// It could not be looked at.
    Unknown,
}

/// What was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// What it belongs to.
    pub subject: &'static str,
    /// What it is called.
    pub name: &'static str,
    /// How it is.
    pub status: Status,
    /// Whether liege cannot run without it.
    pub vital: bool,
    /// What was seen.
    pub found: String,
    /// What it costs that it is so, one sentence.
    pub cost: Option<String>,
    /// What mends it, one command where there is one.
    pub remedy: Option<String>,
}

/// The findings of one subject, made one by one.
pub(super) struct Subject(pub(super) &'static str);

impl Subject {
    pub(super) fn ok(&self, name: &'static str, found: impl Into<String>) -> Finding {
        self.finding(name, Status::Ok, found.into())
    }

    pub(super) fn degraded(&self, name: &'static str, found: impl Into<String>) -> Finding {
        self.finding(name, Status::Degraded, found.into())
    }

    pub(super) fn missing(&self, name: &'static str, found: impl Into<String>) -> Finding {
        self.finding(name, Status::Missing, found.into())
    }

    /// `why` completes "could not be looked at:".
    pub(super) fn unknown(&self, name: &'static str, why: impl std::fmt::Display) -> Finding {
        self.finding(name, Status::Unknown, format!("could not be looked at: {why}"))
    }

    fn finding(&self, name: &'static str, status: Status, found: String) -> Finding {
        Finding { subject: self.0, name, status, vital: false, found, cost: None, remedy: None }
    }
}

impl Finding {
    /// Without it liege cannot run.
    pub(super) fn vital(mut self) -> Self {
        self.vital = true;
        self
    }

    pub(super) fn costs(mut self, cost: impl Into<String>) -> Self {
        self.cost = Some(cost.into());
        self
    }

    pub(super) fn mended_by(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}
