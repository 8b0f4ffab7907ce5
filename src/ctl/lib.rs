//! The remote: asks a running daemon over its control socket, and shows the answer to people.
//!
//! Blocking on purpose: one question, one answer, then the program ends. `http.rs` is the smallest client of HTTP/1.1 that the
//! daemon's server needs (`body.rs`, `enduring.rs`: what an answer is, and where it goes on), `client.rs` knows the requests, `names.rs` what people mean by a name, `rolling.rs` restarts many with
//! care, `stopping.rs` waits for their ends; `table.rs`, `detail.rs`, `happened.rs` (`repeated.rs`: once what repeats itself) and `line.rs` are the forms for a terminal, `top/` the live one. `doctor/` asks nobody but the machine.

mod body;
mod client;
mod detail;
pub mod doctor;
mod enduring;
mod enter;
mod failure;
mod happened;
mod http;
mod line;
mod names;
mod repeated;
mod rolling;
mod span;
mod stopping;
mod style;
mod table;
#[cfg(test)]
mod testing;
mod top;
mod words;

pub use client::{Client, Said, Told};
pub use detail::detail;
pub use enter::{Refusal, Visitor, enter};
pub use failure::Failure;
pub use happened::{happened, moment};
pub use line::line;
pub use names::resolve;
pub use repeated::repeated;
pub use rolling::{Outcome, Rolling};
pub use stopping::Stopping;
pub use style::Style;
pub use table::table;
pub use top::{Stopped, top};
pub use words::{shown, shown_json};
