//! The metrics: what is declared, what is counted, and both written down.
//!
//! How the vassals are is in the core's snapshot; what has happened is counted in the [`Book`], where notes and events pass through
//! the loop. A scrape writes down both, on the scraper's thread; the health lines are a part of the same samples.
//!
//! * `declared.rs`: all families, their labels, what they mean
//! * `book.rs`: counters and histograms
//! * `process.rs`: the daemon's own process
//! * `exposition.rs`: everything in the OpenMetrics text format
//! * `text_format.rs`: the same for who speaks Prometheus's older format

mod book;
mod declared;
mod exposition;
mod process;
#[cfg(test)]
mod tests;
mod text_format;

pub(crate) use book::Book;
pub(crate) use exposition::{exposition, health};
pub(crate) use text_format::text_format;
