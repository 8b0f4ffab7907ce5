//! What every story stands on.
//!
//! A story is a function given to [`story()`]: it runs in a thread with a mount namespace of its own whose `/` is recursively
//! *shared*, as on every systemd host, so a mount that leaks out of a vassal is seen. The same thread's process is a
//! subreaper, so whatever a vassal leaves behind comes back here. When the story ends, the leak guard ([`leaks`]) compares
//! the world with what it was, and when it fails, everything it started is killed before the next story begins.
//!
//! Deliberately not here: sleeping. There is one polling primitive, [`wait::wait_for`], with a deadline and a sentence that
//! says what was waited for.

pub mod apps;
pub mod archive;
pub mod browser;
pub mod cgroups;
pub mod cow;
pub mod emperor;
pub mod faults;
pub mod gauge;
pub mod groups;
pub mod http;
pub mod launch;
pub mod leaks;
mod log;
pub mod procs;
pub mod remote;
pub mod scrape;
pub mod story;
pub mod terminal;
pub mod tools;
pub mod userns;
pub mod vassal;
pub mod wait;

pub use emperor::Emperor;
pub use http::{get, get_ok, served};
pub use story::{Host, story};
pub use vassal::Vassal;
pub use wait::{LONG, SHORT, bar, wait_for, wait_until};
