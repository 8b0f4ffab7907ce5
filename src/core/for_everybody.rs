//! A cause as the status page tells it, to everybody who reaches the address.
//!
//! The words are made of what no program and no file has written: the kind of the cause, numbers, and the watched path, which the page
//! shows anyway. No free text of a cause is used, so a secret in one (an option of a command, an error, the name of a process) stays in.

use std::time::Duration;

use crate::{Cause, Rule, cause::errno_name};

impl Cause {
    /// The sentence that everybody may read.
    #[must_use]
    pub fn for_everybody(&self) -> String {
        match self {
            Self::Exit { .. }
            | Self::Signal { .. }
            | Self::InitKilled { .. }
            | Self::ReadyTimeout
            | Self::HeartbeatLost
            | Self::ConfigChanged
            | Self::Vanished
            | Self::Idle
            | Self::Requested
            | Self::Protocol => self.without_words().to_string(),
            Self::MountpointDead { path, errno, .. } => format!("the mount at {path} is dead: {}", errno_name(*errno)),
            Self::MountpointHung { path, rule, .. } => match rule {
                Some(Rule::Hung { micros, .. } | Rule::Slow { micros, .. }) => {
                    let waited = Duration::from_micros(*micros).as_secs_f64();
                    format!("the mount at {path} hangs: no answer for {waited:.1}s; the log says more")
                }
                None => format!("the mount at {path} hangs; the log says more"),
            },
            Self::MountpointGone { path, .. } => format!("the mount at {path} is gone; the log says what is there"),
            Self::MountpointMissing { path, .. } => {
                format!("nothing is mounted at {path}, where a mount must be; the log says more")
            }
            Self::Reload { .. } => "it ended at a reload".to_owned(),
            Self::Oom { .. } => {
                "the kernel killed it, or a part of it, for want of memory; the log says what it led to".to_owned()
            }
            Self::Background { .. } => "the app went into the background; it has to stay in the foreground".to_owned(),
            Self::AddressInUse { .. } => "an address it wants is taken; the log says which".to_owned(),
            Self::DaemonEnded { .. } => "a daemon it cannot do without ended; the log says which".to_owned(),
            Self::HookFailed { .. } => "a step of its start or end failed; the log says which".to_owned(),
            Self::HookTimeout { .. } => "a step of its start or end did not end in time; the log says which".to_owned(),
            Self::ExecFailed { .. } => "its program could not be started; the log says why".to_owned(),
            Self::SpawnFailed { .. } => "it could not be cloned; the log says why".to_owned(),
            Self::Shortage { .. } => "the host has no room for it now; the log says what is missing".to_owned(),
        }
    }
}
