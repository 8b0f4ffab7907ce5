//! A snapshot and the book, written down: every family of `declared.rs`, in its order.

use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use liege_core::{Phase, Time, VassalView, View};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, EncodeMetric, text::encode},
    metrics::{counter::ConstCounter, gauge::ConstGauge, info::Info},
    registry::Registry,
};

use super::{
    book::{Book, seconds},
    declared::{self as family, Declared},
    process::Process,
};

/// Everything, in the OpenMetrics text format.
pub(crate) fn exposition(view: &Arc<View>, book: &Arc<Book>) -> String {
    exposition_beside(view, book, Process::read())
}

/// The same, of a process that was read.
pub(super) fn exposition_beside(view: &Arc<View>, book: &Arc<Book>, process: Process) -> String {
    written(Everything { view: Arc::clone(view), book: Arc::clone(book), process, wall: SystemTime::now() })
}

/// The samples of the health lines, one a line: how the vassals and their mounts are.
pub(crate) fn health(view: View) -> impl Iterator<Item = String> {
    let lines: Vec<String> = written(Health(view)).lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    lines.into_iter()
}

fn written(what: impl Collector) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(what));
    let mut text = String::new();
    encode(&mut text, &registry).unwrap_or_default(); // a String takes everything
    text
}

#[derive(Debug)]
struct Everything {
    view: Arc<View>,
    book: Arc<Book>,
    process: Process,
    /// When the snapshot is written down.
    wall: SystemTime,
}

#[derive(Debug)]
struct Health(View);

impl Collector for Health {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut pen = Pen(encoder);
        let Self(view) = self;
        pen.up(view)?;
        // Of those only that are: a line each for a thousand that are not would tell nothing.
        let flapping = view.vassals.iter().filter(|v| v.flapping.is_some());
        pen.gauges(&family::VASSAL_FLAPPING, flapping.map(|v| (of(v), 1_i64)))?;
        pen.gauges(&family::VASSAL_GAVE_UP, view.vassals.iter().filter(|v| v.gave_up).map(|v| (of(v), 1_i64)))?;
        pen.gauges(&family::VASSAL_DOUBT, view.vassals.iter().filter(|v| v.doubt.is_some()).map(|v| (of(v), 1_i64)))?;
        pen.mounts(view)?;
        pen.restarts(view)
    }
}

impl Collector for Everything {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut pen = Pen(encoder);
        self.vassals(&mut pen)?;
        self.counted(&mut pen)?;
        self.durations(&mut pen)?;
        self.daemon(&mut pen)
    }
}

impl Everything {
    fn vassals(&self, pen: &mut Pen<'_>) -> fmt::Result {
        let vassals = &self.view.vassals;
        pen.up(&self.view)?;
        let ready = vassals.iter().map(|v| (of(v), i64::from(is_up(v) && v.ready)));
        pen.gauges(&family::VASSAL_READY, ready.chain(never_usable(&self.view)))?;
        let phases = vassals.iter().map(|v| ([("vassal", &*v.name), ("phase", v.phase.word())], 1_i64));
        pen.gauges(&family::VASSAL_PHASE, phases)?;
        pen.gauges(&family::VASSAL_PHASE_START, vassals.iter().map(|v| (of(v), self.unix(v.since))))?;
        pen.gauges(&family::VASSAL_FAILURES, vassals.iter().map(|v| (of(v), i64::from(v.failures))))?;
        pen.gauges(&family::VASSAL_FLAPPING, vassals.iter().map(|v| (of(v), i64::from(v.flapping.is_some()))))?;
        pen.gauges(&family::VASSAL_GAVE_UP, vassals.iter().map(|v| (of(v), i64::from(v.gave_up))))?;
        pen.gauges(&family::VASSAL_DOUBT, vassals.iter().map(|v| (of(v), i64::from(v.doubt.is_some()))))?;
        let with_vassal = vassals.iter().map(|v| (of(v), i64::from(v.config_error.is_some())));
        let without =
            self.view.unusable.iter().map(|(name, _)| ([("vassal", &**name)], i64::from(!self.view.unread.contains(name))));
        pen.gauges(&family::VASSAL_CONFIG_ERROR, with_vassal.chain(without))?;
        pen.restarts(&self.view)?;
        pen.mounts(&self.view)?;
        let known = [
            Phase::Suspended,
            Phase::Waiting,
            Phase::Spawning,
            Phase::Preparing,
            Phase::Running,
            Phase::Reloading,
            Phase::Stopping,
            Phase::Killing,
        ];
        let (unread, held): (Vec<_>, Vec<_>) = self.view.held.iter().partition(|held| held.is_unread());
        pen.gauges(&family::UNREAD, unread.iter().map(|unread| ([("directory", &*unread.directory)], 1_i64)))?;
        pen.gauges(&family::HELD, held.iter().map(|held| ([("directory", &*held.directory)], count(held.vassals))))?;
        // All of them, also where nobody is: a sum over them is then always right.
        let mut phases: BTreeMap<&str, i64> = known.into_iter().map(|phase| (phase.word(), 0)).collect();
        vassals.iter().for_each(|v| *phases.entry(v.phase.word()).or_default() += 1);
        pen.gauges(&family::VASSALS, phases.into_iter().map(|(word, count)| ([("phase", word)], count)))
    }

    fn counted(&self, pen: &mut Pen<'_>) -> fmt::Result {
        let book = &self.book;
        pen.one(&family::ENDS, &book.ends)?;
        pen.one(&family::CONFIG_ERRORS, &book.config_errors)?;
        pen.one(&family::MOUNTPOINT_CHANGES, &book.mountpoint_changes)?;
        pen.one(&family::STORMS, &book.storms)?;
        pen.one(&family::HELD_UP, &book.held_up)?;
        pen.one(&family::UNSAVED, &book.unsaved)?;
        pen.one(&family::FUSE_ABORTS, &book.fuse_aborts)?;
        pen.one(&family::PROBER_RESTARTS, &book.prober_restarts)?;
        pen.one(&family::INOTIFY_OVERFLOWS, &book.inotify_overflows)?;
        pen.one(&family::LOG_LINES_LOST, &ConstCounter::new(crate::lines::lost()))?;
        pen.one(&family::GUESTS_REFUSED, &book.guests_refused)
    }

    fn durations(&self, pen: &mut Pen<'_>) -> fmt::Result {
        let book = &self.book;
        pen.one(&family::START_DURATION, &book.start)?;
        pen.one(&family::READY_DURATION, &book.ready)?;
        pen.one(&family::RELOAD_DURATION, &book.reload)?;
        pen.one(&family::RECOVERY_DURATION, &book.recovery)?;
        pen.one(&family::CHECK_DURATION, &book.check)?;
        pen.one(&family::LOOP_TURN_DURATION, &book.turn)
    }

    #[allow(clippy::cast_possible_wrap, reason = "no machine has so much of anything")]
    fn daemon(&self, pen: &mut Pen<'_>) -> fmt::Result {
        let (began, started) = self.book.began;
        pen.gauge(&family::SHUTTING_DOWN, i64::from(self.view.shutting_down))?;
        pen.gauge(&family::UPTIME, began.elapsed().as_secs_f64())?;
        let build = Info::new([("version", env!("CARGO_PKG_VERSION")), ("arch", std::env::consts::ARCH)]);
        pen.one(&family::BUILD, &build)?;
        let process = &self.process;
        pen.one(&family::CPU, &ConstCounter::new(process.cpu_seconds))?;
        pen.gauge(&family::RESIDENT, process.resident_bytes as i64)?;
        pen.gauge(&family::VIRTUAL, process.virtual_bytes as i64)?;
        pen.gauge(&family::OPEN_FDS, process.open_fds as i64)?;
        pen.gauge(&family::MAX_FDS, i64::try_from(process.max_fds).unwrap_or(i64::MAX))?;
        pen.gauge(&family::THREADS, process.threads as i64)?;
        pen.gauge(&family::START_TIME, unix(started))
    }

    /// A moment of the core on the wall clock.
    fn unix(&self, at: Time) -> f64 {
        unix(self.wall - (self.view.now - at))
    }
}

fn unix(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64()
}

fn of(vassal: &VassalView) -> [(&'static str, &str); 1] {
    [("vassal", &vassal.name)]
}

/// A file that never was usable has no vassal. It is down all the same: who asks what is down must find it.
fn never_usable(view: &View) -> impl Iterator<Item = ([(&'static str, &str); 1], i64)> {
    view.unusable.iter().map(|(name, _)| ([("vassal", &**name)], 0))
}

fn count(of: usize) -> i64 {
    i64::try_from(of).unwrap_or(i64::MAX)
}

fn is_up(vassal: &VassalView) -> bool {
    matches!(vassal.phase, Phase::Running | Phase::Reloading)
}

/// Writes families.
struct Pen<'a>(DescriptorEncoder<'a>);

impl Pen<'_> {
    fn up(&mut self, view: &View) -> fmt::Result {
        let up = view.vassals.iter().map(|v| (of(v), i64::from(is_up(v))));
        self.gauges(&family::VASSAL_UP, up.chain(never_usable(view)))
    }

    fn mounts(&mut self, view: &View) -> fmt::Result {
        let mounts = || view.vassals.iter().flat_map(|v| v.mounts.iter().map(move |mount| (&*v.name, mount)));
        let up = mounts().map(|(vassal, mount)| {
            let state = mount.word();
            ([("vassal", vassal), ("mountpoint", &*mount.path), ("state", state)], i64::from(state == "healthy"))
        });
        self.gauges(&family::MOUNTPOINT_UP, up)?;
        let checked = mounts().filter(|(_, mount)| mount.health.is_some());
        let took = checked.map(|(vassal, mount)| ([("vassal", vassal), ("mountpoint", &*mount.path)], seconds(mount.micros)));
        self.gauges(&family::MOUNTPOINT_CHECK, took)
    }

    fn restarts(&mut self, view: &View) -> fmt::Result {
        let ends = view.vassals.iter().flat_map(|v| v.restarts.iter().map(move |end| (&*v.name, end)));
        let samples = ends.map(|(vassal, (cause, n))| ([("vassal", vassal), ("cause", &**cause)], ConstCounter::new(*n)));
        self.samples(&family::VASSAL_RESTARTS, samples)
    }

    /// A family without labels, or one that brings them.
    fn one(&mut self, what: &Declared, metric: &impl EncodeMetric) -> fmt::Result {
        metric.encode(self.0.encode_descriptor(what.stem, what.help, what.unit().as_ref(), what.kind())?)
    }

    fn gauge<N: EncodeGaugeValue>(&mut self, what: &Declared, value: N) -> fmt::Result
    where
        ConstGauge<N>: EncodeMetric,
    {
        self.one(what, &ConstGauge::new(value))
    }

    fn gauges<L: EncodeLabelSet, N>(&mut self, what: &Declared, samples: impl Iterator<Item = (L, N)>) -> fmt::Result
    where
        ConstGauge<N>: EncodeMetric,
    {
        self.samples(what, samples.map(|(labels, value)| (labels, ConstGauge::new(value))))
    }

    fn samples<L: EncodeLabelSet, M: EncodeMetric>(
        &mut self,
        what: &Declared,
        samples: impl Iterator<Item = (L, M)>,
    ) -> fmt::Result {
        let unit = what.unit();
        let mut encoder = self.0.encode_descriptor(what.stem, what.help, unit.as_ref(), what.kind())?;
        for (labels, metric) in samples {
            metric.encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
