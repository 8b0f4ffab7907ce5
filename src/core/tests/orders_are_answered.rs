//! Start, stop, restart, reload, clear, in every phase: what is answered, and what becomes of the vassal.

#[path = "world/specs.rs"]
#[allow(unreachable_pub, reason = "shared with the invariants, where it is a room of its own")]
mod specs;

use std::{collections::BTreeMap, time::Duration};

use liege_core::{Action, Answer, Emperor, Event, Order, Phase, ROOT, Request, Time, VassalView};
use liege_plan::{AppWord, Exit, FromInit, Place};
use liege_spec::{Asked, Code, Diagnostic, Identity, Severity, VassalConfig};

/// One vassal of a daemon, whose kernel does only what the test says.
struct Lord {
    emperor: Emperor,
    now: Time,
    birth: u64,
    signals: Vec<String>,
}

impl Lord {
    fn new(config: VassalConfig) -> Self {
        let emperor = Emperor::new(&specs::emperor(), 2, specs::LIMITS);
        let mut lord = Self { emperor, now: Time(0), birth: 0, signals: Vec::new() };
        lord.write(config, true);
        lord
    }

    fn feed(&mut self, event: Event) -> Option<Answer> {
        self.now = self.now + Duration::from_millis(1);
        let mut answer = None;
        for action in self.emperor.handle(self.now, event) {
            match action {
                Action::Spawn { birth, .. } => self.birth = birth,
                Action::Answer(said) => answer = Some(said),
                Action::Kill { .. } => self.signals.push("kill".into()),
                Action::Tell { message, .. } => {
                    self.signals.push(format!("{message:?}").split(['(', ' ']).next().unwrap_or_default().to_lowercase());
                }
                _ => {}
            }
        }
        answer
    }

    fn write(&mut self, config: VassalConfig, touched: bool) {
        self.feed(Event::Config { vassal: specs::name(0), config: config.into(), directory: "/v".into(), touched, file: None });
    }

    fn order(&mut self, order: Order) -> Answer {
        self.signals.clear();
        self.feed(Event::Asked(Request::One { vassal: specs::name(0), order, by: ROOT })).unwrap()
    }

    /// Its file is read for the order first.
    fn order_with(&mut self, config: VassalConfig, order: Order) -> Answer {
        self.signals.clear();
        let received = self.now;
        self.write(config, true);
        let request = Request::One { vassal: specs::name(0), order, by: ROOT };
        self.feed(Event::ReadAndAsked { request, received, unread: BTreeMap::new() }).unwrap()
    }

    /// Its file was read for the order, and cannot be used.
    fn order_with_mistake(&mut self, order: Order) -> Answer {
        self.signals.clear();
        let received = self.now;
        self.feed(Event::BadConfig { vassal: specs::name(0), diagnostics: vec![mistake()] });
        let request = Request::One { vassal: specs::name(0), order, by: ROOT };
        self.feed(Event::ReadAndAsked { request, received, unread: BTreeMap::new() }).unwrap()
    }

    /// Its file was to be read for the order, and could not be.
    fn order_unread(&mut self, order: Order) -> Answer {
        self.signals.clear();
        let (received, unread) = (self.now, BTreeMap::from([(specs::name(0), "/v is gone".to_owned())]));
        let request = Request::One { vassal: specs::name(0), order, by: ROOT };
        self.feed(Event::ReadAndAsked { request, received, unread }).unwrap()
    }

    fn born(&mut self) {
        self.feed(Event::Spawned { vassal: specs::name(0), birth: self.birth, pid: 9 });
    }

    fn reports(&mut self, report: FromInit) {
        self.feed(Event::Reported { vassal: specs::name(0), birth: self.birth, report });
    }

    fn dies(&mut self) {
        self.feed(Event::Exited { vassal: specs::name(0), birth: self.birth, exit: Exit::Signal(9) });
    }

    fn runs(&mut self) {
        self.born();
        self.reports(FromInit::Started { pid: 2 });
        self.reports(FromInit::Said(AppWord::Ready));
    }

    fn later(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
        self.feed(Event::Deadline);
    }

    fn view(&self) -> VassalView {
        self.emperor.view(self.now).vassals.remove(0)
    }

    fn phase(&self) -> Phase {
        self.view().phase
    }

    fn running() -> Self {
        let mut lord = Self::new(specs::config(0, 0));
        lord.runs();
        lord
    }

    fn stopped() -> Self {
        let mut lord = Self::running();
        lord.order(Order::Stop);
        lord.dies();
        lord
    }

    fn backing_off() -> Self {
        let mut lord = Self::new(specs::config(0, 0));
        for _ in 0..2 {
            lord.born();
            lord.dies();
        }
        lord
    }
}

fn mistake() -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        code: Code::UnknownGroup,
        file: "v.ini".into(),
        line: 3,
        column: 7,
        width: 4,
        text: "gid = nope".into(),
        message: "there is no group nope".into(),
        hint: None,
    }
}

fn why(answer: Answer) -> String {
    match answer {
        Answer::Nothing(why) => format!("nothing: {why}"),
        Answer::Refused(why) => format!("refused: {why}"),
        Answer::Done => "done".into(),
        Answer::Unknown => "unknown".into(),
    }
}

#[test]
fn a_reload_that_finds_a_changed_file_is_one_reload() {
    let mut lord = Lord::running();
    lord.later(2000);
    assert_eq!(lord.order_with(specs::config(0, 1), Order::Reload), Answer::Done);
    assert_eq!(lord.signals, ["reload"]);
    lord.reports(FromInit::Started { pid: 3 });
    lord.reports(FromInit::Said(AppWord::Ready));
    lord.later(2000);
    assert_eq!((lord.phase(), lord.signals.len()), (Phase::Running, 1), "not once more");
    assert_eq!(lord.order(Order::Reload), Answer::Done);
    assert_eq!(lord.signals, ["reload"], "who asks again is obeyed again");
    // Another jail: it is rebuilt, which is no refusal either.
    let mut lord = Lord::running();
    lord.later(2000);
    assert_eq!(lord.order_with(specs::config(1, 0), Order::Reload), Answer::Done);
    assert_eq!((lord.phase(), &lord.signals[..]), (Phase::Stopping, &["stop".to_owned()][..]));
}

#[test]
fn a_stop_lasts_until_a_start_and_its_file_is_kept_meanwhile() {
    let mut lord = Lord::running();
    assert_eq!(lord.order(Order::Stop), Answer::Done);
    assert_eq!(lord.signals, ["stop"], "asked to leave, not killed");
    lord.dies();
    assert_eq!(lord.phase(), Phase::Suspended);
    assert_eq!(lord.view().failures, 0, "what was asked for is no failure");

    lord.write(specs::config(0, 0), true);
    lord.write(specs::config(1, 2), true);
    assert_eq!(lord.phase(), Phase::Suspended, "neither a touch nor a change is a start");
    assert_eq!(lord.emperor.next_deadline(), None);

    assert_eq!(lord.order(Order::Start), Answer::Done);
    assert_eq!(lord.phase(), Phase::Spawning);
    lord.feed(Event::Spawned { vassal: specs::name(0), birth: lord.birth, pid: 9 });
    assert!(lord.signals.contains(&"walk".into()));
    lord.reports(FromInit::Started { pid: 2 });
    lord.reports(FromInit::Said(AppWord::Ready));
    // The configuration of meanwhile is in force: the same again is only a touch.
    lord.write(specs::config(1, 2), false);
    assert_eq!(lord.phase(), Phase::Running);
}

#[test]
fn a_reload_waits_until_all_workers_of_the_last_one_hear_it_and_is_done_once() {
    let mut lord = Lord::running();
    lord.reports(FromInit::Said(AppWord::Accepting));
    lord.later(1000);
    assert_eq!(lord.order(Order::Reload), Answer::Done);
    assert_eq!(lord.signals, ["reload"]);
    // Three more, and a changed file: while the old workers leave, and while the new ones are on their way.
    assert_eq!(lord.order(Order::Reload), Answer::Done);
    lord.reports(FromInit::Started { pid: 2 });
    assert_eq!(lord.order(Order::Reload), Answer::Done);
    lord.write(specs::config(0, 1), true);
    lord.reports(FromInit::Said(AppWord::Accepting));
    assert_eq!(lord.order(Order::Reload), Answer::Done);
    lord.later(900);
    assert_eq!((lord.phase(), lord.signals.len()), (Phase::Running, 0), "its other workers could lose the word");
    lord.later(100);
    assert_eq!((lord.phase(), &*lord.signals), (Phase::Reloading, &["reload".to_owned()][..]));
    lord.signals.clear();
    lord.reports(FromInit::Started { pid: 2 });
    lord.reports(FromInit::Said(AppWord::Accepting));
    lord.later(10_000);
    assert_eq!((lord.phase(), lord.signals.len()), (Phase::Running, 0));
}

#[test]
fn the_time_of_a_hook_ends_with_the_hooks_of_a_reload() {
    let mut lord = Lord::running();
    lord.later(1000);
    lord.order(Order::Reload);
    lord.reports(FromInit::Entered { step: 0 });
    lord.later(50_000);
    lord.reports(FromInit::Walked);
    // The old workers take longer to leave than any hook may.
    lord.later(70_000);
    assert_eq!((lord.phase(), &*lord.signals), (Phase::Reloading, &["reload".to_owned()][..]));
    lord.later(30_000);
    assert_eq!(lord.phase(), Phase::Stopping, "that has an end too: what is well is saved");
    lord.later(6_000);
    assert_eq!(lord.phase(), Phase::Killing, "where init does not answer it is a kill");
}

#[test]
fn a_step_of_a_reload_that_lasts_is_ended_and_what_runs_goes_on() {
    let (hook_timeout, gives_up) = (60_000, 5_000);
    for answers in [true, false] {
        let mut lord = Lord::running();
        lord.later(1000);
        lord.write(specs::config(0, 1), true);
        lord.reports(FromInit::Entered { step: 0 });
        lord.signals.clear();
        lord.later(hook_timeout);
        assert_eq!((lord.phase(), &*lord.signals), (Phase::Reloading, &["giveup".to_owned()][..]));
        if answers {
            lord.reports(FromInit::Kept);
            let why = lord.view().reload_given_up.unwrap_or_default();
            assert!(why.contains("did not end in time"), "{why}");
            lord.later(600_000);
            assert_eq!(lord.phase(), Phase::Running);
        } else {
            lord.later(gives_up);
            assert_eq!((lord.phase(), lord.signals.len()), (Phase::Stopping, 2), "then all of it ends");
        }
    }
}

#[test]
fn a_reload_whose_hook_fails_leaves_what_runs_and_is_tried_again_when_asked() {
    let mut lord = Lord::running();
    lord.later(1000);
    lord.write(specs::config(0, 1), true);
    assert_eq!(lord.phase(), Phase::Reloading);
    lord.signals.clear();
    let failed = FromInit::Failed { at: Place::Step(0), errno: 0, detail: "exited with status 3".into(), fatal: false };
    lord.reports(failed);
    lord.reports(FromInit::Kept);
    let view = lord.view();
    assert_eq!((view.phase, view.ready, view.failures), (Phase::Running, true, 0));
    assert!(view.reload_given_up.is_some_and(|why| why.contains("exited with status 3")));
    assert_eq!(view.config_error, None, "its file is good");
    lord.later(600_000);
    assert_eq!((lord.phase(), &*lord.signals), (Phase::Running, &[] as &[String]), "nobody is destroyed for it");
    assert_eq!(lord.order(Order::Reload), Answer::Done);
    assert_eq!((lord.signals.len(), lord.view().reload_given_up), (1, None));
    lord.reports(FromInit::Kept);
    lord.dies();
    assert_eq!(lord.view().reload_given_up, None, "the next life begins with the newest file");
}

#[test]
fn a_stopped_one_whose_file_goes_is_gone() {
    let mut lord = Lord::stopped();
    lord.feed(Event::Vanished { vassal: specs::name(0) });
    assert!(lord.emperor.view(lord.now).vassals.is_empty());
    lord.write(specs::config(0, 0), true);
    assert_eq!(lord.phase(), Phase::Spawning, "a file of the same name is another vassal");
}

#[test]
fn a_stop_takes_hold_in_every_phase() {
    let mut lord = Lord::new(specs::config(0, 0));
    assert_eq!((lord.phase(), lord.order(Order::Stop)), (Phase::Spawning, Answer::Done));
    lord.write(specs::config(0, 2), true); // a change meanwhile does not make it forget
    lord.born();
    assert_eq!(lord.phase(), Phase::Killing);
    lord.dies();
    assert_eq!(lord.phase(), Phase::Suspended);

    let mut lord = Lord::new(specs::config(0, 0));
    lord.born();
    assert_eq!((lord.phase(), lord.order(Order::Stop)), (Phase::Preparing, Answer::Done));
    assert_eq!(lord.signals, ["stop"]);
    assert_eq!(lord.phase(), Phase::Stopping);
    assert_eq!(why(lord.order(Order::Stop)), "nothing: it is being stopped");
    lord.dies();
    assert_eq!(lord.phase(), Phase::Suspended);
    assert_eq!(why(lord.order(Order::Stop)), "nothing: it is stopped");

    let mut lord = Lord::backing_off();
    assert_eq!((lord.phase(), lord.order(Order::Stop)), (Phase::Waiting, Answer::Done));
    assert_eq!((lord.phase(), lord.emperor.next_deadline()), (Phase::Suspended, None));
}

#[test]
fn a_start_while_it_is_being_stopped_brings_it_back() {
    let mut lord = Lord::running();
    lord.order(Order::Stop);
    assert_eq!(lord.order(Order::Start), Answer::Done);
    assert_eq!(why(lord.order(Order::Start)), "nothing: it comes up by itself");
    lord.dies();
    assert_eq!(lord.phase(), Phase::Spawning);
    lord.order(Order::Stop);
    assert_eq!(lord.order(Order::Start), Answer::Done, "before the clone lived");
    lord.runs();
    assert_eq!(lord.phase(), Phase::Running);
    assert_eq!(why(lord.order(Order::Start)), "nothing: it runs");
}

#[test]
fn a_restart_is_a_clean_birth_and_no_failure() {
    let mut lord = Lord::running();
    let first = lord.birth;
    assert_eq!((lord.order(Order::Restart), lord.signals.clone()), (Answer::Done, vec!["stop".into()]));
    lord.dies();
    assert_eq!((lord.phase(), lord.view().failures), (Phase::Spawning, 0));
    assert!(lord.birth > first);
    lord.runs();
    assert_eq!(lord.view().restarts, [("requested".to_owned(), 1)]);

    let mut lord = Lord::stopped();
    assert_eq!((lord.order(Order::Restart), lord.phase()), (Answer::Done, Phase::Spawning));
}

#[test]
fn a_restart_of_all_leaves_the_stopped_alone_and_a_start_of_all_does_not() {
    let mut lord = Lord::stopped();
    let all = |lord: &mut Lord, order| lord.feed(Event::Asked(Request::Each { order, by: ROOT })).unwrap();
    assert!(matches!(all(&mut lord, Order::Restart), Answer::Nothing(_)));
    assert_eq!(lord.phase(), Phase::Suspended);
    assert_eq!((all(&mut lord, Order::Start), lord.phase()), (Answer::Done, Phase::Spawning));
}

#[test]
fn who_waits_starts_at_once_by_anybodys_word() {
    for order in [Order::Start, Order::Restart, Order::Clear] {
        let mut lord = Lord::backing_off();
        assert_eq!(lord.phase(), Phase::Waiting);
        assert_eq!((lord.order(order), lord.phase(), lord.view().failures), (Answer::Done, Phase::Spawning, 0), "{order:?}");
    }
}

#[test]
fn a_reload_says_why_not() {
    assert_eq!(Lord::running().order(Order::Reload), Answer::Done);
    assert!(why(Lord::stopped().order(Order::Reload)).starts_with("refused: it is stopped"));
    assert!(why(Lord::backing_off().order(Order::Reload)).starts_with("nothing: it does not run yet"));
    let mut lord = Lord::running();
    lord.order(Order::Stop);
    assert_eq!(why(lord.order(Order::Reload)), "refused: it is being stopped");
}

#[test]
fn an_order_that_finds_a_bad_file_takes_nothing_and_names_the_mistake() {
    let refused = |then: &str| format!("refused: its file cannot be used: v.ini:3:7: there is no group nope; {then}");
    for order in [Order::Reload, Order::Restart] {
        let mut lord = Lord::running();
        lord.later(2000);
        assert_eq!(why(lord.order_with_mistake(order)), refused("it runs on with the file of before"));
        assert_eq!((lord.phase(), lord.signals.len()), (Phase::Running, 0), "{order:?}");
        // Nothing new is read of a file that has not changed; it is as bad as before.
        assert_eq!(why(lord.order(order)), refused("it runs on with the file of before"));
        // Mended, it is obeyed.
        assert_eq!(lord.order_with(specs::config(0, 1), order), Answer::Done);
        assert!(!lord.signals.is_empty(), "{order:?}");
    }
    for order in [Order::Start, Order::Restart, Order::Reload] {
        let mut lord = Lord::stopped();
        assert_eq!((why(lord.order_with_mistake(order)), lord.phase()), (refused("it stays down"), Phase::Suspended));
        let mut lord = Lord::backing_off();
        let then = "it is tried again with the file of before";
        assert_eq!((why(lord.order_with_mistake(order)), lord.phase()), (refused(then), Phase::Waiting));
    }
    let mut lord = Lord::running();
    lord.order(Order::Stop);
    assert_eq!(why(lord.order_with_mistake(Order::Start)), refused("it is being stopped"));
    assert_eq!(why(Lord::running().order_with_mistake(Order::Start)), refused("it runs on with the file of before"));
}

#[test]
fn an_order_whose_file_cannot_be_read_takes_nothing() {
    let refused = |then: &str| format!("refused: its file cannot be read: /v is gone; {then}");
    for order in [Order::Start, Order::Restart, Order::Reload] {
        let mut lord = Lord::running();
        lord.later(2000);
        assert_eq!(why(lord.order_unread(order)), refused("it runs on with the file of before"));
        assert_eq!((lord.phase(), lord.signals.len()), (Phase::Running, 0), "{order:?}");
        let mut lord = Lord::stopped();
        assert_eq!((why(lord.order_unread(order)), lord.phase()), (refused("it stays down"), Phase::Suspended));
        let mut lord = Lord::backing_off();
        let then = "it is tried again with the file of before";
        assert_eq!((why(lord.order_unread(order)), lord.phase()), (refused(then), Phase::Waiting));
    }
    let mut lord = Lord::running();
    assert_eq!((lord.order_unread(Order::Stop), lord.phase()), (Answer::Done, Phase::Stopping));
    // What was read for the next order counts for that.
    let mut lord = Lord::running();
    lord.order_unread(Order::Restart);
    assert_eq!(lord.order_with(specs::config(0, 0), Order::Restart), Answer::Done);
}

#[test]
fn a_clear_of_one_without_failures_is_nothing() {
    assert_eq!(why(Lord::running().order(Order::Clear)), "nothing: it has no failures");
}

#[test]
fn an_ending_daemon_and_a_bad_file_refuse() {
    let mut lord = Lord::running();
    lord.feed(Event::BadConfig { vassal: specs::name(1), diagnostics: Vec::new() });
    let one = |n, order, by| Event::Asked(Request::One { vassal: specs::name(n), order, by });
    assert!(why(lord.feed(one(1, Order::Start, ROOT)).unwrap()).starts_with("refused: its file is bad"));
    assert_eq!(lord.feed(one(1, Order::Start, 1001)), Some(Answer::Unknown));
    assert_eq!(lord.feed(one(2, Order::Start, ROOT)), Some(Answer::Unknown));
    assert_eq!(lord.feed(Event::Asked(Request::Shutdown)), Some(Answer::Done));
    assert_eq!(why(lord.order(Order::Restart)), "refused: the daemon is ending");
}

#[test]
fn a_foreign_vassal_is_unknown() {
    let mut config = specs::config(0, 0);
    let at = liege_spec::Origin { file: "app.ini".into(), line: 2, column: 1, key: "uid".into() };
    for spec in [&mut config.fresh, &mut config.again] {
        spec.jail.identity = Some(Asked::new(Identity { uid: 1001, gid: 1001, groups: Vec::new() }, at.clone()));
    }
    let mut lord = Lord::new(config);
    lord.runs();
    assert_eq!(lord.view().owner, Some(1001));
    for by in [1002, 65534] {
        let one = Request::One { vassal: specs::name(0), order: Order::Stop, by };
        assert_eq!(lord.feed(Event::Asked(one)), Some(Answer::Unknown));
        let each = Request::Each { order: Order::Stop, by };
        assert!(matches!(lord.feed(Event::Asked(each)), Some(Answer::Nothing(_))));
    }
    assert_eq!(lord.phase(), Phase::Running);
    let each = Request::Each { order: Order::Stop, by: 1001 };
    assert_eq!((lord.feed(Event::Asked(each)), lord.phase()), (Some(Answer::Done), Phase::Stopping));
}

#[test]
fn an_order_whose_file_does_not_answer_is_refused_with_the_reason() {
    let mut lord = Lord::running();
    let unread = BTreeMap::from([(specs::name(0), "/srv/nfs/word has not answered for 5 s".to_owned())]);
    let received = lord.now;
    let mut ask = |request| lord.feed(Event::ReadAndAsked { request, received, unread: unread.clone() }).unwrap();
    let why = "its file cannot be read: /srv/nfs/word has not answered for 5 s; it runs on with the file of before";
    let vassal = specs::name(0);
    for order in [Order::Reload, Order::Restart, Order::Start] {
        assert_eq!(ask(Request::One { vassal: vassal.clone(), order, by: ROOT }), Answer::Refused(why.to_owned()));
        let all = ask(Request::Each { order, by: ROOT });
        assert_eq!(all, Answer::Refused(format!("{vassal}: {why}")));
    }
    // Who may not give it orders hears nothing of its file.
    assert_eq!(ask(Request::One { vassal, order: Order::Reload, by: 4242 }), Answer::Unknown);
    assert!(matches!(ask(Request::Each { order: Order::Reload, by: 4242 }), Answer::Nothing(_)));
}

/// Its file was read for the order, and meanwhile something else was asked for.
#[test]
fn an_order_that_waited_for_its_file_is_overtaken_by_a_stop() {
    for order in [Order::Restart, Order::Reload, Order::Start] {
        let decided = |lord: &mut Lord, received, request| {
            lord.feed(Event::ReadAndAsked { request, received, unread: BTreeMap::new() }).unwrap()
        };
        let one = || Request::One { vassal: specs::name(0), order, by: ROOT };
        let mut lord = Lord::running();
        let received = lord.now;
        lord.order(Order::Stop);
        lord.dies();
        assert_eq!(decided(&mut lord, received, one()), Answer::Refused("overtaken by a later order: stop".into()), "{order:?}");
        decided(&mut lord, received, Request::Each { order, by: ROOT });
        assert_eq!(lord.phase(), Phase::Suspended, "{order:?}");
        // One that came after the stop is as good as any.
        let received = lord.now;
        lord.later(1);
        if order != Order::Reload {
            assert_eq!(decided(&mut lord, received, one()), Answer::Done, "{order:?}");
            lord.runs();
        }
        // And a stop of a moment ago means no life that was begun since.
        let mut lord = Lord::stopped();
        lord.order(Order::Start);
        lord.runs();
        let received = lord.now;
        lord.later(1);
        assert!(!matches!(decided(&mut lord, received, one()), Answer::Refused(_)), "{order:?}");
    }
}
