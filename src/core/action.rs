//! What is to be done. Data, performed by the shell in order, without a thought about policy.

use std::time::Duration;

use liege_plan::ToInit;
use liege_spec::{Cgroups, LogTo, Namespaces};
use serde::{Deserialize, Serialize};

use crate::{Address, Answer, Name, Note};

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Action {
    /// Clone a new init. Answered by `Spawned` (after registration) or `SpawnFailed`.
    Spawn {
        /// Whose.
        vassal: Name,
        /// Names this life from now on; unique in the daemon.
        birth: u64,
        /// The namespaces it gets anew.
        namespaces: Namespaces,
        /// The control groups it is born into.
        cgroups: Cgroups,
        /// Where its output goes.
        log_to: LogTo,
        /// The uid it runs as, where its file tells: he may read its log.
        owner: Option<u32>,
        /// Directories of which is told which are mount points when it is born: `Mounted`, before `Spawned`. None of them: nothing is.
        points: Vec<String>,
        /// It has mounts to be watched: the list it is born with is remembered.
        watches: bool,
    },
    /// Send a message to init. The first one is the green light ([`ToInit::Walk`]).
    Tell {
        /// Whose.
        vassal: Name,
        /// Which birth.
        birth: u64,
        /// What.
        message: ToInit,
    },
    /// SIGKILL init: everything in its pid namespace dies with it. Never sent after `Exited`.
    Kill {
        /// Whose.
        vassal: Name,
        /// Which birth.
        birth: u64,
    },
    /// Its end is held up: find out by whom. Answered by `Examined`.
    Examine {
        /// Whose.
        vassal: Name,
        /// Which birth.
        birth: u64,
    },
    /// The daemon ends, and init does not die of SIGKILL: wait for it no longer, and name at the daemon's end what holds it. Answered by
    /// `Exited`, as if it had been reaped.
    LeaveBehind {
        /// Whose.
        vassal: Name,
        /// Which birth.
        birth: u64,
        /// What holds it, as far as it was found out; each a phrase.
        found: Vec<String>,
    },
    /// Its app ended because an address is taken: find out which of these, and by which process, in the network namespace of the daemon.
    /// Answered by `Listening`, before the `Exited` of this life.
    FindListeners {
        /// Whose.
        vassal: Name,
        /// Which birth.
        birth: u64,
        /// The addresses it may have wanted.
        wanted: Vec<Address>,
    },
    /// Watch these mounts, and no others, of this life.
    Watch {
        /// Whose.
        vassal: Name,
        /// Which birth.
        birth: u64,
        /// The mounts.
        checks: Vec<Check>,
    },
    /// Probe all watched mounts of this life now, not at the next interval.
    ProbeNow {
        /// Whose.
        vassal: Name,
        /// Which birth.
        birth: u64,
    },
    /// Read its file again, as uWSGI does for each respawn: the world it speaks of may have changed. Answered like any change.
    ReadAgain {
        /// Whose.
        vassal: Name,
    },
    /// Get hold of the emergency exits of this life's FUSE connections, so that its end cannot be held up by one that hangs. Answered by
    /// `Secured`.
    Secure {
        /// Whose.
        vassal: Name,
        /// Which birth.
        birth: u64,
        /// Comes back with the answer.
        #[serde(default)]
        number: u32,
    },
    /// This life is over: drop its channel, its pidfd, its probes.
    Release {
        /// Whose.
        vassal: Name,
        /// Which birth.
        birth: u64,
    },
    /// Look at all directories now.
    Rescan,
    /// Look at all directories now, and believe what is found.
    Believe,
    /// What whoever asked is told. Each request gets exactly one.
    Answer(Answer),
    /// Tell people.
    Note(Note),
    /// No pid lives and none will: the daemon may end.
    Quit,
}

/// One mount to watch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The path in the vassal's root.
    pub path: String,
    /// Time between probes.
    pub interval: Duration,
    /// Without an answer for this long it counts as hung.
    pub timeout: Duration,
}
