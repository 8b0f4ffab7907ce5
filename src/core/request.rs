//! What somebody may ask for, and what he is answered.
//!
//! Every request is answered at once, by exactly one [`crate::Action::Answer`]: what was asked for is begun, or there is nothing to
//! do, or it is refused with the reason. That it has come to its end is seen in the snapshot.

use serde::{Deserialize, Serialize};

use crate::Name;

/// A wish from outside the directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// INT, TERM. The first asks, the second means now.
    Shutdown,
    /// WINCH: look at all directories now.
    Rescan,
    /// Look at them, and take those for empty that are (see [`crate::Event::DirectoryHeld`]).
    Believe,
    /// Of every vassal that is the asker's.
    Each {
        /// What it shall do.
        order: Order,
        /// The asker's uid.
        by: u32,
    },
    /// Of one vassal.
    One {
        /// Whose.
        vassal: Name,
        /// What it shall do.
        order: Order,
        /// The asker's uid.
        by: u32,
    },
}

/// What one vassal may be asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Run again after a stop, or without waiting any longer.
    Start,
    /// End, and stay so until a start.
    Stop,
    /// Be destroyed and born again.
    Restart,
    /// Reload as if its file had been touched.
    Reload,
    /// Forget the failures: one that waits starts at once.
    Clear,
}

impl Order {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Start, Self::Stop, Self::Restart, Self::Reload, Self::Clear];

    /// The verb, on the command line and in the paths of the control socket.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Reload => "reload",
            Self::Clear => "clear",
        }
    }
}

/// Root's uid: sees and may do everything.
pub const ROOT: u32 = 0;

/// What the kernel says of a uid it has no number for here: of whom, nobody knows.
const OVERFLOW: u32 = 65534;

/// Whether somebody may see and act on a vassal of `owner`; None: it is root's alone.
#[must_use]
pub fn may(by: u32, owner: Option<u32>) -> bool {
    by == ROOT || by != OVERFLOW && owner == Some(by)
}

/// What the asker is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// It is begun.
    Done,
    /// It is so already.
    Nothing(String),
    /// No, because.
    Refused(String),
    /// No vassal is called so, or none of the asker's.
    Unknown,
}

impl Answer {
    pub(crate) fn nothing(why: &str) -> Self {
        Self::Nothing(why.to_owned())
    }

    pub(crate) fn refused(why: &str) -> Self {
        Self::Refused(why.to_owned())
    }

    /// Of many answers the one that says most. `left`: those that were refused for their files, each with the reason, which are told
    /// whatever the others answered.
    pub(crate) fn of_all(answers: Vec<(Name, Self)>, left: Vec<(Name, String)>) -> Self {
        let (asked, more) = (answers.len(), left.len().saturating_sub(1));
        let (mut has_done, mut refused) = (false, None);
        for (name, answer) in answers {
            match answer {
                Self::Done => has_done = true,
                Self::Refused(why) => refused = refused.or_else(|| Some(format!("{name}: {why}"))),
                Self::Nothing(_) | Self::Unknown => {}
            }
        }
        if let Some((name, why)) = left.into_iter().next() {
            let more = if more == 0 { String::new() } else { format!("; so with {more} more") };
            let others = if has_done { "; the other vassals were asked to" } else { "" };
            return Self::Refused(format!("{name}: {why}{more}{others}"));
        }
        match (has_done, refused) {
            (true, _) => Self::Done,
            (false, Some(why)) => Self::Refused(why),
            (false, None) if asked == 0 => Self::nothing("there is no vassal"),
            (false, None) => Self::nothing("none of the vassals has anything to do"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_may_all_and_others_their_own() {
        assert!(may(0, None) && may(0, Some(0)) && may(0, Some(1001)));
        assert!(may(1001, Some(1001)) && !may(1001, Some(1002)) && !may(1001, None) && !may(1001, Some(0)));
        assert!(!may(OVERFLOW, Some(OVERFLOW)), "whoever the kernel cannot name is nobody's owner");
    }

    #[test]
    fn of_all_answers_the_strongest_counts() {
        let named = |answers: &[Answer]| answers.iter().cloned().map(|answer| ("v".into(), answer)).collect();
        let all = |answers: &[Answer]| Answer::of_all(named(answers), Vec::new());
        let (no, nothing) = (Answer::refused("no"), Answer::nothing("x"));
        assert_eq!(all(&[no.clone(), Answer::Done, nothing.clone()]), Answer::Done);
        assert_eq!(all(&[nothing.clone(), no]), Answer::refused("v: no"));
        assert!(matches!(all(std::slice::from_ref(&nothing)), Answer::Nothing(_)) && matches!(all(&[]), Answer::Nothing(_)));
        // One that was refused for its file is never hidden by the others.
        let left = |number: u8| (0..number).map(|n| (Name::from(format!("{n}").as_str()), "bad".to_owned())).collect();
        let some = |answers: &[Answer], number| Answer::of_all(named(answers), left(number));
        assert_eq!(some(&[Answer::Done], 1), Answer::refused("0: bad; the other vassals were asked to"));
        assert_eq!(some(&[Answer::Done], 3), Answer::refused("0: bad; so with 2 more; the other vassals were asked to"));
        assert_eq!((some(&[nothing], 2), some(&[], 1)), (Answer::refused("0: bad; so with 1 more"), Answer::refused("0: bad")));
    }
}
