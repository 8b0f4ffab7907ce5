//! `liege top`: all vassals in a live view of the whole terminal, with keys that order them about.
//!
//! `model.rs` and `keys.rs` are pure: an [`Event`](event::Event) in, a [`Wish`](event::Wish) out, and nothing else happens; `frame.rs`
//! and its helpers paint what the model holds. `sources.rs` are the threads that hear things, `screen.rs` gives the terminal back
//! as it was, `run.rs` joins them.
//!
//! Deliberately not here: a clock (the daemon's snapshots and ticks tell the time), and anything that waits for the daemon while
//! a key is pressed.

mod bottom;
mod event;
mod fit;
mod frame;
mod history;
mod keys;
mod model;
mod page;
mod paint;
mod row;
mod run;
mod screen;
mod sort;
mod sources;
mod spark;
#[cfg(test)]
mod tests;

pub use run::{Stopped, top};
