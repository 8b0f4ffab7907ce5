//! Events to actions: the pure machine.
//!
//! [`Emperor::handle`] takes what happened and the time it happened at, and answers what is to be done. It decides and never
//! acts: no clock, no I/O, no randomness, no async. The shell performs the actions and feeds back what came of them.
//!
//! Start reading at [`Event`] and [`Action`], then `vassal/` (one file per kind of event, each a total match over the
//! phases), then `compile.rs` (a spec becomes the ordered steps of a plan).

mod action;
mod address;
mod advice;
mod app;
mod backoff;
mod cause;
mod compile;
mod emperor;
mod event;
mod file_id;
mod for_everybody;
mod holder;
mod layers;
mod mounts;
mod note;
mod probed;
mod records;
mod request;
mod shortage;
mod storm;
mod succession;
mod time;
mod timers;
mod unusable;
mod vassal;
mod view;

pub use action::{Action, Check};
pub use address::Address;
pub use cause::{Cause, Rule};
pub use compile::{CompileError, Compiled, Source, Surroundings, compile, compile_reload};
pub use emperor::Emperor;
pub use event::{Event, Name};
pub use file_id::{FileId, InodeId};
pub use holder::{Holder, Listener};
pub use note::{Level, Note};
pub use probed::{Came, Health, Late, Mounted, Probed};
pub use records::{Death, Detail, Happening, Reply, Usage, Verdict};
pub use request::{Answer, Order, ROOT, Request, may};
pub use shortage::missing;
pub use time::Time;
pub use vassal::Phase;
pub use view::{Failure, Flapping, HeldDirectory, MountView, Roots, StepView, UserView, VassalView, View, file_word};
