//! Many vassals on one zip lose their mounts together: one tries first, the others return when it is well.

#[path = "world/specs.rs"]
#[allow(unreachable_pub, reason = "shared with the invariants, where it is a room of its own")]
mod specs;

use std::{collections::BTreeMap, time::Duration};

use liege_core::{Action, Emperor, Event, Health, Mounted, Name, Note, Phase, Probed, Time};
use liege_plan::{Exit, FromInit};
use liege_spec::{Asked, AttachedDaemon, Hook, VassalConfig, Verb};

/// A daemon whose births succeed at once.
struct Daemon {
    emperor: Emperor,
    now: Time,
    births: BTreeMap<Name, u64>,
    notes: Vec<Note>,
}

impl Daemon {
    fn with_running(count: u8) -> Self {
        Self::with(count, &specs::config(0, 0))
    }

    fn with(count: u8, config: &VassalConfig) -> Self {
        Self::of(count, |_| config.clone())
    }

    fn of(count: u8, config: impl Fn(u8) -> VassalConfig) -> Self {
        let mut spec = specs::emperor();
        spec.max_starts = Some(100);
        let emperor = Emperor::new(&spec, 2, specs::LIMITS);
        let mut daemon = Self { emperor, now: Time(0), births: BTreeMap::new(), notes: Vec::new() };
        for vassal in 0..count {
            let config = config(vassal).into();
            daemon.feed(Event::Config { vassal: specs::name(vassal), config, directory: "/v".into(), touched: true, file: None });
        }
        daemon
    }

    fn feed(&mut self, event: Event) {
        self.now = self.now + Duration::from_millis(1);
        for action in self.emperor.handle(self.now, event) {
            match action {
                Action::Spawn { vassal, birth, .. } => {
                    self.births.insert(vassal.clone(), birth);
                    self.feed(Event::Spawned { vassal: vassal.clone(), birth, pid: 9 });
                    self.feed(Event::Reported { vassal, birth, report: FromInit::Started { pid: 2 } });
                }
                Action::Kill { vassal, birth } => self.feed(Event::Exited { vassal, birth, exit: Exit::Signal(9) }),
                Action::Note(note) => self.notes.push(note),
                _ => {}
            }
        }
    }

    fn probed(&mut self, vassal: u8, health: Health) {
        self.probed_at("/app", vassal, health);
    }

    fn probed_at(&mut self, path: &str, vassal: u8, health: Health) {
        let vassal = specs::name(vassal);
        let probed =
            Probed { mount: Some(Mounted { id: 7, device: (0, 50), is_root: true, ..Mounted::default() }), ..Probed::of(health) };
        let birth = self.births[&vassal];
        self.feed(Event::Probed { vassal, birth, path: path.into(), probed });
    }

    fn passes(&mut self, span: Duration) {
        self.now = self.now + span;
        self.feed(Event::Deadline);
    }

    fn phases(&self) -> Vec<Phase> {
        self.emperor.view(self.now).vassals.iter().map(|vassal| vassal.phase).collect()
    }
}

#[test]
fn a_storm_is_ridden_out() {
    let mut daemon = Daemon::with_running(8);
    assert_eq!(daemon.phases(), [Phase::Running; 8]);
    for vassal in 0..8 {
        daemon.probed(vassal, Health::Dead { errno: 107 });
    }
    // The first five came back by themselves, the fifth as the canary; the others wait for it.
    assert_eq!(daemon.phases(), [[Phase::Running; 5].as_slice(), &[Phase::Waiting; 3]].concat());
    let storms: Vec<String> = daemon.notes.iter().filter(|n| matches!(n, Note::Storm { .. })).map(ToString::to_string).collect();
    let [storm] = &storms[..] else { panic!("one incident is told once: {storms:?}") };
    assert!(storm.starts_with("5 vassals that use"), "{storm}");

    daemon.probed(0, Health::Healthy);
    assert_eq!(daemon.phases()[5..], [Phase::Waiting; 3], "only the canary counts");
    daemon.probed(4, Health::Healthy);
    assert_eq!(daemon.phases(), [Phase::Running; 8]);
    assert!(daemon.notes.iter().any(|note| matches!(note, Note::StormOver { held: 3, .. })));
}

/// Five of one owner's fail again and again; a neighbour's only vassal beside them fails once.
#[test]
fn one_owners_storm_holds_no_neighbour() {
    let beside = |n: u8| mounting(format!("fuse-zip -r /srv/zips/z{n}.zip /app"));
    let mut daemon = Daemon::of(8, |n| specs::owned(if n == 7 { 1007 } else { 1000 }, beside(n)));
    for round in 0..3 {
        (0..7).for_each(|vassal| daemon.probed(vassal, Health::Dead { errno: 107 }));
        assert_eq!(daemon.phases()[5..7], [Phase::Waiting; 2], "its own are held in round {round}");
        daemon.probed(7, Health::Dead { errno: 107 });
        assert_eq!(daemon.phases()[7], Phase::Running, "the neighbour is not, in round {round}");
        daemon.probed(7, Health::Healthy);
        daemon.passes(Duration::from_secs(200));
    }
}

/// A tenant with so many uids that its storm is everybody's, and whose canary does not want to get well.
#[test]
fn a_neighbour_in_a_storm_waits_for_one_canarys_patience() {
    let config = |n: u8| specs::owned(1000 + u32::from(n), specs::config(0, 0));
    let mut daemon = Daemon::of(8, config);
    for vassal in 0..6 {
        daemon.probed(vassal, Health::Dead { errno: 107 });
    }
    assert_eq!(daemon.phases()[5], Phase::Waiting);
    daemon.passes(Duration::from_secs(9));
    assert_eq!(daemon.phases()[5], Phase::Waiting);
    daemon.passes(Duration::from_secs(1));
    assert_eq!(daemon.phases()[5], Phase::Running, "it is the next canary");
}

#[test]
fn a_canary_that_fails_again_hands_its_part_on() {
    let mut daemon = Daemon::of(8, |n| specs::owned(1000 + u32::from(n), specs::config(0, 0)));
    for vassal in 0..8 {
        daemon.probed(vassal, Health::Dead { errno: 107 });
    }
    assert_eq!(daemon.phases()[5..], [Phase::Waiting; 3]);
    daemon.probed(4, Health::Dead { errno: 107 });
    assert_eq!(daemon.phases()[4..], [Phase::Waiting, Phase::Running, Phase::Waiting, Phase::Waiting]);
    daemon.probed(5, Health::Healthy);
    daemon.passes(Duration::from_secs(1)); // the first canary has earned that
    assert_eq!(daemon.phases(), [Phase::Running; 8]);
    let storms = daemon.notes.iter().filter(|note| matches!(note, Note::Storm { .. })).count();
    assert_eq!(storms, 1, "one incident is told once");
}

#[test]
fn nobody_is_held_for_ever() {
    let mut daemon = Daemon::with_running(6);
    for vassal in 0..6 {
        daemon.probed(vassal, Health::Dead { errno: 107 });
    }
    assert_eq!(daemon.phases()[5], Phase::Waiting);
    daemon.now = daemon.now + Duration::from_secs(60);
    daemon.feed(Event::Deadline);
    assert_eq!(daemon.phases()[5], Phase::Running);
}

/// The run lasts longer than it must to count as settled; the hang is not known yet.
#[test]
fn a_canary_whose_mount_has_never_answered_is_not_well() {
    let mut daemon = Daemon::with(8, &specs::config(0, 1));
    for vassal in 0..8 {
        daemon.probed(vassal, Health::Dead { errno: 107 });
    }
    daemon.passes(Duration::from_secs(2));
    assert_eq!(daemon.phases()[5..], [Phase::Waiting; 3]);
    daemon.probed(4, Health::Hung);
    daemon.passes(Duration::from_secs(2));
    assert_eq!(daemon.phases()[5..], [Phase::Waiting; 3]);
    daemon.probed(4, Health::Healthy);
    assert_eq!(daemon.phases(), [Phase::Running; 8]);
}

#[test]
fn a_canary_is_well_when_all_of_its_mounts_are() {
    let mut config = specs::config(0, 1);
    let mut own = config.fresh.checks[0].clone();
    own.path.value = "/own".into();
    config.fresh.checks.push(own);
    let mut daemon = Daemon::with(8, &config);
    for vassal in 0..8 {
        daemon.probed(vassal, Health::Dead { errno: 107 });
    }
    daemon.probed_at("/own", 4, Health::Healthy);
    daemon.passes(Duration::from_secs(2));
    assert_eq!(daemon.phases()[5..], [Phase::Waiting; 3], "the one that was lost has not answered");
    daemon.probed(4, Health::Healthy);
    assert_eq!(daemon.phases(), [Phase::Running; 8]);
}

/// Nor does one alone start for ever at once.
#[test]
fn a_mount_that_hangs_from_the_start_slows_its_vassal_down() {
    let mut daemon = Daemon::with(1, &specs::config(0, 1));
    for _ in 0..4 {
        daemon.passes(Duration::from_secs(5)); // the run would be settled
        daemon.probed(0, Health::Hung);
        daemon.probed(0, Health::Hung);
        daemon.passes(Duration::from_secs(60));
        assert_eq!(daemon.phases(), [Phase::Running]);
    }
    let again = |note: &Note| if let Note::Ended { again_in, .. } = note { *again_in } else { None };
    let delays: Vec<u64> = daemon.notes.iter().filter_map(again).map(|delay| delay.as_secs()).collect();
    assert_eq!(delays, [0, 1, 2, 4]);
    // Once it has answered, and lasted, the next failure is the first again.
    daemon.probed(0, Health::Healthy);
    daemon.passes(Duration::from_secs(300));
    daemon.probed(0, Health::Dead { errno: 107 });
    assert_eq!(daemon.notes.iter().filter_map(again).next_back(), Some(Duration::ZERO));
}

/// Eight of them fail together: whether that is one incident.
fn is_one_incident(config: impl Fn(u8) -> VassalConfig) -> bool {
    let mut daemon = Daemon::of(8, config);
    for vassal in 0..8 {
        daemon.probed(vassal, Health::Dead { errno: 5 });
    }
    daemon.notes.iter().any(|note| matches!(note, Note::Storm { .. }))
}

fn mounting(command: String) -> VassalConfig {
    let mut config = specs::config(0, 1);
    let Hook { verb, .. } = &mut config.fresh.jail.hooks[0];
    verb.value = Verb::Exec(command);
    config
}

#[test]
fn zips_side_by_side_are_one_layer() {
    assert!(is_one_incident(|n| mounting(format!("fuse-zip -r /srv/zips/z{n}.zip /app"))));
    assert!(!is_one_incident(|n| mounting(format!("fuse-zip -r /srv/z{n}/app.zip /app"))));
    assert!(!is_one_incident(|n| mounting(format!("fuse-zip -r /home/z{n}.zip /app"))), "everybody's things lie there");
}

#[test]
fn what_an_attached_daemon_serves_is_a_layer() {
    let attached = |zip: String| {
        let mut config = specs::config(0, 1);
        let at = config.fresh.jail.hooks.remove(0).verb.at;
        let daemon = AttachedDaemon {
            command: format!("fuse-zip -f -r {zip} /app"),
            pidfile: None,
            control: false,
            uid: None,
            gid: None,
            chdir: None,
            stop_signal: 15,
            reload_signal: None,
            notify: false,
            max_throttle: Duration::from_secs(300),
        };
        config.fresh.app.daemons.push(Asked::new(daemon, at));
        config
    };
    assert!(is_one_incident(|_| attached("/srv/same.zip".into())));
    assert!(!is_one_incident(|n| attached(format!("/srv/{n}/own.zip"))));
}

#[test]
fn a_mount_of_the_hosts_is_a_layer_of_all_who_watch_it() {
    let watching = |hooks: bool| {
        let mut config = specs::config(0, 1);
        config.fresh.jail.hooks.retain(|_| hooks);
        config
    };
    assert!(is_one_incident(|_| watching(false)));
    // The same path in each, mounted by each.
    assert!(!is_one_incident(|n| mounting(format!("sshfs host{n}:data /app"))));
}
