//! The cause of an end, with what was seen or said just before it.

use std::time::Duration;

use liege_plan::Notice;
use liege_spec::ProgramSpec;

use super::Vassal;
use crate::{Cause, Time, address, advice};

/// For how long what an app said explains its end. What tries an address again and again waits a second or two in between.
const WORDS_EXPLAIN: Duration = Duration::from_secs(3);

/// For how long the OOM killer's work explains what dies.
const OOM_EXPLAINS: Duration = Duration::from_secs(5);

impl Vassal {
    /// A death by SIGKILL, or of a mount, is the OOM killer's work where that was seen just before.
    pub(super) fn explained(&self, cause: Cause, now: Time) -> Cause {
        let oom = self.life.as_ref().and_then(|life| life.oom.as_ref());
        match oom.filter(|(at, _)| now - *at < OOM_EXPLAINS) {
            Some((_, None)) if cause.may_be_of_oom() => Cause::Oom { what: cause.to_string() },
            Some((_, Some(around))) if cause.is_sigkill() => Cause::Oom { what: format!("{around}: {cause}") },
            Some(_) | None => self.explained_by_its_words(cause, now),
        }
    }

    /// An app that failed and said just before that an address is taken has failed of that.
    fn explained_by_its_words(&self, cause: Cause, now: Time) -> Cause {
        let since = |at| now - at < WORDS_EXPLAIN;
        let said = self.life.as_ref().and_then(|life| life.doubts.line_since(Notice::AddressInUse, since));
        if let (Cause::Exit { code: 1.., .. }, Some(said)) = (&cause, said) {
            let place = address::named_in(said).first().map(ToString::to_string);
            let (what, said) = (cause.without_words().to_string(), Some(said.to_owned()));
            return Cause::AddressInUse { what, said, place, by: None, roots_alone: false };
        }
        let left = self.life.as_ref().and_then(|life| life.doubts.line(Notice::LeftBehind));
        if let (Cause::Exit { code: 0, .. }, Some(left)) = (&cause, left) {
            let program = self.running().map(|config| match &config.fresh.app.program {
                ProgramSpec::Command(words) => words.value.join(" "),
                ProgramSpec::Shell(line) | ProgramSpec::PrivilegedShell(line) => line.value.clone(),
                ProgramSpec::Uwsgi { .. } => "uwsgi".to_owned(),
            });
            let advice = advice::for_background(&format!("{} {left}", program.unwrap_or_default()));
            let what = format!("the app went into the background: {}, and left {left} behind; {advice}", cause.without_words());
            return Cause::Background { what };
        }
        self.with_option_meant(cause)
    }

    /// The app's own words may be about an option of its file that they do not name.
    fn with_option_meant(&self, mut cause: Cause) -> Cause {
        if let (Cause::Exit { code: 1.., said: Some(said), about, .. }, Some(config)) = (&mut cause, self.running()) {
            *about = advice::option_meant(said, &config.fresh);
        }
        cause
    }
}
