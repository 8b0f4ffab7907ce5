//! Faults on purpose: file systems that can be hurt, ways to hurt them, and what must come of it.

mod cell;
mod fault;
mod faultfs;
mod filesystem;
mod row;
mod victim;

pub use cell::Cell;
pub use fault::{Fault, Lane};
pub use faultfs::Faultfs;
pub use filesystem::{Filesystem, Kind, Owner};
pub use row::{Row, Rows};
pub use victim::{Pace, Victim};
