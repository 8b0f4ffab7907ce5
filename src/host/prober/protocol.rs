//! What daemon and prober say to each other, in the frames of the treaty.

use std::time::Duration;

use liege_core::Probed;
use liege_sys::reserve::Whose;
use serde::{Deserialize, Serialize};

/// From the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ToProber {
    /// Look at a mount. Answered by [`FromProber::Probed`], more than once where it lasts.
    Look {
        /// Comes back with the answers; answers come in any order.
        id: u64,
        /// What to look at.
        look: Look,
    },
    /// Nobody waits for this look any more.
    Cancel {
        /// Which.
        id: u64,
    },
    /// Get hold of the emergency exits of a life's own FUSE connections, those of them that are not held yet. Answered by
    /// [`FromProber::Secured`].
    Secure {
        /// Comes back with the answer. Grows.
        id: u64,
        /// Whose.
        of: Instance,
    },
    /// Use them: everything of the life that hangs on one of its mounts is free.
    Abort(Instance),
    /// The life is over: let go of everything.
    Forget(Instance),
    /// Who holds up the end of this life? Answered by [`FromProber::Examined`].
    Examine {
        /// Comes back with the answer.
        id: u64,
        /// Whose.
        of: Instance,
    },
    /// Are you there?
    Ping,
}

/// One look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Look {
    /// A process whose root and mount namespace are meant.
    pub(crate) pid: i32,
    /// Which birth.
    pub(crate) birth: u64,
    /// The uid its vassal's file tells.
    pub(crate) owner: Option<u32>,
    /// The path in that root.
    pub(crate) path: String,
    /// Without an answer for so long the look is late, from the start of its first system call.
    pub(crate) timeout: Duration,
    /// And is told again so often.
    pub(crate) interval: Duration,
    /// The mount that answered there last.
    pub(crate) answered: Option<Answered>,
}

/// A mount that answered a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answered {
    /// Its number in the mount table of the life.
    pub(crate) listed: u32,
    /// Its file system. A FUSE connection is called by the minor.
    pub(crate) device: (u32, u32),
    /// It came in this life, not before it.
    pub(crate) is_of_life: bool,
}

impl Look {
    /// Whose vassal it is for.
    pub(super) fn whose(&self) -> Whose {
        Whose::new(self.owner, self.birth)
    }
}

/// One life of a vassal, as the prober can know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Instance {
    /// Its name in the daemon.
    pub(crate) birth: u64,
    /// Its init.
    pub(crate) pid: i32,
    /// When that started, in clock ticks since the machine did: the pid may be another one's by now.
    pub(crate) born: u64,
    /// The FUSE connections it was born with: its host's, whatever has become of them there.
    pub(crate) inherited: Vec<Inherited>,
}

/// A FUSE connection that was there before the life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inherited {
    /// Its number, which is somebody else's when it has ended.
    pub(crate) minor: u32,
    /// What tells it from that one (`Connections::identity`). None: nothing does, and whoever has the number counts as this one: better
    /// not ended than a stranger's ended.
    pub(crate) identity: Option<u64>,
}

/// From the prober.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FromProber {
    /// News of a look.
    Probed {
        /// Which.
        id: u64,
        /// What.
        probed: Probed,
        /// Nothing more comes.
        last: bool,
        /// The prober lacked something of its own: fds, threads, memory.
        is_need: bool,
    },
    /// Threads hang though their looks were taken back.
    Stranded {
        /// Each a phrase: who, where in the kernel, on which path.
        found: Vec<String>,
    },
    /// The exits of a life are held, as far as they could be opened.
    Secured {
        /// Whose.
        birth: u64,
        /// Up to and with this question.
        id: u64,
    },
    /// Who holds up an end.
    Examined {
        /// Which question this answers.
        id: u64,
        /// What was found.
        found: Examined,
    },
    /// I am here.
    Pong,
}

/// What holds up an end, as in [`liege_core::Event::Examined`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Examined {
    /// Processes and mounts, each a phrase.
    pub(crate) found: Vec<String>,
    /// There are processes, and none of them runs.
    pub(crate) is_stuck: bool,
}
