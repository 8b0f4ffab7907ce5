//! The metric families, filled from the snapshot: the same names and labels in health lines and in an exposition.

mod text_format;

use liege_core::{Phase, VassalView, View};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

pub(crate) use text_format::text_format;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfVassal {
    vassal: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfMount {
    vassal: String,
    mountpoint: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfMountState {
    vassal: String,
    mountpoint: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRestart {
    vassal: String,
    cause: String,
}

type Seconds = Gauge<f64, std::sync::atomic::AtomicU64>;

#[derive(Debug, Default)]
struct Families {
    vassal_up: Family<OfVassal, Gauge>,
    mountpoint_up: Family<OfMountState, Gauge>,
    check_seconds: Family<OfMount, Seconds>,
    restarts: Family<OfRestart, Counter>,
}

/// What is counted while the daemon runs.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) guests_refused: Counter,
}

/// The exposition of a snapshot, in the OpenMetrics text format.
pub(crate) fn exposition(view: &View, _book: &Book) -> String {
    let families = Families::default();
    view.vassals.iter().for_each(|vassal| families.fill(vassal));
    let mut registry = Registry::with_prefix("liege");
    registry.register("vassal_up", "1 while the app of the vassal runs", families.vassal_up);
    registry.register("mountpoint_up", "1 while the watched mount answers its owner", families.mountpoint_up);
    registry.register("mountpoint_check_seconds", "Time the last probe of the mount took", families.check_seconds);
    registry.register("vassal_restarts", "Ends of the vassal, by their cause", families.restarts);
    let mut text = String::new();
    encode(&mut text, &registry).unwrap_or_default(); // a String takes everything
    text
}

/// The samples alone, one a line.
pub(crate) fn samples(exposition: &str) -> impl Iterator<Item = &str> {
    exposition.lines().filter(|line| !line.starts_with('#'))
}

impl Families {
    fn fill(&self, view: &VassalView) {
        let vassal = view.name.to_string();
        let up = matches!(view.phase, Phase::Running | Phase::Reloading);
        self.vassal_up.get_or_create(&OfVassal { vassal: vassal.clone() }).set(up.into());
        for mount in &view.mounts {
            let state = mount.word();
            let healthy = state == "healthy";
            let labels = OfMountState { vassal: vassal.clone(), mountpoint: mount.path.clone(), state };
            self.mountpoint_up.get_or_create(&labels).set(healthy.into());
            if mount.health.is_some() {
                let labels = OfMount { vassal: vassal.clone(), mountpoint: mount.path.clone() };
                #[allow(clippy::cast_precision_loss, reason = "microseconds of one probe")]
                self.check_seconds.get_or_create(&labels).set(mount.micros as f64 / 1e6);
            }
        }
        for (cause, count) in &view.restarts {
            let labels = OfRestart { vassal: vassal.clone(), cause: cause.clone() };
            self.restarts.get_or_create(&labels).inc_by(*count);
        }
    }
}

#[cfg(test)]
mod tests {
    use liege_core::{Health, MountView, Time};

    use super::*;

    #[test]
    fn the_samples_are_those_of_the_contract() {
        let mount = MountView { health: Some(Health::Healthy), micros: 41, ..MountView::new("/app") };
        let vassal = VassalView {
            name: "app001.ini".into(),
            phase: Phase::Running,
            pid: Some(7),
            since: Time(0),
            owner: None,
            up_since: None,
            usage: None,
            ready: true,
            accepting: true,
            loyal: false,
            mounts: vec![mount],
            leftovers: Vec::new(),
            restarts: vec![("mountpoint_dead".into(), 3)],
            failures: 0,
            retry_at: None,
            last_cause: None,
            config_error: None,
        };
        let view = View { vassals: vec![vassal], ..View::default() };
        assert_eq!(
            samples(&exposition(&view, &Book::default())).collect::<Vec<_>>(),
            [
                r#"liege_vassal_up{vassal="app001.ini"} 1"#,
                r#"liege_mountpoint_up{vassal="app001.ini",mountpoint="/app",state="healthy"} 1"#,
                r#"liege_mountpoint_check_seconds{vassal="app001.ini",mountpoint="/app"} 0.000041"#,
                r#"liege_vassal_restarts_total{vassal="app001.ini",cause="mountpoint_dead"} 3"#,
            ]
        );
    }
}
