//! A daemon that is attached to a command started, ended or failed. Init starts it again by itself; only the end of a control daemon
//! is a matter of the vassal's life.

use std::time::Duration;

use liege_plan::{DaemonNews, Exit, signal_name};
use liege_spec::VassalSpec;

use super::{Phase, Vassal};
use crate::{Cause, Note, cause::quoting, emperor::Context};

/// `redis-server --port 0 (shop.ini:4: attach-daemon)` for each.
pub(super) fn in_words(spec: &VassalSpec) -> Vec<String> {
    spec.app.daemons.iter().map(|daemon| format!("{} ({})", daemon.value.command, daemon.at)).collect()
}

impl Vassal {
    pub(super) fn daemon_news(&mut self, index: u32, news: DaemonNews, cx: &mut Context<'_>) {
        let words = self.life.as_ref().and_then(|life| life.daemons.get(index as usize));
        let daemon = words.cloned().unwrap_or_else(|| "an attached daemon".to_owned());
        let (what, again_in_ms, said) = match news {
            DaemonNews::Started { pid } => {
                self.daemon_lives(index, cx);
                return cx.note(Note::DaemonStarted { vassal: self.name.clone(), pid, daemon });
            }
            DaemonNews::Ended { exit, again_in_ms, said } => {
                let how = exit.map_or_else(|| "ended".to_owned(), in_word);
                // It may have been the daemon of a mount.
                if let Some(life) = &mut self.life {
                    life.fallen.attached(cx.now, format!("the daemon {daemon} {how}"));
                }
                (format!("the daemon {how}: {daemon}"), again_in_ms, said)
            }
            DaemonNews::Failed { why, again_in_ms, said } => (format!("{why}: start the daemon {daemon}"), again_in_ms, said),
        };
        match again_in_ms {
            Some(pause) => {
                self.daemon_died(index, &what, said.as_deref(), cx);
                let what = quoting(&what, said.as_deref());
                cx.note(Note::DaemonEnded { vassal: self.name.clone(), what, again_in: Duration::from_millis(pause) });
                self.probe_now(cx);
            }
            None => self.control_daemon_ended(Cause::DaemonEnded { what, said }, cx),
        }
    }

    /// Its end is the instance's.
    fn control_daemon_ended(&mut self, cause: Cause, cx: &mut Context<'_>) {
        match self.phase {
            Phase::Preparing => self.destroy(cause, cx),
            Phase::Running | Phase::Reloading => self.stop(cause, cx),
            Phase::Stopping | Phase::Killing => self.blame(&cause, cx.now),
            Phase::Suspended | Phase::Waiting | Phase::Spawning | Phase::Gone => {}
        }
    }
}

fn in_word(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exited with status {code}"),
        Exit::Signal(signal) => format!("was killed by {}", signal_name(signal)),
    }
}
