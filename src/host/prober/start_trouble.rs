//! That no prober can be started, as often as an operator needs to read it: at once, when the reason changes, and after pauses that grow
//! while it lasts. It is tried again every second.

use std::time::Duration;

use liege_core::missing;
use liege_sys::Errno;
use tokio::time::Instant;

/// The first pause between two lines; each one is twice as long as the last.
const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
pub(super) struct StartTrouble {
    /// What was said last, when it may be said again, and the pause after that.
    said: Option<(String, Instant, Duration)>,
}

impl StartTrouble {
    /// What to say of this failure now, if anything.
    pub(super) fn of(&mut self, error: &anyhow::Error, errno: Errno, now: Instant) -> Option<String> {
        let why = missing(errno as i32).map_or_else(String::new, |why| format!(": {why}"));
        let what = format!("start the prober: {error:#}{why}");
        let pause = match &self.said {
            Some((said, due, _)) if *said == what && now < *due => return None,
            Some((said, _, pause)) if *said == what => *pause,
            Some(_) | None => FIRST,
        };
        self.said = Some((what.clone(), now + pause, (2 * pause).min(LONGEST)));
        Some(what)
    }

    /// One was started.
    pub(super) fn is_over(&mut self) {
        self.said = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn no_process() -> anyhow::Error {
        anyhow::anyhow!("clone into new namespaces: EAGAIN: Try again")
    }

    #[test]
    fn it_names_what_is_missing_and_is_repeated_less_and_less() {
        let (mut trouble, begin) = (StartTrouble::default(), Instant::now());
        let mut said = Vec::new();
        for second in 0..100 {
            if let Some(line) = trouble.of(&no_process(), Errno::EAGAIN, begin + second * SECOND) {
                assert!(line.contains("EAGAIN") && line.contains("pids.max of the daemon's control group"), "{line}");
                said.push(second);
            }
        }
        assert_eq!(said, [0, 10, 30, 70]);
    }

    #[test]
    fn another_reason_and_another_time_are_told_at_once() {
        let (mut trouble, now) = (StartTrouble::default(), Instant::now());
        assert!(trouble.of(&no_process(), Errno::EAGAIN, now).is_some());
        assert!(trouble.of(&anyhow::anyhow!("ENOMEM"), Errno::ENOMEM, now).is_some());
        trouble.is_over();
        assert!(trouble.of(&anyhow::anyhow!("ENOMEM"), Errno::ENOMEM, now).is_some());
    }
}
