//! Text to meaning.
//!
//! A file goes through five doors, each a file of its own:
//! 1. `magic`: `%d`, `%n` and the like are replaced in its raw bytes, each byte remembering where it came from;
//! 2. `lines`: bytes to pairs with their places, rust-ini the reader, `armor` what brings uWSGI's lines past it unharmed;
//! 3. `logic`: if and for, line by line, driven by `flatten`, which also follows includes;
//! 4. `placeholder`: `$(ENV)`, `@(file)`, `%(name)`; on all of this way `text` keeps what is put in from outside from being expanded;
//! 5. the *raising* of flat pairs to a typed [`VassalSpec`] (`vassal_file`, `hooks`, `program`, `identity`) or [`EmperorSpec`]
//!    (`emperor_file`).
//!
//! Parsing never fails: it returns what it understood, and every mistake at once. The same text under the same [`Lookup`]
//! gives the same spec.
//!
//! Deliberately not here: the file system, the environment, the clock, the user database. All of them are asked through a
//! [`Lookup`], so a test is a text and a table. Nor any order between the steps of a start: that is the core's.

mod armor;
mod budget;
mod caps;
mod cgroup;
mod code;
mod daemons;
mod declared;
mod diagnostic;
mod doubts;
mod emperor;
mod emperor_file;
mod environment;
mod flatten;
mod heard;
mod hooks;
mod identity;
mod jail;
mod known;
mod layers;
mod limits;
mod lines;
mod logic;
mod lookup;
mod magic;
mod mount;
mod namespaces;
mod offsets;
mod options;
mod origin;
mod output;
mod pair;
mod paths;
mod place;
mod placeholder;
mod plugins;
mod points;
mod program;
mod render;
mod report;
mod restarts;
mod shell;
mod source;
pub mod testing;
mod text;
mod traps;
mod values;
mod vassal;
mod vassal_file;
mod verb;
mod writers;

pub use caps::capability_names;
pub use cgroup::Cgroups;
pub use code::Code;
pub use daemons::{AttachedDaemon, Pidfile};
pub use diagnostic::{Diagnostic, Severity};
pub use doubts::{
    checks_of_nothing, layers_taken_away, of_emperor as doubts_of_emperor, of_vassal as doubts_of_vassal, plugins_missing,
};
pub use emperor::{EmperorDeath, EmperorSpec};
pub use emperor_file::read_emperor;
pub use environment::{AccountRecord, Environment, Secrets};
pub use flatten::flatten;
pub use known::{KNOWN_OPTIONS, is_looked_through, nearest_option};
pub use layers::{Layer, TakenAway, taken_away};
pub use limits::ProcessLimits;
pub use lookup::{Kind, Lookup, NoAnswer};
pub use namespaces::Namespaces;
pub use origin::{Asked, Origin};
pub use output::{LogRules, LogTo};
pub use pair::{Pair, show_config};
pub use plugins::{Served, app_option, router_without_plugin};
pub use points::{Point, called_inside, points};
pub use program::MOST_FOR_UWSGI;
pub use report::Reading;
pub use restarts::{RestartLimits, RestartRules};
pub use shell::instead as instead_of_shell;
pub use source::Source;
pub use vassal::{
    Account, AppSpec, Attributes, Hook, HookPhase, Identity, Jail, MountpointCheck, Names, PivotRoot, ProgramSpec, Timeouts,
    VassalConfig, VassalSpec, Verb,
};
pub use vassal_file::read_vassal;
pub use writers::Writer;
