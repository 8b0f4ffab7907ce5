//! The treaty between host and init.
//!
//! Only what stands here crosses the process border of a vassal: a [`Plan`] and the messages both ways, in one codec and
//! under one protocol version. Host and init come from one build (init is pinned by fd when the daemon starts), yet a
//! daemon may one day adopt vassals of an older build: the version says so before anything else is read.
//!
//! Deliberately not here: any decision. The order of the steps is the core's, how a step is done is init's.

mod act;
mod app;
mod base;
mod codec;
mod daemon;
pub mod fds;
pub mod fork;
mod message;
mod names;
mod output;
mod stamp;
mod text;

pub use act::{Act, Mount, MountAttributes, MountFlags, Phase, Step, Umount, Unshare, Wait};
pub use app::{App, AppLimits, Exit, Identity, Lasting, Limits, Program, Uwsgi};
pub use base::{AccountRecord, Base, Secrets};
pub use codec::{CodecError, FrameReader, MAX_FRAME, encode};
pub use daemon::{Daemon, DaemonNews, DaemonPidfile, SmartDaemon};
pub use message::{
    AppWord, Fate, FromInit, HostMount, HungMount, LOST, Limit, Loss, MountChange, Notice, Place, Plan, Reload, ToInit,
};
pub use names::{Account, Names};
pub use output::{Log, Sink};
pub use stamp::stamp;
pub use text::{describe_act, in_quotes, signal_name};

/// The version of everything in this room. Raised whenever the meaning or the order of a field changes.
pub const VERSION: u16 = 12;
