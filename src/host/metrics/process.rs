//! What the daemon's own process costs, under the names every Prometheus client uses.

use std::fs;

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeVal,
};

/// One reading. What cannot be read is 0.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Process {
    pub(super) cpu_seconds: f64,
    pub(super) resident_bytes: u64,
    pub(super) virtual_bytes: u64,
    pub(super) open_fds: usize,
    pub(super) max_fds: u64,
    pub(super) threads: u64,
}

impl Process {
    /// Reads it. Thousands of open files take a while to be counted, so never in the loop.
    pub(super) fn read() -> Self {
        let cpu_seconds = getrusage(UsageWho::RUSAGE_SELF)
            .map(|usage| seconds(usage.user_time()) + seconds(usage.system_time()))
            .unwrap_or_default();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let of = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
            line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default()
        };
        Self {
            cpu_seconds,
            resident_bytes: of("VmRSS") * 1024,
            virtual_bytes: of("VmSize") * 1024,
            open_fds: fs::read_dir("/proc/self/fd").map_or(0, |fds| fds.count().saturating_sub(1)), // not the one that lists them
            max_fds: liege_sys::limits::nofile().map_or(0, |(soft, _)| soft),
            threads: of("Threads"),
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "exact for 285 years")]
fn seconds(time: TimeVal) -> f64 {
    time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6
}
