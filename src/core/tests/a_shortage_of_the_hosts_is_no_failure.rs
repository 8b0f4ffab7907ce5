//! Where the host has no process, memory or descriptor left for a birth, or for a child of init's, the vassal is tried again every few
//! seconds, and that is all: no longer delay later, no flapping, no giving up. A bound of its own is its own failure. In virtual time.

#[path = "world/specs.rs"]
#[allow(unreachable_pub, reason = "shared with the invariants, where it is a room of its own")]
mod specs;

use std::time::Duration;

use liege_core::{Action, Emperor, Event, Health, Mounted, Note, Phase, Probed, Time, VassalView};
use liege_plan::{Act, Exit, FromInit, Place, Step, ToInit, fork};
use liege_spec::{Asked, Namespaces, Origin, VassalConfig};

const ENOENT: i32 = 2;
const EAGAIN: i32 = 11;
const ENOMEM: i32 = 12;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
const ENOSPC: i32 = 28;
const EUSERS: i32 = 87;

/// What becomes of a birth.
#[derive(Clone)]
enum Fate {
    Lives,
    /// It is not born.
    Unborn {
        errno: i32,
        own_bound: bool,
    },
    /// A step, or the app, of its init gets no child, or fails by itself.
    Fails {
        at: Place,
        errno: i32,
        detail: &'static str,
    },
}

const NO_PROCESS: Fate = Fate::Unborn { errno: EAGAIN, own_bound: false };

struct Life {
    emperor: Emperor,
    now: Time,
    birth: u64,
    fate: Fate,
    /// The delays that were told, in seconds, and the words of the causes.
    delays: Vec<Option<u64>>,
    causes: Vec<String>,
    notes: Vec<Note>,
    /// The steps of the last plan.
    plan: Vec<Step>,
}

impl Life {
    fn new(change: impl FnOnce(&mut VassalConfig)) -> Self {
        let mut config = specs::config(0, 1);
        change(&mut config);
        let emperor = Emperor::new(&specs::emperor(), 2, specs::LIMITS);
        let (delays, causes, notes) = (Vec::new(), Vec::new(), Vec::new());
        let plan = Vec::new();
        let mut life = Self { emperor, now: Time(0), birth: 0, fate: Fate::Lives, delays, causes, notes, plan };
        let (vassal, directory) = (specs::name(0), "/v".into());
        life.feed(Event::Config { vassal, config: config.into(), directory, touched: true, file: None });
        life.passes(3600);
        life
    }

    fn feed(&mut self, event: Event) {
        for action in self.emperor.handle(self.now, event) {
            match action {
                Action::Spawn { vassal, birth, .. } => {
                    self.birth = birth;
                    self.is_born(vassal, birth);
                }
                Action::Tell { message: ToInit::Walk(plan), .. } => self.plan = plan.steps,
                Action::Kill { vassal, birth } => self.feed(Event::Exited { vassal, birth, exit: Exit::Signal(9) }),
                Action::Note(note) => {
                    if let Note::Ended { cause, again_in, .. } = &note {
                        self.delays.push(again_in.map(|after| after.as_secs()));
                        self.causes.push(cause.word().to_owned());
                    }
                    self.notes.push(note);
                }
                _ => {}
            }
        }
    }

    fn is_born(&mut self, vassal: liege_core::Name, birth: u64) {
        let report = match self.fate.clone() {
            Fate::Unborn { errno, own_bound } => {
                let stage = "clone into new namespaces".into();
                return self.feed(Event::SpawnFailed { vassal, birth, stage, errno, own_bound });
            }
            Fate::Lives => FromInit::Started { pid: 2 },
            Fate::Fails { at, errno, detail } => FromInit::Failed { at, errno, detail: detail.into(), fatal: true },
        };
        self.feed(Event::Spawned { vassal: vassal.clone(), birth, pid: 9 });
        self.feed(Event::Reported { vassal: vassal.clone(), birth, report });
        match self.fate {
            Fate::Lives => self.probed(Health::Healthy),
            Fate::Unborn { .. } | Fate::Fails { .. } => self.feed(Event::Exited { vassal, birth, exit: Exit::Code(1) }),
        }
    }

    fn probed(&mut self, health: Health) {
        let mount = Some(Mounted { id: 7, device: (0, 50), is_root: true, ..Mounted::default() });
        let probed = Probed { mount, ..Probed::of(health) };
        self.feed(Event::Probed { vassal: specs::name(0), birth: self.birth, path: "/app".into(), probed });
    }

    /// Its mount dies, and this is the fate of the births that follow for so long.
    fn dies(&mut self, fate: Fate, seconds: u64) {
        self.fate = fate;
        self.delays.clear();
        self.causes.clear();
        self.probed(Health::Dead { errno: 107 });
        self.passes(seconds);
    }

    fn passes(&mut self, seconds: u64) {
        let until = self.now + Duration::from_secs(seconds);
        while let Some(at) = self.emperor.next_deadline().filter(|at| *at <= until) {
            self.now = at;
            self.feed(Event::Deadline);
        }
        self.now = until;
    }

    fn vassal(&self) -> VassalView {
        self.emperor.view(self.now).vassals[0].clone()
    }
}

fn limited(config: &mut VassalConfig) {
    config.fresh.restarts.start_limit = Some(4);
}

#[test]
fn it_is_tried_every_few_seconds_and_back_as_soon_as_there_is_room() {
    let mut life = Life::new(limited);
    life.dies(NO_PROCESS, 600);
    assert_eq!(life.delays[..6], [0, 1, 2, 4, 5, 5].map(Some));
    assert!(life.delays.len() > 100 && life.delays.iter().all(|delay| delay.is_some_and(|delay| delay <= 5)));
    assert!(life.causes[1..].iter().all(|cause| cause == "shortage"));
    let vassal = life.vassal();
    assert_eq!((vassal.phase, vassal.gave_up, vassal.flapping, vassal.failures), (Phase::Waiting, false, None, 1));
    let said = vassal.last_cause.unwrap();
    assert!(said.starts_with("no process is left on this host (pids.max") && said.contains("EAGAIN"), "{said}");

    life.fate = Fate::Lives;
    life.passes(5);
    assert_eq!(life.vassal().phase, Phase::Running);
    life.passes(3600);
    life.dies(Fate::Lives, 0);
    assert_eq!((life.delays.as_slice(), life.vassal().phase), (&[Some(0)][..], Phase::Running), "the next lone death");
    assert!(!life.notes.iter().any(|note| matches!(note.kind(), "flapping" | "gave_up" | "storm" | "held")));
}

#[test]
fn each_thing_that_is_used_up_is_named() {
    for (errno, said) in [
        (EAGAIN, "no process is left on this host"),
        (ENOMEM, "no memory is left on this host"),
        (ENFILE, "no descriptor is left on this host"),
        (EMFILE, "no descriptor is left in the daemon"),
    ] {
        let mut life = Life::new(limited);
        life.dies(Fate::Unborn { errno, own_bound: false }, 60);
        let cause = life.vassal().last_cause.unwrap();
        assert!(cause.starts_with(said) && !life.vassal().gave_up, "{cause}");
    }
}

#[test]
fn namespaces_that_are_used_up_are_named_by_their_limits() {
    for errno in [ENOSPC, EUSERS] {
        let mut life = Life::new(limited);
        life.dies(Fate::Unborn { errno, own_bound: false }, 60);
        let cause = life.vassal().last_cause.unwrap();
        let said = "no namespace is left on this host (sysctl user.max_mnt_namespaces, user.max_pid_namespaces, or";
        assert!(cause.starts_with(said) && cause.contains("32") && !life.vassal().gave_up, "{cause}");
        assert_eq!((&life.delays[..4], life.causes[1].as_str()), (&[0, 1, 2, 4].map(Some)[..], "shortage"));
        life.fate = Fate::Lives;
        life.passes(5);
        assert_eq!(life.vassal().phase, Phase::Running);
    }
}

#[test]
fn namespaces_that_init_could_not_make_are_the_hosts_too() {
    let unshared = |config: &mut VassalConfig| {
        limited(config);
        let at = Origin { file: "app.ini".into(), line: 9, column: 1, key: "unshare".into() };
        let net = Namespaces { net: true, uts: true, ..Namespaces::default() };
        config.fresh.jail.unshare = Some(Asked::new(net, at));
    };
    let steps = |life: &Life| life.plan.iter().position(|step| matches!(step.act, Act::Unshare(_))).unwrap();
    let mut life = Life::new(unshared);
    let at = Place::Step(u32::try_from(steps(&life)).unwrap());
    life.dies(Fate::Fails { at, errno: ENOSPC, detail: "" }, 60);
    assert_eq!((&life.delays[..4], life.causes[1].as_str()), (&[0, 1, 2, 4].map(Some)[..], "shortage"));
    let cause = life.vassal().last_cause.unwrap();
    assert!(
        cause.starts_with("no namespace is left on this host (sysctl user.max_uts_namespaces, user.max_net_namespaces)"),
        "{cause}"
    );
    assert!(cause.contains("unshare") && cause.contains("app.ini:9"), "{cause}");
    // A disk that is full is no such thing.
    let mut life = Life::new(unshared);
    let at = Place::Step(u32::try_from(steps(&life)).unwrap() + 1);
    life.dies(Fate::Fails { at, errno: ENOSPC, detail: "" }, 600);
    assert!(life.vassal().gave_up, "{:?}", life.causes);
}

#[test]
fn a_child_that_init_could_not_make_is_the_hosts_too() {
    for at in [Place::Step(0), Place::Init] {
        let detail = if at == Place::Init { fork::FOR_APP } else { fork::FOR_STEP };
        let mut life = Life::new(limited);
        life.dies(Fate::Fails { at: at.clone(), errno: EAGAIN, detail }, 100);
        assert_eq!((&life.delays[..5], life.causes[1].as_str()), (&[0, 1, 2, 4, 5].map(Some)[..], "shortage"), "{at:?}");
        let cause = life.vassal().last_cause.unwrap();
        assert!(cause.starts_with("no process is left on this host") && !life.vassal().gave_up, "{cause}");
    }
}

#[test]
fn a_bound_of_its_own_is_its_own_failure() {
    let app_exec = "its user has as many processes as it may have (limit-nproc)";
    for fate in [
        Fate::Unborn { errno: EAGAIN, own_bound: true },
        Fate::Unborn { errno: ENOENT, own_bound: false },
        Fate::Fails { at: Place::AppExec, errno: EAGAIN, detail: app_exec },
        Fate::Fails { at: Place::Step(0), errno: 0, detail: "\"fork() failed\", exited with status 1" },
    ] {
        let mut life = Life::new(limited);
        life.dies(fate, 600);
        assert_eq!(life.delays, [Some(0), Some(1), Some(2), None], "{:?}", life.causes);
        assert!(life.vassal().gave_up);
    }
}

#[test]
fn in_a_control_group_of_its_own_no_child_is_its_own_failure() {
    let mut life = Life::new(|config| {
        let at = Origin { file: "app.ini".into(), line: 9, column: 1, key: "cgroup".into() };
        config.fresh.jail.cgroups.paths.push(Asked::new("/sys/fs/cgroup/app".into(), at));
        limited(config);
    });
    life.dies(Fate::Fails { at: Place::Step(0), errno: EAGAIN, detail: fork::FOR_STEP }, 600);
    assert!(life.vassal().gave_up, "{:?}", life.causes);
    // Its birth is the daemon's doing all the same.
    let mut life = Life::new(limited);
    life.dies(NO_PROCESS, 600);
    assert!(!life.vassal().gave_up);
}

#[test]
fn failures_of_its_own_count_on_over_a_shortage() {
    let mut life = Life::new(|_| {});
    life.dies(Fate::Fails { at: Place::Step(0), errno: ENOENT, detail: "" }, 4);
    assert_eq!(life.delays, [0, 1, 2, 4].map(Some));
    life.fate = NO_PROCESS;
    life.passes(20);
    life.fate = Fate::Fails { at: Place::Step(0), errno: ENOENT, detail: "" };
    life.passes(5);
    assert_eq!(life.delays.last(), Some(&Some(8)), "{:?} {:?}", life.delays, life.causes);
}
