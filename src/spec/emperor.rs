//! What the emperor's file means.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Asked, Hook, Namespaces, RestartLimits};

/// The daemon as its file and flags wish it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmperorSpec {
    /// `emperor = DIR|GLOB`, in order; uWSGI's `dir://` and `glob://` prefixes are taken off.
    pub monitors: Vec<Asked<String>>,
    /// `emperor-use-clone`: the namespaces every vassal gets anew.
    pub namespaces: Namespaces,
    /// `emperor-cap`: the capabilities vassals are left with, one bit each; None: all the emperor has.
    pub vassal_caps: Option<Asked<u64>>,
    /// `emperor-freq` (3 s): the rescan that catches what inotify missed.
    pub freq: Duration,
    /// `emperor-throttle` (1000 ms): the first delay after a second failure in a row; doubled each time.
    pub throttle: Duration,
    /// `emperor-max-throttle` (180000 ms): the longest delay.
    pub max_throttle: Duration,
    /// `emperor-flapping-failures`, `emperor-flapping-window`, `emperor-start-limit`: for vassals that set none.
    pub restarts: RestartLimits,
    /// `emperor-required-heartbeat` (30 s): longest silence of a vassal that has sent one heartbeat.
    pub required_heartbeat: Duration,
    /// `emperor-curse-tolerance` (30 s): how long a vassal may take to end; its own `stop-timeout` goes before it.
    pub curse_tolerance: Option<Duration>,
    /// `emperor-graceful-shutdown`: uwsgi vassals are stopped by byte 2 instead of 0.
    pub graceful_stop: bool,
    /// `emperor-nofollow`: a symbolic link's own times count, not its target's.
    pub nofollow: bool,
    /// `emperor-extra-extension`: further suffixes a vassal's file may have, with their dot.
    pub extra_extensions: Vec<String>,
    /// `emperor-shrink-guard`: vassals outlive their directory's unmount for so long; zero: not at all.
    #[serde(default)]
    pub shrink_guard: Duration,
    /// `emperor-pidfile` and `pidfile`: each is written, as in uWSGI.
    pub pidfiles: Vec<String>,
    /// `emperor-state-dir` (`/run/liege`)
    pub state_dir: String,
    /// `emperor-control` (`control.sock` in the state directory)
    pub control: String,
    /// `emperor-log-dir` (`/var/log/liege`, or `logs` in a state directory of its own)
    pub log_dir: String,
    /// `emperor-health-log` (15 s); None: off.
    pub health_log: Option<Duration>,
    /// `emperor-metrics = ADDR`: where metrics, health and the status page are served over HTTP; None: nowhere.
    #[serde(default)]
    pub metrics: Option<Asked<SocketAddr>>,
    /// `emperor-metrics-host = NAME`: names by which that listener is asked for, beside the machine's own; in lower case, without a port.
    #[serde(default)]
    pub metrics_hosts: Vec<Asked<String>>,
    /// `emperor-death`
    pub death: EmperorDeath,
    /// `emperor-max-starts`; None: twice the processors.
    pub max_starts: Option<usize>,
    /// `hook-as-vassal` and its families, `hook-as-vassal-before-drop`: done in every vassal before its own.
    pub vassal_hooks: Vec<Hook>,
    /// `vassal-set`, `vassals-set = KEY=VALUE`: appended to every vassal's options.
    pub vassal_set: Vec<(String, String)>,
}

impl EmperorSpec {
    /// What it means when `emperor-use-clone` has no `fs`: legal, as in uWSGI, and rarely meant.
    pub const SHARES_MOUNTS: &'static str = "vassals share the host's mount table: what they mount shows on the host, and what is no \
         FUSE mount stays when they end; add emperor-use-clone = fs,pid";
}

/// What init does when it loses the emperor without a shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EmperorDeath {
    /// End the vassal.
    Kill,
}
