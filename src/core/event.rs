//! What can happen. Every input of the machine is one of these, recorded as it is when a trace is asked for.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use liege_plan::{Exit, FromInit};
use liege_spec::{Diagnostic, VassalConfig};
use serde::{Deserialize, Serialize};

use crate::{FileId, Listener, Probed, Request, Time};

/// A vassal's name: unique among all monitors of one emperor.
pub type Name = Arc<str>;

/// Something happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// A vassal's file was read and understood: it is new, changed, was touched, or was only read again.
    Config {
        /// Whose.
        vassal: Name,
        /// What it says.
        config: Arc<VassalConfig>,
        /// The directory steps and app start in.
        directory: String,
        /// Somebody wrote or touched the file since it was last understood. Else it was only read again (it could not be read
        /// for a moment, or its vassal died), and a configuration that differs does so because the world around it does.
        touched: bool,
        /// The file that was read.
        #[serde(default)]
        file: Option<FileId>,
    },
    /// A vassal's file was read and cannot be used.
    BadConfig {
        /// Whose.
        vassal: Name,
        /// All its mistakes.
        diagnostics: Vec<Diagnostic>,
    },
    /// A vassal's file could not be read because the host, or the daemon, lacks what is needed for it. It is read again soon.
    Unread {
        /// Whose.
        vassal: Name,
        /// What is missing, and for what.
        why: String,
    },
    /// The first reading of a vassal's file has come to no end yet, because something does not answer.
    Unanswered {
        /// Whose.
        vassal: Name,
        /// What does not answer.
        what: String,
        /// For how long by now.
        lasts: Duration,
    },
    /// A vassal's file is not there any more.
    Vanished {
        /// Whose.
        vassal: Name,
    },
    /// The clone asked for by [`crate::Action::Spawn`] lives and is registered; it waits for the green light.
    Spawned {
        /// Whose.
        vassal: Name,
        /// Which birth.
        birth: u64,
        /// Its pid.
        pid: i32,
    },
    /// Those of the directories named at its birth that are mount points there. Not told where its list could not be read.
    Mounted {
        /// Whose.
        vassal: Name,
        /// Which birth.
        birth: u64,
        /// The mount points.
        points: Vec<String>,
    },
    /// The clone did not come about.
    SpawnFailed {
        /// Whose.
        vassal: Name,
        /// Which birth.
        birth: u64,
        /// The step of the birth, in words.
        stage: String,
        /// Why.
        errno: i32,
        /// A bound of the vassal's own was met, none of the host's.
        #[serde(default)]
        own_bound: bool,
    },
    /// Init said something.
    Reported {
        /// Whose.
        vassal: Name,
        /// Which birth.
        birth: u64,
        /// What.
        report: FromInit,
    },
    /// Init said something that is no message of this version: it cannot be trusted any more.
    Garbled {
        /// Whose.
        vassal: Name,
        /// Which birth.
        birth: u64,
    },
    /// The kernel's OOM killer has taken processes of this life, or has been at work where it may have. Told before what it led to.
    OomKilled {
        /// Whose.
        vassal: Name,
        /// Which birth.
        birth: u64,
        /// How many, since the last time.
        kills: u64,
        /// Where memory ran out, where it was not in the life's own groups: then a SIGKILL is its work, and nothing else is.
        #[serde(default)]
        around: Option<String>,
    },
    /// Init was reaped, and with it everything in its namespace is gone.
    Exited {
        /// Whose.
        vassal: Name,
        /// Which birth.
        birth: u64,
        /// How.
        exit: Exit,
    },
    /// A probe of a mount answered, or is late.
    Probed {
        /// Whose.
        vassal: Name,
        /// Which birth.
        birth: u64,
        /// The path, as in the check.
        path: String,
        /// What it found.
        probed: Probed,
    },
    /// The exits asked for by [`crate::Action::Secure`] are held, or could not be opened.
    Secured {
        /// Whose.
        vassal: Name,
        /// Which birth.
        birth: u64,
        /// Its number there.
        number: u32,
    },
    /// Who holds up the end of a life, as asked by [`crate::Action::Examine`].
    Examined {
        /// Whose.
        vassal: Name,
        /// Which birth.
        birth: u64,
        /// Processes with state and kernel function, mounts with what waits on them; each a phrase.
        found: Vec<String>,
        /// There are processes, and none of them runs: each waits for something in the kernel.
        #[serde(default)]
        is_stuck: bool,
    },
    /// The sockets that listen where its app wanted to, as asked by [`crate::Action::FindListeners`]. Not told where it could not be
    /// found out in time.
    Listening {
        /// Whose.
        vassal: Name,
        /// Which birth.
        birth: u64,
        /// Those that were found.
        found: Vec<Listener>,
    },
    /// A vassals' directory is unmounted, replaced or gone, and its vassals are kept all the same. Told again when more is known. With 0
    /// vassals it is one that cannot be read, and of which none is known.
    DirectoryHeld {
        /// Its path.
        directory: String,
        /// So many vassals have their files there.
        vassals: usize,
        /// What is wrong with it.
        why: String,
        /// Then it is believed, and they end; None: as long as it is so.
        #[serde(default)]
        believed_in: Option<Duration>,
    },
    /// That is over.
    DirectoryReleased {
        /// Its path.
        directory: String,
        /// It is believed: vassals without a file end. Else the directory is as it was.
        believed: bool,
    },
    /// Who survives SIGKILL of what a vassal without a pid namespace has left behind; nobody any more, where `found` is empty.
    LeftBehind {
        /// Whose.
        vassal: Name,
        /// Processes with state and kernel function, each a phrase.
        found: Vec<String>,
    },
    /// The moment named by `next_deadline` has come.
    Deadline,
    /// Somebody asks for something: a signal, the control socket.
    Asked(Request),
    /// The same, and the files it is about were read for it: what they say by now was told before.
    ReadAndAsked {
        /// What is asked for.
        request: Request,
        /// When it was; the files were read after that.
        received: Time,
        /// The vassals whose files could not be read, each with the reason.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        unread: BTreeMap<Name, String>,
    },
}
