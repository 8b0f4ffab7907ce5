//! Lines of an app that say more than that it runs: a reason for its end, a doubt while it runs.

#[path = "world/specs.rs"]
#[allow(unreachable_pub, dead_code, reason = "shared with the invariants, where it is a room of its own")]
mod specs;

use std::time::Duration;

use liege_core::{Action, Emperor, Event, Note, Time};
use liege_plan::{AppWord, DaemonNews, Exit, FromInit, Notice};
use liege_spec::ProgramSpec;

struct Running(Emperor, Time);

impl Running {
    fn new() -> Self {
        Self::with(&[])
    }

    /// Its file has these lines as well.
    fn with(options: &[(&str, &str)]) -> Self {
        let mut running = Self(Emperor::new(&specs::emperor(), 2, specs::LIMITS), Time(0));
        let mut config = specs::config(0, 0);
        if let ProgramSpec::Uwsgi { options: all, .. } = &mut config.fresh.app.program {
            all.extend(options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        }
        let config = config.into();
        running.feed(Event::Config { vassal: specs::name(0), config, directory: "/v".into(), touched: true, file: None });
        running.feed(Event::Spawned { vassal: specs::name(0), birth: 1, pid: 2 });
        running.report(FromInit::Started { pid: 2 });
        running.report(FromInit::Said(AppWord::Ready));
        running
    }

    fn feed(&mut self, event: Event) -> Vec<Action> {
        self.1 = self.1 + Duration::from_millis(1);
        self.0.handle(self.1, event)
    }

    fn report(&mut self, report: FromInit) -> Vec<Action> {
        self.feed(Event::Reported { vassal: specs::name(0), birth: 1, report })
    }

    fn says(&mut self, notice: Notice, line: &str) -> Vec<Action> {
        self.report(FromInit::Noticed { notice, line: line.into() })
    }

    fn after(&mut self, seconds: u64) -> Vec<Action> {
        let until = self.1 + Duration::from_secs(seconds);
        let mut actions = Vec::new();
        while let Some(due) = self.0.next_deadline().filter(|due| *due <= until) {
            self.1 = due;
            actions.extend(self.0.handle(due, Event::Deadline));
        }
        self.1 = until;
        actions
    }

    fn doubt(&self) -> Option<String> {
        self.0.view(self.1).vassals[0].doubt.clone()
    }

    fn ends_by(&mut self, exit: Exit) -> String {
        self.failure(exit, None).0
    }

    /// The word and the sentence.
    fn failure(&mut self, exit: Exit, said: Option<&str>) -> (String, String) {
        self.report(FromInit::AppExited { exit, said: said.map(str::to_owned) });
        self.feed(Event::Exited { vassal: specs::name(0), birth: 1, exit });
        let failure = self.0.view(self.1).vassals[0].last_failure.clone();
        failure.map(|failure| (failure.cause, failure.what)).unwrap_or_default()
    }
}

#[test]
fn an_app_that_failed_and_said_that_an_address_is_taken_has_failed_of_that() {
    for (exit, cause) in [(Exit::Code(1), "address_in_use"), (Exit::Code(0), "exit"), (Exit::Signal(9), "signal")] {
        let mut vassal = Running::new();
        assert!(vassal.says(Notice::AddressInUse, "bind(): Address already in use").is_empty(), "no doubt of one that runs");
        assert_eq!(vassal.ends_by(exit), cause);
    }
}

#[test]
fn an_address_that_was_taken_long_before_is_not_the_reason() {
    for (passed, cause) in [(2, "address_in_use"), (30, "exit")] {
        let mut vassal = Running::new();
        vassal.says(Notice::AddressInUse, "Address already in use, trying next port");
        vassal.1 = vassal.1 + Duration::from_secs(passed);
        assert_eq!(vassal.ends_by(Exit::Code(1)), cause, "after {passed} s");
    }
}

#[test]
fn an_app_that_ended_well_and_left_processes_behind_went_into_the_background() {
    for (exit, cause) in [(Exit::Code(0), "background"), (Exit::Code(1), "exit"), (Exit::Signal(9), "signal")] {
        let mut vassal = Running::new();
        assert!(vassal.says(Notice::LeftBehind, "gunicorn").is_empty());
        assert_eq!(vassal.doubt(), None);
        assert_eq!(vassal.ends_by(exit), cause);
    }
}

#[test]
fn what_an_app_said_just_before_its_failure_comes_first() {
    let said = Some("cannot open database");
    let what = Running::new().failure(Exit::Code(7), said).1;
    assert_eq!(what, "\"cannot open database\" (the app exited with status 7)");
    let what = Running::new().failure(Exit::Signal(6), said).1;
    assert_eq!(what, "\"cannot open database\" (the app was killed by SIGABRT)");
}

#[test]
fn an_option_that_a_uwsgi_does_not_name_is_named() {
    for (said, about) in [
        ("*** no app loaded. GAME OVER ***", "psgi needs plugin = psgi: "),
        ("[strict-mode] unknown config directive: psgi", "psgi needs plugin = psgi: "),
        ("No such file or directory at (eval 12) line 1.; unable to find PSGI function entry point.", "psgi = /app/0.pl: "),
        ("oops at /app/0.pl line 1.; unable to find PSGI function entry point.", ""),
        ("bind(): Permission denied [core/socket.c line 769]", ""), // it has no socket
    ] {
        let what = Running::new().failure(Exit::Code(1), Some(said)).1;
        assert_eq!(what, format!("{about}\"{said}\" (the app exited with status 1)"));
    }
    let mut vassal = Running::new();
    vassal.says(Notice::NoApp, "*** no app loaded. going in full dynamic mode ***");
    let doubt =
        "it may serve nothing, psgi needs plugin = psgi, its uwsgi says: *** no app loaded. going in full dynamic mode ***";
    assert_eq!(vassal.doubt().as_deref(), Some(doubt));
}

#[test]
fn what_uwsgi_does_not_call_by_its_name_is_called_by_its_line() {
    let no_socket = "The -s/--socket option is missing and stdin is not a socket.";
    let encodings = "ModuleNotFoundError: No module named 'encodings'";
    for (options, said, about) in [
        (&[("chdir", "/a"), ("chdir", "/b")][..], "chdir(): No such file or directory [core/uwsgi.c line 2625]", "chdir = /b: "),
        (&[("spooler", "/s")], "[spooler directory] access(): No such file or directory", "spooler = /s: "),
        (&[("virtualenv", "/v")], encodings, "virtualenv = /v: "),
        (&[], encodings, ""),
        (&[("http", ":80")], no_socket, "http needs plugin = http: "),
        (&[("plugin", "router_http"), ("https", ":80,a,b")], no_socket, "https needs plugin = http: "),
        (
            &[("fastrouter", ":80")],
            "[strict-mode] unknown config directive: fastrouter",
            "fastrouter needs plugin = fastrouter: ",
        ),
        (&[], no_socket, "no line says where it listens (http-socket = ADDRESS, or socket): "),
    ] {
        let what = Running::with(options).failure(Exit::Code(1), Some(said)).1;
        assert_eq!(what, format!("{about}\"{said}\" (the app exited with status 1)"));
    }
}

#[test]
fn a_doubt_is_told_once_and_ends_with_the_run() {
    let mut vassal = Running::new();
    let told = vassal.says(Notice::NoApp, "*** no app loaded ***");
    assert!(matches!(&told[..], [Action::Note(Note::Doubtful { what, .. })] if what.contains("no app loaded")), "{told:?}");
    assert!(vassal.says(Notice::NoApp, "*** no app loaded ***").is_empty());
    assert!(vassal.doubt().is_some_and(|doubt| doubt.starts_with("it may serve nothing")));
    vassal.report(FromInit::Started { pid: 2 });
    assert_eq!(vassal.doubt(), None, "a new app");
}

#[test]
fn what_is_said_first_stands() {
    let mut vassal = Running::new();
    vassal.says(Notice::NoApp, "boom at /app/0.pl line 1.; unable to find PSGI function entry point.");
    let doubt = vassal.doubt();
    assert!(doubt.as_ref().is_some_and(|doubt| doubt.contains("boom")), "{doubt:?}");
    assert!(vassal.says(Notice::NoApp, "*** no app loaded. going in full dynamic mode ***").is_empty());
    assert_eq!(vassal.doubt(), doubt);
    // Another plugin than the app's is missing too.
    vassal.says(Notice::NoPlugin, "UNABLE to load uWSGI plugin: nosuch");
    assert!(vassal.doubt().is_some_and(|doubt| doubt.contains("nosuch") && doubt.contains("boom")));
}

#[test]
fn a_missing_plugin_explains_that_there_is_no_app() {
    let mut vassal = Running::new();
    vassal.says(Notice::NoPlugin, "UNABLE to load uWSGI plugin: psgi");
    vassal.says(Notice::NoApp, "*** no app loaded. going in full dynamic mode ***");
    assert!(vassal.doubt().is_some_and(|doubt| doubt.starts_with("a plugin is missing") && !doubt.contains("no app loaded")));
}

#[test]
fn a_reload_of_its_own_ends_the_doubts_of_the_run_before() {
    let mut vassal = Running::new();
    vassal.says(Notice::NoApp, "*** no app loaded ***");
    (0..3).for_each(|_| drop(vassal.says(Notice::WorkerDied, "DAMN ! worker 1 died")));
    vassal.report(FromInit::Said(AppWord::WantsConfig));
    assert_eq!(vassal.doubt(), None);
    assert!(!vassal.says(Notice::NoApp, "*** no app loaded ***").is_empty(), "told again");
}

#[test]
fn workers_that_die_again_and_again_are_a_doubt_until_they_rest() {
    let mut vassal = Running::new();
    let dies = "DAMN ! worker 1 (pid: 7) died :( trying respawn ...";
    for _ in 0..2 {
        assert!(vassal.says(Notice::WorkerDied, dies).is_empty(), "whatever crashed was started again");
        vassal.after(4);
    }
    let told = vassal.says(Notice::WorkerDied, dies);
    assert!(matches!(&told[..], [Action::Note(Note::Doubtful { what, .. })] if what.contains(dies)), "{told:?}");
    for _ in 0..5 {
        vassal.after(4);
        assert!(vassal.says(Notice::WorkerDied, dies).is_empty(), "told once");
        assert!(vassal.doubt().is_some_and(|doubt| doubt.starts_with("its processes die again and again")));
    }
    vassal.after(8);
    assert!(vassal.doubt().is_some());
    let told = vassal.after(6);
    assert!(matches!(&told[..], [Action::Note(Note::Undoubted { .. })]), "{told:?}");
    assert_eq!(vassal.doubt(), None);
}

#[test]
fn requests_that_last_too_long_are_a_doubt_of_their_own() {
    let mut vassal = Running::new();
    let kills = "*** HARAKIRI ON WORKER 1 (pid: 7, try: 1) ***";
    assert!((0..2).all(|_| vassal.says(Notice::Harakiri, kills).is_empty()) && vassal.doubt().is_none());
    vassal.says(Notice::Harakiri, kills);
    assert_eq!(vassal.doubt(), Some(format!("requests take longer than harakiri, its uwsgi says: {kills}")));
    vassal.after(60);
    assert_eq!(vassal.doubt(), None);
    (0..3).for_each(|_| drop(vassal.says(Notice::Harakiri, "*** HARAKIRI ON MULE 1 (pid: 7) ***")));
    assert!(vassal.doubt().is_some_and(|doubt| doubt.contains("mule-harakiri")), "{:?}", vassal.doubt());
}

#[test]
fn workers_that_die_rarely_are_none() {
    let mut vassal = Running::new();
    for _ in 0..20 {
        assert!(vassal.says(Notice::WorkerDied, "DAMN ! worker 1 died").is_empty());
        vassal.after(31);
        assert_eq!(vassal.doubt(), None);
    }
}

#[test]
fn workers_that_die_slowly_are_doubted_as_long_as_they_do() {
    let mut vassal = Running::new();
    for death in 0..20 {
        vassal.says(Notice::WorkerDied, "DAMN ! worker 1 died");
        vassal.after(15);
        assert_eq!(vassal.doubt().is_some(), death >= 2, "{death}");
    }
}

#[test]
fn a_daemon_that_always_ends_is_a_doubt_until_it_stays_up() {
    let mut vassal = Running::new();
    let news = |news| FromInit::Daemon { index: 0, news };
    let is_doubtful = |actions: &[Action]| actions.iter().any(|action| matches!(action, Action::Note(Note::Doubtful { .. })));
    for death in 1..=12 {
        vassal.report(news(DaemonNews::Started { pid: 9 }));
        let ended =
            DaemonNews::Ended { exit: Some(Exit::Code(3)), again_in_ms: Some(1000 * death), said: Some("no data".into()) };
        let told = vassal.report(news(ended));
        assert_eq!(is_doubtful(&told), death == 3, "told once");
        // Its pauses grow beyond every rest: while it is not there it does not rest.
        vassal.after(death * 10);
        assert_eq!(vassal.doubt().is_some(), death >= 3, "{death}");
    }
    assert!(
        vassal.doubt().is_some_and(|doubt| doubt.starts_with("does not stay up: \"no data\" (the daemon exited with status 3: "))
    );
    vassal.report(news(DaemonNews::Started { pid: 9 }));
    vassal.after(9);
    assert!(vassal.doubt().is_some());
    vassal.after(600);
    assert_eq!(vassal.doubt(), None);
}
