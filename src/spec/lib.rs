//! Text to meaning.
//!
//! A file goes through four doors, each a room of its own: [`lines`] (bytes to logical lines with spans, rust-ini the reader),
//! [`logic`] (if/for), [`expand`] (`$(ENV)`, `@(file)`, `%(name)`), and the *raising* of flat pairs to a typed
//! [`VassalSpec`] or [`EmperorSpec`]. Parsing never fails: it returns what it understood, and every mistake at once.
//!
//! Deliberately not here: the file system, the environment, the clock, the user database. All of them are asked through a
//! [`Lookup`], so a test is a text and a table.

mod diagnostic;
mod emperor;
mod lookup;
mod origin;
mod vassal;

pub use diagnostic::{Diagnostic, Severity};
pub use emperor::{EmperorDeath, EmperorSpec, Namespaces};
pub use lookup::{Kind, Lookup};
pub use origin::{Asked, Origin};
pub use vassal::{
    AppSpec, Attributes, Hook, HookPhase, Identity, Jail, MountpointCheck, PivotRoot, ProgramSpec, Timeouts, VassalConfig,
    VassalSpec, Verb,
};
