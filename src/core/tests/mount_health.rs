//! What becomes of a vassal whose watched mount is dead, gone, hung or slow: told probe by probe, in virtual time.

#[path = "world/specs.rs"]
#[allow(unreachable_pub, reason = "shared with the invariants, where it is a room of its own")]
mod specs;

use std::time::Duration;

use liege_core::{Action, Came, Cause, Emperor, Event, Health, Late, Mounted, Note, Probed, Rule, Time};
use liege_plan::{AppWord, DaemonNews, Exit, FromInit, MountChange, ToInit};
use liege_spec::{Asked, Hook, HookPhase, Origin, PivotRoot, VassalConfig, Verb};

/// A vassal that runs, and what the emperor answers to a probe of its mount.
struct Running {
    emperor: Emperor,
    now: Time,
    birth: u64,
}

/// A directory of the host's file system, below the root of the vassal.
const PLAIN: Mounted = Mounted {
    id: 1,
    device: (8, 1),
    is_root: false,
    sleeps: false,
    not_mounted: true,
    connection: None,
    digest: None,
    came: Came::Unknown,
};
const FIRST: Mounted = Mounted {
    id: 7,
    device: (0, 50),
    is_root: true,
    sleeps: false,
    not_mounted: false,
    connection: None,
    digest: None,
    came: Came::Unknown,
};

impl Running {
    fn new() -> Self {
        Self::of(specs::config(0, 0))
    }

    fn of(config: VassalConfig) -> Self {
        let mut running = Self { emperor: Emperor::new(&specs::emperor(), 2, specs::LIMITS), now: Time(0), birth: 1 };
        running.feed(Event::Config {
            vassal: specs::name(0),
            config: config.into(),
            directory: "/v".into(),
            touched: true,
            file: None,
        });
        running.feed(Event::Spawned { vassal: specs::name(0), birth: 1, pid: 2 });
        running.started();
        running
    }

    fn feed(&mut self, event: Event) -> Vec<Action> {
        self.now = self.now + Duration::from_millis(1);
        self.emperor.handle(self.now, event)
    }

    fn started(&mut self) {
        self.feed(Event::Reported { vassal: specs::name(0), birth: self.birth, report: FromInit::Started { pid: 2 } });
    }

    fn probed(&mut self, probed: Probed) -> Vec<Action> {
        self.feed(Event::Probed { vassal: specs::name(0), birth: self.birth, path: "/app".into(), probed })
    }

    /// The next life, of the same file.
    fn next_life(&mut self) {
        self.feed(Event::Exited { vassal: specs::name(0), birth: self.birth, exit: Exit::Signal(9) });
        self.birth += 1;
        self.now = self.now + Duration::from_secs(300);
        self.feed(Event::Deadline);
        self.feed(Event::Spawned { vassal: specs::name(0), birth: self.birth, pid: 2 });
        self.started();
    }

    fn healthy(&mut self, mount: Mounted) -> Option<Cause> {
        let mut probed = Probed::of(Health::Healthy);
        probed.mount = Some(mount);
        destroyed(&self.probed(probed))
    }

    /// What the status shows of its mount.
    fn shown(&self) -> Option<Health> {
        self.emperor.view(self.now).vassals[0].mounts[0].health
    }

    fn late(&mut self, health: Health, seconds: u64) -> Option<Cause> {
        let late = Late {
            at: "/app".into(),
            waiting: Some(2),
            daemon: Some("fuse-zip (pid 9) is stopped".into()),
            stuck: vec!["cat (pid 4, in fuse_x)".into(), "ls (pid 5)".into()],
            ..Late::default()
        };
        destroyed(&self.probed(Probed { micros: seconds * 1_000_000, late: Some(late), ..Probed::of(health) }))
    }
}

/// Why it is being destroyed, if it is.
fn destroyed(actions: &[Action]) -> Option<Cause> {
    let killed = actions.iter().any(|action| matches!(action, Action::Kill { .. }));
    let cause = actions.iter().find_map(|action| match action {
        Action::Note(Note::Destroying { why, .. }) => Some(why.clone()),
        _ => None,
    });
    assert_eq!(killed, cause.is_some());
    cause
}

#[test]
fn a_hung_mount_is_looked_at_once_more_and_then_destroyed() {
    let mut vassal = Running::new();
    assert_eq!(vassal.healthy(FIRST), None);
    assert_eq!(vassal.late(Health::Hung, 5), None);
    let cause = vassal.late(Health::Hung, 6).unwrap();
    assert_eq!(cause.word(), "mountpoint_hung");
    let Cause::MountpointHung { rule, seen, .. } = &cause else { panic!("{cause:?}") };
    assert_eq!(*rule, Some(Rule::Hung { micros: 6_000_000, looks: 2, tolerated: 1 }));
    assert_eq!(seen.as_ref().map(|seen| (seen.waiting, seen.stuck.len())), Some((Some(2), 2)), "all of them");
    assert_eq!(
        cause.to_string(),
        "the mount at /app hangs: no answer for 6.0s: /app, 2 requests waiting, its daemon fuse-zip (pid 9) is stopped, \
         stuck on it: cat (pid 4, in fuse_x) and 1 more"
    );
}

/// `mkdir` would not help there.
#[test]
fn a_check_that_is_written_as_before_the_change_of_root_is_told_its_name_in_there() {
    let mut config = specs::config(0, 0);
    let at = config.fresh.jail.hooks[0].verb.at.clone();
    config.fresh.jail.hooks[0].phase = HookPhase::PreJail;
    let pivot = PivotRoot { new: "/app".into(), old: "/app/old".into() };
    config.fresh.jail.pivot_root = Some(Asked::new(pivot, at));
    let cause = destroyed(&Running::of(config).probed(Probed::of(Health::Dead { errno: 2 }))).unwrap();
    let told = "the mount at /app is dead: ENOENT (No such file or directory): after the change of root it is /; write mountpoint-check = /";
    assert_eq!(cause.to_string(), told);
    let cause = destroyed(&Running::new().probed(Probed::of(Health::Dead { errno: 2 }))).unwrap();
    assert!(cause.to_string().contains("this root has no such path; mkdir it"), "{cause}");
}

#[test]
fn one_that_takes_longer_than_usual_is_shown_as_slow_until_it_answers() {
    let mut vassal = Running::new();
    assert_eq!(vassal.healthy(FIRST), None);
    vassal.now = vassal.now + Duration::from_secs(20);
    let told = vassal.probed(Probed::awaited(1_000_000));
    assert!(
        matches!(&told[..], [Action::Note(Note::Mount { state, detail, .. })] if state == "slow" && detail == "no answer for 1 s yet"),
        "{told:?}"
    );
    assert_eq!(vassal.probed(Probed::awaited(1_000_000)), [], "told once");
    vassal.now = vassal.now + Duration::from_secs(11);
    let shown = vassal.emperor.view(vassal.now).vassals[0].mounts[0].clone();
    assert_eq!(
        (shown.health, shown.micros / 1_000_000, shown.why.as_deref()),
        (Some(Health::Slow), 12, Some("no answer for 12 s yet"))
    );

    assert_eq!(vassal.healthy(FIRST), None);
    let shown = vassal.emperor.view(vassal.now).vassals[0].mounts[0].clone();
    assert_eq!((shown.health, shown.micros, shown.why), (Some(Health::Healthy), 0, None));
}

#[test]
fn what_takes_longer_than_usual_is_destroyed_no_earlier_and_no_later() {
    let mut vassal = Running::new();
    assert_eq!(vassal.healthy(FIRST), None);
    assert_eq!(destroyed(&vassal.probed(Probed::awaited(3_600_000_000))), None, "however long");
    assert_eq!(vassal.late(Health::Hung, 5), None);
    // Another prober asks anew: that is no answer, and what is known is worse than slow.
    assert_eq!(destroyed(&vassal.probed(Probed::awaited(1_000_000))), None);
    assert_eq!(vassal.shown(), Some(Health::Hung));
    assert_eq!(vassal.late(Health::Hung, 6).unwrap().word(), "mountpoint_hung");
}

#[test]
fn what_was_seen_of_a_mount_before_it_died_is_kept() {
    let mut vassal = Running::new();
    assert_eq!(vassal.late(Health::Hung, 5), None);
    let Some(Cause::MountpointDead { seen, .. }) = destroyed(&vassal.probed(Probed::of(Health::Dead { errno: 107 }))) else {
        panic!("dead is dead at once")
    };
    assert_eq!(seen.unwrap().waiting, Some(2));
    let mut vassal = Running::new();
    assert_eq!((vassal.late(Health::Hung, 5), vassal.healthy(FIRST)), (None, None));
    let Some(Cause::MountpointDead { seen, .. }) = destroyed(&vassal.probed(Probed::of(Health::Dead { errno: 107 }))) else {
        panic!("dead is dead at once")
    };
    assert_eq!(seen, None, "it has answered since");
}

#[test]
fn an_attached_daemon_that_died_just_before_is_named() {
    let mut vassal = Running::new();
    let news = DaemonNews::Ended { exit: Some(Exit::Signal(9)), again_in_ms: Some(1000), said: None };
    vassal.feed(Event::Reported { vassal: specs::name(0), birth: 1, report: FromInit::Daemon { index: 0, news } });
    let cause = destroyed(&vassal.probed(Probed::of(Health::Dead { errno: 107 }))).unwrap();
    assert!(cause.to_string().ends_with("; the daemon an attached daemon was killed by SIGKILL 0.001s before"), "{cause}");
}

#[test]
fn one_that_answers_in_between_begins_anew() {
    let mut vassal = Running::new();
    assert_eq!(vassal.late(Health::Hung, 5), None);
    assert_eq!(vassal.healthy(FIRST), None);
    assert_eq!(vassal.late(Health::Hung, 5), None);
}

#[test]
fn a_slow_mount_is_left_alone_for_ten_timeouts() {
    let mut vassal = Running::new();
    for seconds in 5..50 {
        assert_eq!(vassal.late(Health::Slow, seconds), None, "after {seconds} s");
    }
    assert_eq!(vassal.late(Health::Slow, 50).unwrap().word(), "mountpoint_hung");
}

#[test]
fn who_cannot_be_looked_at_is_unknown_after_five_times_and_harmed_never() {
    let mut vassal = Running::new();
    assert_eq!(vassal.healthy(FIRST), None);
    let mut told = Vec::new();
    for _ in 0..100 {
        let actions = vassal.probed(Probed::of(Health::Unknown { errno: 24 }));
        told.push(actions.len());
        for action in &actions {
            assert!(
                matches!(action, Action::Note(Note::Mount { state, detail, .. }) if state == "unknown" && detail.contains("EMFILE")),
                "{action:?}"
            );
        }
    }
    assert_eq!(told.iter().position(|&n| n > 0), Some(4), "the fifth is told");
    assert_eq!(told.iter().sum::<usize>(), 1, "once");
    assert_eq!(vassal.shown(), Some(Health::Unknown { errno: 24 }));
    // What was known of it before still holds.
    assert_eq!(vassal.healthy(FIRST), None);
    assert_eq!(vassal.shown(), Some(Health::Healthy));
    for _ in 0..4 {
        assert!(vassal.probed(Probed::of(Health::Unknown { errno: 3 })).is_empty());
    }
    assert_eq!(vassal.shown(), Some(Health::Healthy), "four are nothing");
    assert_eq!(vassal.healthy(Mounted { id: 8, ..FIRST }).unwrap().word(), "mountpoint_gone");
}

#[test]
fn a_mount_that_is_not_the_first_one_is_gone() {
    for (now, what) in [
        (Mounted { not_mounted: false, ..PLAIN }, "the mount at /app is gone: it was unmounted"),
        (Mounted { id: 8, ..FIRST }, "the mount at /app is gone: another mount is there, it was replaced or covered"),
    ] {
        let mut vassal = Running::new();
        assert_eq!(vassal.healthy(FIRST), None);
        assert_eq!(vassal.healthy(now).unwrap().to_string(), what);
    }
}

#[test]
fn a_mount_that_comes_later_is_the_one_to_stay() {
    let mut vassal = Running::new();
    assert_eq!(vassal.healthy(Mounted { not_mounted: false, ..PLAIN }), None);
    assert_eq!(vassal.healthy(FIRST), None);
    assert_eq!(vassal.healthy(Mounted { not_mounted: false, ..PLAIN }).unwrap().word(), "mountpoint_gone");
}

#[test]
fn an_automount_comes_and_goes() {
    let asleep = Mounted { id: 3, device: (0, 40), is_root: false, sleeps: true, ..FIRST };
    let mut vassal = Running::new();
    assert_eq!(vassal.healthy(asleep), None);
    assert_eq!(vassal.healthy(FIRST), None, "somebody needed it");
    assert_eq!(vassal.healthy(asleep), None, "it expired");
    let second = Mounted { id: 8, ..FIRST };
    assert_eq!(vassal.healthy(second), None, "and came again");
    assert_eq!(vassal.healthy(FIRST).unwrap().word(), "mountpoint_gone", "awake it is a mount like any other");
}

#[test]
fn a_reload_may_remount() {
    let mut vassal = Running::new();
    assert_eq!(vassal.healthy(FIRST), None);
    let ready = FromInit::Said(AppWord::Ready);
    vassal.feed(Event::Reported { vassal: specs::name(0), birth: 1, report: ready });
    vassal.now = vassal.now + Duration::from_secs(1);
    vassal.feed(Event::Deadline);
    vassal.feed(Event::Asked(liege_core::Request::Each { order: liege_core::Order::Reload, by: liege_core::ROOT }));
    let second = Mounted { id: 8, ..FIRST };
    assert_eq!(vassal.healthy(second), None, "while it reloads");
    vassal.started();
    assert_eq!(vassal.healthy(second), None, "and afterwards");
    assert_eq!(vassal.healthy(FIRST).unwrap().word(), "mountpoint_gone");
}

#[test]
fn the_exits_of_its_own_fuse_mounts_are_secured_and_the_mounts_asked() {
    let mut vassal = Running::new();
    let report = FromInit::MountsChanged { own_fuse: true, changes: None, number: 3 };
    let actions = vassal.feed(Event::Reported { vassal: specs::name(0), birth: 1, report });
    let asked = matches!(&actions[..], [Action::Secure { birth: 1, number: 3, .. }, Action::ProbeNow { birth: 1, .. }]);
    assert!(asked, "{actions:?}");
    let actions = vassal.feed(Event::Secured { vassal: specs::name(0), birth: 1, number: 3 });
    assert!(matches!(&actions[..], [Action::Tell { message: ToInit::Secured { number: 3 }, .. }]), "{actions:?}");
}

#[test]
fn a_mount_that_is_none_of_the_watched_is_no_reason_to_look() {
    let mut vassal = Running::new();
    assert_eq!(vassal.healthy(FIRST), None);
    let came = |point: &str| MountChange::Came { point: point.into() };
    for (change, looks) in [
        (came("/mnt/of/the/host"), false),
        (came("/application"), false),
        (came("/app/below"), false),
        (MountChange::Went { device: (0, 49) }, false),
        (came("/app"), true),
        (came("/"), true),
        (MountChange::Went { device: FIRST.device }, true),
    ] {
        let report = FromInit::MountsChanged { own_fuse: false, changes: Some(vec![change.clone()]), number: 0 };
        let actions = vassal.feed(Event::Reported { vassal: specs::name(0), birth: 1, report });
        assert_eq!(!actions.is_empty(), looks, "{change:?}: {actions:?}");
    }
}

#[test]
fn where_nothing_is_mounted_that_is_told_once_and_harms_nothing() {
    let mut vassal = Running::new();
    let mut told = Vec::new();
    for _ in 0..100 {
        vassal.now = vassal.now + Duration::from_secs(1);
        let mut probed = Probed::of(Health::Healthy);
        probed.mount = Some(PLAIN);
        told.extend(vassal.probed(probed).into_iter().filter(|action| !asks_hooks(action)));
    }
    assert!(
        matches!(&told[..], [Action::Note(Note::Mount { state, detail, .. })] if state == "not_mounted" && detail.contains("nothing is mounted")),
        "{told:?}"
    );
    assert_eq!(vassal.shown(), Some(Health::NotMounted));
    assert_eq!(vassal.healthy(FIRST), None, "one that comes late");
    assert_eq!(vassal.shown(), Some(Health::Healthy));
    assert_eq!(vassal.healthy(PLAIN).unwrap().to_string(), "the mount at /app is gone: it was unmounted");
}

fn asks_hooks(action: &Action) -> bool {
    matches!(action, Action::Tell { message: ToInit::Hooks, .. })
}

/// They may have failed in silence, and some time after their step.
#[test]
fn where_nothing_is_mounted_what_the_hooks_said_is_told_with_it() {
    let mut vassal = Running::new();
    let look = |vassal: &mut Running| {
        let mut probed = Probed::of(Health::Healthy);
        probed.mount = Some(PLAIN);
        let actions = vassal.probed(probed);
        let told: Vec<String> =
            actions.iter().filter(|action| matches!(action, Action::Note(_))).map(|told| format!("{told:?}")).collect();
        (actions.iter().any(asks_hooks), told.concat())
    };
    let answer = |vassal: &mut Running, line: &str| {
        let report = FromInit::HooksSaid { line: Some(line.to_owned()) };
        let actions = vassal.feed(Event::Reported { vassal: specs::name(0), birth: 1, report });
        actions.iter().any(|action| matches!(action, Action::ProbeNow { .. }))
    };
    assert_eq!(look(&mut vassal), (true, String::new()), "the first word waits for the answer");
    assert!(answer(&mut vassal, "mounts it"), "it is looked at again at once");
    let (asks, told) = look(&mut vassal);
    assert!(!asks && told.contains("answers; its hooks said last: \\\"mounts it\\\""), "{told}");
    assert_eq!(look(&mut vassal), (false, String::new()), "told once");
    vassal.now = vassal.now + Duration::from_secs(1);
    assert_eq!(look(&mut vassal), (true, String::new()));
    assert!(!answer(&mut vassal, "mounts it"));
    vassal.now = vassal.now + Duration::from_secs(1);
    assert_eq!(look(&mut vassal), (true, String::new()));
    assert!(answer(&mut vassal, "cannot mount it"));
    let (_, told) = look(&mut vassal);
    assert!(told.contains("cannot mount it"), "{told}");
}

#[test]
fn a_path_on_a_mount_that_is_on_none_any_more_is_gone() {
    let mut vassal = Running::of(mounts_by("sh /etc/mounts"));
    assert_eq!(vassal.healthy(Mounted { is_root: false, ..FIRST }), None);
    assert_eq!(vassal.shown(), Some(Health::Healthy));
    assert_eq!(vassal.healthy(PLAIN).unwrap().to_string(), "the mount at /app is gone: it was unmounted");
}

#[test]
fn a_mount_of_an_earlier_life_must_come_back_within_the_timeout() {
    let mut vassal = Running::new();
    assert_eq!(vassal.healthy(FIRST), None);
    vassal.next_life();
    assert_eq!(vassal.healthy(PLAIN), None);
    vassal.now = vassal.now + Duration::from_secs(4);
    assert_eq!(vassal.healthy(PLAIN), None);
    vassal.now = vassal.now + Duration::from_secs(1);
    let cause = vassal.healthy(PLAIN).unwrap();
    assert_eq!(cause.word(), "mountpoint_missing");
    assert!(cause.to_string().contains("a mount was there in an earlier run"), "{cause}");
    vassal.next_life();
    let failures = |vassal: &Running| vassal.emperor.view(vassal.now).vassals[0].failures;
    let before = failures(&vassal);
    vassal.now = vassal.now + Duration::from_secs(4);
    vassal.feed(Event::Deadline);
    assert_eq!((vassal.healthy(PLAIN), failures(&vassal)), (None, before), "a run without its mount does not settle");
    // Another text may want none.
    let config = specs::config(0, 1).into();
    vassal.feed(Event::Config { vassal: specs::name(0), config, directory: "/v".into(), touched: true, file: None });
    vassal.next_life();
    vassal.now = vassal.now + Duration::from_secs(100);
    assert_eq!(vassal.healthy(PLAIN), None);
}

#[test]
fn a_required_mount_must_come_within_the_timeout() {
    let mut config = specs::config(0, 0);
    config.fresh.checks.iter_mut().for_each(|check| check.required = true);
    let mut vassal = Running::of(config);
    assert_eq!(vassal.healthy(PLAIN), None);
    vassal.now = vassal.now + Duration::from_secs(5);
    let cause = vassal.healthy(PLAIN).unwrap();
    assert!(cause.to_string().contains("mountpoint-check-required asks for a mount"), "{cause}");
}

/// A directory on a disk of the host's that was there before the vassal.
const ON_A_DISK: Mounted = Mounted { id: 5, not_mounted: false, came: Came::Before, ..PLAIN };

/// `/app` is what its file mounts by this line.
fn mounts_by(line: &str) -> VassalConfig {
    let mut config = specs::config(0, 0);
    let at = Origin { file: "v.ini".into(), line: 3, ..Origin::default() };
    let verb = Asked::new(Verb::SafeExec(line.to_owned()), at);
    config.fresh.jail.hooks = vec![Hook { phase: HookPhase::AsUser, verb, hidden: false }];
    config
}

#[test]
fn a_directory_on_a_disk_is_checked_on_purpose_where_no_line_mounts_on_it() {
    for config in [mounts_by("sh /etc/mounts"), mounts_by("mkdir -p /app"), mounts_by("fuse-zip /z.zip /app/below")] {
        let mut vassal = Running::of(config);
        assert_eq!(vassal.healthy(ON_A_DISK), None);
        assert_eq!(vassal.shown(), Some(Health::Healthy));
        vassal.next_life();
        vassal.now = vassal.now + Duration::from_secs(100);
        assert_eq!((vassal.healthy(ON_A_DISK), vassal.shown()), (None, Some(Health::Healthy)));
    }
}

#[test]
fn where_a_line_mounts_a_disk_is_no_mount_and_the_words_of_the_step_are_told() {
    for line in ["fuse-zip /z.zip /app", "mount --bind /x /"] {
        let mut vassal = Running::of(mounts_by(line));
        assert_eq!(vassal.healthy(ON_A_DISK), None);
        let shown = if line.ends_with("/app") { Health::NotMounted } else { Health::Healthy };
        assert_eq!(vassal.shown(), Some(shown), "{line}");
        vassal.now = vassal.now + Duration::from_secs(100);
        assert_eq!(vassal.healthy(ON_A_DISK), None, "it destroys nothing");
        assert_eq!(vassal.healthy(FIRST), None, "one that comes late");
        assert_eq!(vassal.healthy(ON_A_DISK).unwrap().word(), "mountpoint_gone");
    }
}

#[test]
fn what_lies_below_a_mount_that_never_came_lies_on_the_disk() {
    let mut vassal = Running::of(mounts_by("fuse-zip /z.zip /"));
    assert_eq!((vassal.healthy(ON_A_DISK), vassal.shown()), (None, Some(Health::Healthy)), "a root is no mount of a line");
    let mut config = mounts_by("fuse-zip /z.zip /srv");
    config.fresh.checks.iter_mut().for_each(|check| check.path.value = "/srv/app".into());
    let mut vassal = Running::of(config);
    let mut probed = Probed::of(Health::Healthy);
    for (mount, shown) in [
        (ON_A_DISK, Health::NotMounted),
        (Mounted { came: Came::Since, ..ON_A_DISK }, Health::Healthy),
        (Mounted { came: Came::Unknown, ..ON_A_DISK }, Health::Healthy),
    ] {
        probed.mount = Some(mount);
        let (path, probed) = ("/srv/app".into(), probed.clone());
        let done = vassal.feed(Event::Probed { vassal: specs::name(0), birth: 1, path, probed });
        assert_eq!((destroyed(&done), vassal.shown()), (None, Some(shown)));
    }
}

#[test]
fn a_mount_that_was_seen_or_is_required_is_missed_on_a_disk_too() {
    let mut vassal = Running::of(mounts_by("sh /etc/mounts"));
    assert_eq!(vassal.healthy(FIRST), None);
    vassal.next_life();
    assert_eq!((vassal.healthy(ON_A_DISK), vassal.shown()), (None, Some(Health::NotMounted)));
    vassal.now = vassal.now + Duration::from_secs(5);
    assert_eq!(vassal.healthy(ON_A_DISK).unwrap().word(), "mountpoint_missing");
    let mut config = mounts_by("sh /etc/mounts");
    config.fresh.checks.iter_mut().for_each(|check| check.required = true);
    let mut vassal = Running::of(config);
    vassal.now = vassal.now + Duration::from_secs(5);
    let own = Mounted { came: Came::Since, ..ON_A_DISK };
    assert_eq!((vassal.healthy(own), vassal.shown()), (None, Some(Health::Healthy)), "a path inside a mount of its own");
    assert_eq!(vassal.healthy(Mounted { id: 4, ..ON_A_DISK }).unwrap().word(), "mountpoint_gone", "which is unmounted");
    vassal.next_life();
    vassal.now = vassal.now + Duration::from_secs(5);
    assert_eq!(vassal.healthy(ON_A_DISK).unwrap().word(), "mountpoint_missing");
}

/// On kernels that give no unique id, an unmount and a mount between two looks can give the same one.
#[test]
fn another_connection_under_the_same_id_is_another_mount() {
    let of = |connection| Mounted { connection, ..FIRST };
    let mut vassal = Running::new();
    for connection in [Some(1), None, Some(1)] {
        assert_eq!(vassal.healthy(of(connection)), None, "it could not be told for a moment");
    }
    assert_eq!(vassal.healthy(of(None)), None);
    assert_eq!(vassal.healthy(of(Some(2))).unwrap().word(), "mountpoint_gone");
}

#[test]
fn another_file_system_under_the_same_id_is_another_mount() {
    let of = |digest| Mounted { digest, ..FIRST };
    let mut vassal = Running::new();
    for digest in [Some(1), None, Some(1)] {
        assert_eq!(vassal.healthy(of(digest)), None, "it could not be told for a moment");
    }
    assert_eq!(vassal.healthy(of(Some(2))).unwrap().word(), "mountpoint_gone");
}
