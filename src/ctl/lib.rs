//! The remote: asks a running daemon over its control socket, and shows the answer to people.
//!
//! Blocking on purpose: one question, one answer, then the program ends. `http.rs` is the smallest client of HTTP/1.1 that the
//! daemon's server needs, `client.rs` knows the requests, `table.rs` the form for a terminal. `doctor/` asks nobody but the machine.

mod client;
pub mod doctor;
mod failure;
mod http;
mod span;
mod table;

pub use client::Client;
pub use failure::Failure;
pub use table::{Style, table};
