//! All metric families: name, type, unit, labels, meaning. The table in the README is this one, and a test holds them together.
//!
//! How many series there are is bounded by what the labels may be: `vassal` by the files, `mountpoint` by their checks, `cause`,
//! `state` and `phase` by closed lists (a mount and a vassal are in one state and one phase at a time). Histograms are the
//! emperor's, never a vassal's. The series of a vassal go with its file.

use prometheus_client::{metrics::MetricType, registry::Unit};

/// What kind of samples a family has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Info,
}

/// One family.
#[derive(Clone, Copy, Debug)]
pub(super) struct Declared {
    /// The name without unit and suffix.
    pub(super) stem: &'static str,
    pub(super) kind: Kind,
    /// `seconds`, `bytes`, or nothing.
    unit: &'static str,
    /// The labels of its samples, in their order.
    #[cfg_attr(not(test), allow(dead_code, reason = "for the table and the tests"))]
    pub(super) labels: &'static [&'static str],
    pub(super) help: &'static str,
}

impl Declared {
    pub(super) fn unit(&self) -> Option<Unit> {
        match self.unit {
            "seconds" => Some(Unit::Seconds),
            "bytes" => Some(Unit::Bytes),
            _ => None,
        }
    }

    pub(super) fn kind(&self) -> MetricType {
        match self.kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Histogram => MetricType::Histogram,
            Kind::Info => MetricType::Info,
        }
    }
}

macro_rules! families {
    ($($name:ident: $kind:ident $stem:literal $unit:literal [$($label:literal)*] $help:literal;)*) => {
        $(pub(super) const $name: Declared =
            Declared { stem: $stem, kind: Kind::$kind, unit: $unit, labels: &[$($label),*], help: $help };)*
        /// In the order in which they are written.
        #[cfg(test)]
        pub(super) const ALL: &[Declared] = &[$($name),*];
    };
}

families! {
    VASSAL_UP: Gauge "liege_vassal_up" "" ["vassal"] "1 while the app of the vassal runs";
    VASSAL_READY: Gauge "liege_vassal_ready" "" ["vassal"] "1 while the app runs and has said that it is ready, or cannot say it";
    VASSAL_PHASE: Gauge "liege_vassal_phase" "" ["vassal" "phase"] "1: the phase the vassal is in";
    VASSAL_PHASE_START: Gauge "liege_vassal_phase_start_time" "seconds" ["vassal"] "When that phase began, in seconds since 1970";
    VASSAL_FAILURES: Gauge "liege_vassal_failures" "" ["vassal"] "Failures in a row, forgotten after a run that settled";
    VASSAL_FLAPPING: Gauge "liege_vassal_flapping" "" ["vassal"] "1 while the vassal fails over and over, so that each delay is longer";
    VASSAL_GAVE_UP: Gauge "liege_vassal_gave_up" "" ["vassal"] "1 while the vassal is not tried again, because of its start-limit";
    VASSAL_DOUBT: Gauge "liege_vassal_doubt" "" ["vassal"] "1 while the app runs and is doubted: a uwsgi without its plugin or its app, processes or an attached daemon that die again and again";
    VASSAL_CONFIG_ERROR: Gauge "liege_vassal_config_error" "" ["vassal"] "1 while the file has mistakes; what ran goes on";
    VASSAL_RESTARTS: Counter "liege_vassal_restarts" "" ["vassal" "cause"] "Ends of the vassal, by their cause";
    MOUNTPOINT_UP: Gauge "liege_mountpoint_up" "" ["vassal" "mountpoint" "state"] "1 while a mount is at the watched path and answers its owner";
    MOUNTPOINT_CHECK: Gauge "liege_mountpoint_check" "seconds" ["vassal" "mountpoint"] "Time the last check of the mount took";

    UNREAD: Gauge "liege_directory_unreadable" "" ["directory"] "1 while a vassals' directory is missing or cannot be listed, and no vassal of it is known";
    HELD: Gauge "liege_vassals_held" "" ["directory"] "Vassals kept although their directory was unmounted, replaced or is gone";
    VASSALS: Gauge "liege_vassals" "" ["phase"] "Vassals in this phase";
    ENDS: Counter "liege_ends" "" ["cause"] "Ends of all vassals, of those that are gone too, by their cause";
    CONFIG_ERRORS: Counter "liege_config_errors" "" [] "Times a file was read and could not be used";
    MOUNTPOINT_CHANGES: Counter "liege_mountpoint_changes" "" ["state"] "Times a watched mount came into this state";
    STORMS: Counter "liege_storms" "" [] "Times so many vassals lost mounts together that one tried first and the others waited";
    HELD_UP: Counter "liege_held_up_ends" "" [] "Times somebody was found who held up the end of a vassal";
    UNSAVED: Counter "liege_unsaved_ends" "" [] "Ends at which something may not have been written back: the app, a FUSE or an attached daemon was killed or hung before it had, or died of a signal while it saved";
    FUSE_ABORTS: Counter "liege_fuse_aborts" "" [] "Kills with which the FUSE connections of the vassal were ended too";
    PROBER_RESTARTS: Counter "liege_prober_restarts" "" [] "Times the process that checks mounts died, was stopped or was silent and was replaced";
    INOTIFY_OVERFLOWS: Counter "liege_inotify_overflows" "" [] "Times the kernel lost file events, so that everything was looked at again";
    LOG_LINES_LOST: Counter "liege_log_lines_lost" "" [] "Log lines dropped because whoever reads the log is too slow";
    GUESTS_REFUSED: Counter "liege_http_refused" "" [] "Connections to this listener for which there was no room";
    START_DURATION: Histogram "liege_start_duration" "seconds" [] "From the clone of a vassal to its app's start";
    READY_DURATION: Histogram "liege_ready_duration" "seconds" [] "From the clone, or the begin of a reload, to ready";
    RELOAD_DURATION: Histogram "liege_reload_duration" "seconds" [] "From the begin of a reload in place to the new app's start";
    RECOVERY_DURATION: Histogram "liege_recovery_duration" "seconds" [] "From the moment a failure was known to the vassal's being ready again";
    CHECK_DURATION: Histogram "liege_check_duration" "seconds" [] "Time the answer of a watched mount took";
    LOOP_TURN_DURATION: Histogram "liege_loop_turn_duration" "seconds" [] "Time one turn of the daemon's loop took";
    SHUTTING_DOWN: Gauge "liege_shutting_down" "" [] "1 while the daemon is on its way out";
    UPTIME: Gauge "liege_uptime" "seconds" [] "Time since the daemon started";
    BUILD: Info "liege_build" "" ["version" "arch"] "What runs";

    CPU: Counter "process_cpu" "seconds" [] "Processor time of the daemon, without its vassals";
    RESIDENT: Gauge "process_resident_memory" "bytes" [] "Memory of the daemon that is in RAM";
    VIRTUAL: Gauge "process_virtual_memory" "bytes" [] "Address space of the daemon";
    OPEN_FDS: Gauge "process_open_fds" "" [] "Open files of the daemon";
    MAX_FDS: Gauge "process_max_fds" "" [] "Files the daemon may open";
    THREADS: Gauge "process_threads" "" [] "Threads of the daemon";
    START_TIME: Gauge "process_start_time" "seconds" [] "When the daemon started, in seconds since 1970";
}
