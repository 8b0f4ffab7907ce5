//! An end waits for FUSE daemons and attached daemons as long as they are allowed to take, and tells what was killed. A mount that is
//! dead or hung makes it wait for nothing.

#[path = "world/specs.rs"]
#[allow(unreachable_pub, reason = "shared with the invariants, where it is a room of its own")]
mod specs;

use std::time::Duration;

use liege_core::{Action, Emperor, Event, Health, Late, Level, Mounted, Note, Order, Phase, Probed, ROOT, Request, Time};
use liege_plan::{AppWord, Exit, Fate, FromInit, HungMount, Loss, ToInit};
use liege_spec::{EmperorSpec, Namespaces};

const SECOND: Duration = Duration::from_secs(1);
const ZIP: &str = "fuse-zip (pid 7) of /app";

/// A daemon with one vassal that runs.
struct Daemon {
    emperor: Emperor,
    now: Time,
    actions: Vec<Action>,
}

impl Daemon {
    fn new() -> Self {
        Self::with(&specs::emperor())
    }

    fn with(emperor: &EmperorSpec) -> Self {
        let mut daemon = Self::preparing(emperor);
        daemon.told(FromInit::Started { pid: 2 });
        daemon
    }

    fn preparing(emperor: &EmperorSpec) -> Self {
        Self::preparing_app(emperor, 1)
    }

    /// An even number is a uwsgi, another one a command.
    fn preparing_app(emperor: &EmperorSpec, app: u8) -> Self {
        let emperor = Emperor::new(emperor, 2, specs::LIMITS);
        let mut daemon = Self { emperor, now: Time(1_000_000), actions: Vec::new() };
        let config = specs::config(0, app).into();
        daemon.hears(Event::Config { vassal: specs::name(0), config, directory: "/v".into(), touched: true, file: None });
        daemon.hears(Event::Spawned { vassal: specs::name(0), birth: 1, pid: 2 });
        daemon
    }

    fn hears(&mut self, event: Event) {
        self.actions.extend(self.emperor.handle(self.now, event));
    }

    fn told(&mut self, report: FromInit) {
        self.hears(Event::Reported { vassal: specs::name(0), birth: 1, report });
    }

    fn saving(&mut self, waits_for: &[&str]) {
        self.told(FromInit::Saving { waits_for: waits_for.iter().map(|&name| name.to_owned()).collect() });
    }

    fn stops(&mut self) {
        self.hears(Event::Asked(Request::One { vassal: specs::name(0), order: Order::Stop, by: ROOT }));
    }

    fn passes(&mut self, span: Duration) {
        let until = self.now + span;
        while let Some(at) = self.emperor.next_deadline().filter(|at| *at <= until) {
            self.now = at;
            self.hears(Event::Deadline);
        }
        self.now = until;
    }

    fn phase(&self) -> Phase {
        self.emperor.view(self.now).vassals[0].phase
    }

    /// Its end; what it was told to have cost.
    fn ends(&mut self) -> Vec<Vec<String>> {
        self.hears(Event::Exited { vassal: specs::name(0), birth: 1, exit: Exit::Code(0) });
        let lost = self.actions.iter().filter_map(|action| match action {
            Action::Note(Note::Unsaved { killed, .. }) => Some(killed.clone()),
            _ => None,
        });
        lost.collect()
    }
}

fn stop_timeout() -> Duration {
    specs::config(0, 1).fresh.timeouts.stop
}

#[test]
fn what_has_saved_is_no_news() {
    let mut daemon = Daemon::new();
    daemon.stops();
    daemon.saving(&[ZIP]);
    daemon.passes(stop_timeout() - SECOND);
    assert_eq!((daemon.phase(), daemon.emperor.view(daemon.now).vassals[0].leftovers[0].as_str()), (Phase::Stopping, ZIP));
    daemon.told(FromInit::AppExited { exit: Exit::Code(0), said: None });
    daemon.saving(&[]);
    assert!(daemon.ends().is_empty());
    assert_eq!(daemon.emperor.view(daemon.now).vassals[0].last_cause.as_deref(), Some("it was asked to"));
}

#[test]
fn only_a_deadline_that_ends_something_presses() {
    let mut daemon = Daemon::preparing_app(&specs::emperor(), 2);
    assert!(daemon.emperor.is_pressed(), "its steps have their time");
    daemon.told(FromInit::Started { pid: 2 });
    daemon.told(FromInit::Said(AppWord::Ready));
    daemon.passes(SECOND / 2);
    assert!(!daemon.emperor.is_pressed() && daemon.emperor.next_deadline().is_some(), "that it settles ends nothing");
    daemon.told(FromInit::Said(AppWord::Heartbeat));
    assert!(daemon.emperor.is_pressed(), "the next beat");

    let mut daemon = Daemon::new();
    assert!(!daemon.emperor.is_pressed());
    daemon.stops();
    assert!(daemon.emperor.is_pressed());
    daemon.saving(&[]);
    daemon.ends();
    assert!(!daemon.emperor.is_pressed());
}

#[test]
fn what_init_had_to_kill_is_told_and_the_rest_is_killed_at_once() {
    let mut daemon = Daemon::new();
    daemon.stops();
    daemon.saving(&[ZIP, "redis (pid 9)"]);
    daemon.passes(stop_timeout());
    assert_eq!(daemon.phase(), Phase::Stopping, "init says it first");
    daemon.told(FromInit::Unsaved { lost: vec![Loss::out_of_time(ZIP)] });
    assert_eq!(daemon.phase(), Phase::Killing);
    assert_eq!(daemon.ends(), [[ZIP]]);
    let last = daemon.emperor.view(daemon.now).vassals[0].last_cause.clone().unwrap();
    assert!(last.starts_with("it was asked to; ") && last.contains(ZIP) && last.contains("raise stop-timeout ("), "{last}");
    let level = daemon.actions.iter().find_map(|action| match action {
        Action::Note(note @ Note::Unsaved { .. }) => Some(note.level()),
        _ => None,
    });
    assert_eq!(level, Some(Level::Warn));
}

#[test]
fn an_init_that_is_killed_while_it_saves_is_the_reason() {
    let mut daemon = Daemon::new();
    daemon.stops();
    daemon.saving(&[ZIP]);
    daemon.passes(SECOND);
    daemon.hears(Event::Exited { vassal: specs::name(0), birth: 1, exit: Exit::Signal(9) });
    let last = daemon.emperor.view(daemon.now).vassals[0].last_cause.clone().unwrap();
    assert!(last.contains(ZIP) && last.contains("liege-init, which was killed by SIGKILL"), "{last}");
    assert!(!last.contains("raise stop-timeout"), "{last}");
}

#[test]
fn an_init_that_cannot_leave_is_ended_a_little_later() {
    let mut daemon = Daemon::new();
    daemon.stops();
    daemon.saving(&[ZIP]);
    let most = stop_timeout() + stop_timeout().min(5 * SECOND) + SECOND;
    daemon.passes(most - Duration::from_millis(1));
    assert_eq!(daemon.phase(), Phase::Stopping);
    daemon.passes(Duration::from_millis(1));
    assert_eq!(daemon.phase(), Phase::Killing);
    assert_eq!(daemon.ends(), [[ZIP]]);
}

#[test]
fn an_app_that_dies_is_followed_by_the_same_end() {
    let mut daemon = Daemon::new();
    daemon.told(FromInit::AppExited { exit: Exit::Signal(11), said: None });
    daemon.saving(&[ZIP]);
    daemon.passes(stop_timeout());
    assert_eq!(daemon.phase(), Phase::Stopping);
    daemon.saving(&[]);
    assert!(daemon.ends().is_empty());
    assert_eq!(daemon.phase(), Phase::Spawning, "born again");
}

#[test]
fn an_init_that_cannot_leave_is_ended_at_once_where_nothing_is_lost() {
    let mut daemon = Daemon::new();
    daemon.stops();
    daemon.told(FromInit::Unsaved { lost: Vec::new() });
    assert_eq!(daemon.phase(), Phase::Killing);
    assert!(daemon.ends().is_empty());
}

#[test]
fn impatience_cuts_it_short_and_is_told_what_it_cost() {
    let mut daemon = Daemon::new();
    daemon.hears(Event::Asked(Request::Shutdown));
    daemon.saving(&[ZIP]);
    daemon.hears(Event::Asked(Request::Shutdown));
    assert_eq!(daemon.phase(), Phase::Killing);
    assert_eq!(daemon.ends(), [[ZIP]]);
}

#[test]
fn an_app_that_takes_too_long_is_killed_and_told() {
    let mut daemon = Daemon::new();
    daemon.stops();
    daemon.passes(stop_timeout() - Duration::from_millis(1));
    assert_eq!(daemon.phase(), Phase::Stopping);
    daemon.passes(Duration::from_millis(1));
    assert_eq!(daemon.phase(), Phase::Killing);
    assert_eq!(daemon.ends(), [["the app (pid 2)"]]);
    let last = daemon.emperor.view(daemon.now).vassals[0].last_cause.clone().unwrap();
    assert!(last.contains("raise stop-timeout ("), "{last}");
}

/// The stop and the news of the start have crossed.
#[test]
fn an_app_that_was_started_when_the_stop_came_is_told_as_well() {
    let mut daemon = Daemon::preparing(&specs::emperor());
    daemon.stops();
    daemon.told(FromInit::Started { pid: 2 });
    daemon.passes(stop_timeout());
    assert_eq!(daemon.ends(), [["the app (pid 2)"]]);
}

/// It was still loading its app: it has done no work. It may get ready after it was asked to end, and work until it is killed.
#[test]
fn a_uwsgi_that_never_got_ready_loses_nothing() {
    for (word, lost) in [(None, vec![]), (Some(AppWord::Ready), vec![["the app (pid 2)"]])] {
        let mut daemon = Daemon::preparing_app(&specs::emperor(), 0);
        daemon.told(FromInit::Started { pid: 2 });
        daemon.stops();
        word.into_iter().for_each(|word| daemon.told(FromInit::Said(word)));
        daemon.passes(stop_timeout());
        assert_eq!(
            (daemon.phase(), daemon.ends()),
            (Phase::Killing, lost.iter().map(|lost| lost.map(String::from).to_vec()).collect())
        );
    }
}

/// Its steps of the end may take as long.
#[test]
fn an_init_that_takes_too_long_without_an_app_loses_nothing() {
    let mut daemon = Daemon::new();
    daemon.stops();
    daemon.told(FromInit::AppExited { exit: Exit::Code(0), said: None });
    daemon.passes(stop_timeout());
    assert_eq!(daemon.phase(), Phase::Killing);
    assert!(daemon.ends().is_empty());
}

/// More time would not have helped it.
#[test]
fn what_died_while_it_saved_is_told_and_by_what() {
    let mut daemon = Daemon::new();
    daemon.stops();
    daemon.saving(&[ZIP]);
    daemon.told(FromInit::Unsaved { lost: vec![Loss { what: ZIP.into(), how: Fate::Died(9) }] });
    assert_eq!(daemon.ends(), [[format!("{ZIP}, ended by SIGKILL before that")]]);
    let last = daemon.emperor.view(daemon.now).vassals[0].last_cause.clone().unwrap();
    assert!(last.contains("what was not written back is lost") && !last.contains("raise stop-timeout"), "{last}");
}

/// An end that is under way unmounts when it is told so; one that is a kill is told nothing.
#[test]
fn an_end_in_order_is_told_that_the_exits_are_held() {
    for (kills, told) in [(false, true), (true, false)] {
        let mut daemon = Daemon::new();
        daemon.told(FromInit::MountsChanged { own_fuse: true, changes: None, number: 1 });
        daemon.hears(Event::Asked(Request::Shutdown));
        if kills {
            daemon.hears(Event::Asked(Request::Shutdown));
        }
        daemon.actions.clear();
        daemon.hears(Event::Secured { vassal: specs::name(0), birth: 1, number: 1 });
        let secured = |action: &Action| matches!(action, Action::Tell { message: liege_plan::ToInit::Secured { number: 1 }, .. });
        assert_eq!(daemon.actions.iter().any(secured), told);
        daemon.actions.clear();
        daemon.hears(Event::Secured { vassal: specs::name(0), birth: 7, number: 1 });
        assert!(daemon.actions.is_empty(), "of another life");
    }
}

#[test]
fn init_is_told_what_hangs_before_it_is_told_to_stop() {
    let told = |connection: Option<u32>| {
        let late = Some(Late { at: "/elsewhere".into(), connection, ..Late::default() });
        let hung = Probed { micros: 5_000_000, late, ..Probed::of(Health::Hung) };
        let mut daemon = Daemon::new();
        daemon.hears(Event::Probed { vassal: specs::name(0), birth: 1, path: "/app".into(), probed: hung });
        assert_eq!(daemon.phase(), Phase::Running, "within its tolerance");
        daemon.actions.clear();
        daemon.stops();
        let told = daemon.actions.iter().filter_map(|action| match action {
            Action::Tell { message, .. } => Some(message.clone()),
            _ => None,
        });
        told.collect::<Vec<_>>()
    };
    let mounts = vec![HungMount { minor: 41, path: "/app".into() }];
    assert_eq!(told(Some(41)), [ToInit::Hung { mounts }, ToInit::Stop]);
    assert_eq!(told(None), [ToInit::Stop], "which one hangs is not certain: its daemon may save");
}

#[test]
fn a_mount_that_is_dead_or_hung_destroys_at_once() {
    let hung = Probed { micros: 5_000_000, ..Probed::of(Health::Hung) };
    for (probed, looks) in [(Probed::of(Health::Dead { errno: 107 }), 1), (hung, 3)] {
        let mut daemon = Daemon::new();
        let begun = daemon.now;
        for _ in 0..looks {
            daemon.hears(Event::Probed { vassal: specs::name(0), birth: 1, path: "/app".into(), probed: probed.clone() });
        }
        assert_eq!((daemon.phase(), daemon.now), (Phase::Killing, begun));
        let kills = daemon.actions.iter().filter(|action| matches!(action, Action::Kill { .. })).count();
        assert_eq!(kills, 1);
        let asked = daemon.actions.iter().any(|action| matches!(action, Action::Tell { message: liege_plan::ToInit::Stop, .. }));
        assert!(!asked, "nothing is asked, nothing is waited for");
        assert!(daemon.ends().is_empty());
    }
}

/// Init saves them where the mount is dead. One that hangs is not waited for, so what they lose is told.
#[test]
fn other_mounts_that_can_be_written_to_are_saved_beside_a_dead_one_and_told_beside_a_hung_one() {
    let hung = Probed { micros: 5_000_000, ..Probed::of(Health::Hung) };
    for (probed, looks, phase) in [(Probed::of(Health::Dead { errno: 107 }), 1, Phase::Stopping), (hung, 3, Phase::Killing)] {
        let mut daemon = Daemon::new();
        daemon.told(FromInit::Writable { connections: vec![77] });
        for _ in 0..looks {
            daemon.hears(Event::Probed { vassal: specs::name(0), birth: 1, path: "/app".into(), probed: probed.clone() });
        }
        assert_eq!(daemon.phase(), phase);
        let destroy = |action: &Action| matches!(action, Action::Tell { message: liege_plan::ToInit::Destroy, .. });
        assert_eq!(daemon.actions.iter().any(destroy), phase == Phase::Stopping);
        if phase == Phase::Stopping {
            daemon.told(FromInit::Saving { waits_for: vec![] });
            daemon.passes(Duration::from_secs(2));
            assert_eq!(daemon.phase(), Phase::Killing, "init has nothing to wait for, and does not leave");
            assert!(daemon.ends().is_empty());
        } else {
            assert_eq!(daemon.ends(), [["the daemon of another FUSE mount, killed at once because of a mount that hangs"]]);
        }
    }
}

fn mounted(minor: u32) -> Probed {
    let mount = Mounted { id: 7, device: (0, minor), ..Mounted::default() };
    Probed { mount: Some(mount), ..Probed::of(Health::Healthy) }
}

#[test]
fn a_hung_mount_that_can_be_written_to_is_itself_a_loss() {
    let mut daemon = Daemon::new();
    daemon.told(FromInit::Writable { connections: vec![77] });
    let hung = Probed { health: Health::Hung, micros: 5_000_000, ..mounted(77) };
    for probed in [mounted(77), hung.clone(), hung.clone(), hung] {
        daemon.hears(Event::Probed { vassal: specs::name(0), birth: 1, path: "/app".into(), probed });
    }
    assert_eq!(daemon.phase(), Phase::Killing);
    assert_eq!(daemon.ends(), [["the daemon of /app, killed at once because of a mount that hangs"]]);
}

/// ENOENT is the word of a daemon that lives. A connection that is gone has nothing to say.
#[test]
fn a_check_whose_path_alone_was_lost_saves_its_own_mount_too() {
    for (errno, phase) in [(2, Phase::Stopping), (107, Phase::Killing)] {
        let mut daemon = Daemon::new();
        daemon.told(FromInit::Writable { connections: vec![77] });
        let dead = Probed { health: Health::Dead { errno }, ..mounted(77) };
        for probed in [mounted(77), dead] {
            daemon.hears(Event::Probed { vassal: specs::name(0), birth: 1, path: "/app".into(), probed });
        }
        assert_eq!(daemon.phase(), phase, "{errno}");
    }
}

/// Its daemon may live and save, whether init has told of the unmount before the probe or not.
#[test]
fn a_mount_that_was_unmounted_is_no_reason_to_kill_its_daemon() {
    for (writable, is_told, phase) in
        [(true, true, Phase::Stopping), (true, false, Phase::Stopping), (false, false, Phase::Killing)]
    {
        let mut daemon = Daemon::new();
        if writable {
            daemon.told(FromInit::Writable { connections: vec![77] });
        }
        let there = Mounted { id: 7, device: (0, 77), is_root: true, ..Mounted::default() };
        let gone = Mounted { id: 1, device: (8, 1), not_mounted: true, ..Mounted::default() };
        let probed = |mount| Probed { mount: Some(mount), ..Probed::of(Health::Healthy) };
        daemon.hears(Event::Probed { vassal: specs::name(0), birth: 1, path: "/app".into(), probed: probed(there) });
        if is_told {
            daemon.told(FromInit::Writable { connections: vec![] });
        }
        daemon.hears(Event::Probed { vassal: specs::name(0), birth: 1, path: "/app".into(), probed: probed(gone) });
        assert_eq!(daemon.phase(), phase, "{writable} {is_told}");
    }
}

/// Else it would be in the way of the next life.
#[test]
fn a_dead_mount_on_the_host_is_left_to_init() {
    for (is_own, phase) in [(true, Phase::Stopping), (false, Phase::Killing)] {
        let mut daemon = Daemon::with(&EmperorSpec { namespaces: Namespaces::default(), ..specs::emperor() });
        daemon.told(FromInit::MountsChanged { own_fuse: is_own, changes: Some(Vec::new()), number: 1 });
        let probed = Probed::of(Health::Dead { errno: 107 });
        daemon.hears(Event::Probed { vassal: specs::name(0), birth: 1, path: "/app".into(), probed });
        assert_eq!(daemon.phase(), phase);
    }
}
