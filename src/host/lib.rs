//! The async shell: waits, names, lets the core decide, and does what it says.
//!
//! Start reading at `turn.rs`, the one loop. Around it, each in a file: who wakes it (`signals.rs`, `inbox.rs`), who is born
//! (`birthplace.rs`, `life.rs`, `channel.rs`), who dies (`children.rs`), what is wished (`monitor/`), how the mounts are
//! (`checks.rs`, `prober/`), and what is told to people (`notes.rs`, `health.rs`, `metrics/`, `logs.rs`, `control/`, `web/`).
//!
//! Deliberately not here: decisions. A file of this room that asks "should it?" belongs in the core.

mod birthplace;
mod cgroup;
mod channel;
mod checks;
mod children;
mod clock;
mod control;
mod deaths;
mod disk;
mod door;
mod escape;
mod events;
mod file_name;
mod first_mounts;
mod health;
mod inbox;
mod inherited;
mod journal;
mod left_mounts;
mod life;
mod lines;
mod listeners;
mod lives;
mod logs;
mod metrics;
mod monitor;
mod notes;
mod nss;
mod oom;
mod own_program;
mod pidfile;
mod prober;
mod regular;
mod replay;
mod run;
mod search;
mod secret;
mod server;
mod service;
mod signals;
mod state_dir;
mod sweep;
#[cfg(test)]
mod testing;
mod text;
mod trace;
mod turn;
mod vassal_logs;
mod web;
mod whereabouts;
mod workers;
mod world;
mod writers;

pub use left_mounts::serve as serve_detach;
pub use lines::Flush;
pub use logs::{Format, check_level, start as start_logs};
pub use prober::serve as serve_prober;
pub use regular::{is_lock, read_configuration, why_no_file};
pub use replay::{Replayed, replay};
pub use run::{Options, require_root, run};
pub use world::{World, is_mount_point};
