//! Daemons beside the app (`attach-daemon` and its family), and what init tells of them.

use serde::{Deserialize, Serialize};

use crate::Exit;

/// One attached daemon. It starts as the app does, but as the identity of the steps, and as a line for `/bin/sh`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Daemon {
    /// What `/bin/sh -c` runs.
    pub command: String,
    /// How it is followed; None: it stays in the foreground.
    pub pidfile: Option<DaemonPidfile>,
    /// Its end is told as the instance's, and it is not started again.
    pub control: bool,
    /// Its own user; None: the identity's.
    pub uid: Option<u32>,
    /// Its own group; None: the identity's.
    pub gid: Option<u32>,
    /// Where it starts; None: as the app.
    pub chdir: Option<String>,
    /// The signal that asks it to end.
    pub stop_signal: i32,
    /// What a reload sends it instead.
    pub reload_signal: Option<i32>,
    /// One with a pidfile is told of a reload too.
    pub notify: bool,
    /// The longest pause before it is started again, in seconds.
    pub max_throttle_s: u64,
}

/// A daemon that a uwsgi has started and leaves behind at its end (`smart-attach-daemon` and its sisters).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmartDaemon {
    /// The file that holds its pid.
    pub pidfile: String,
    /// The signal that asks it to end.
    pub stop_signal: i32,
}

/// The file with a daemon's pid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonPidfile {
    /// Its path.
    pub path: String,
    /// Seconds it may take to appear.
    pub patience_s: u64,
    /// The daemon stays in the foreground and has the file written for it. Else it goes into the background and writes it.
    pub written_for_it: bool,
}

/// What happened to a daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DaemonNews {
    /// It runs: its pid in the vassal's namespace.
    Started {
        /// The pid.
        pid: i32,
    },
    /// It ended by itself, and is started again after so many milliseconds. None: it is a control daemon, the instance ends.
    Ended {
        /// How; None where somebody else has reaped it.
        exit: Option<Exit>,
        /// The pause.
        again_in_ms: Option<u64>,
        /// What it said just before: one line, bounded and without controls.
        #[serde(default)]
        said: Option<String>,
    },
    /// It could not be started or followed.
    Failed {
        /// A phrase.
        why: String,
        /// As for [`Self::Ended`].
        again_in_ms: Option<u64>,
        /// As for [`Self::Ended`].
        #[serde(default)]
        said: Option<String>,
    },
}
