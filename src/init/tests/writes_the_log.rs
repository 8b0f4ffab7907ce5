//! What programs write lands in the vassal's log, whatever happens to the log, its writer, or its disk.
#![allow(missing_docs)]

mod world;

use std::{fs, path::Path, time::Duration};

use liege_plan::{Act, App, Exit, FromInit, Log, Notice, Phase, Place, Plan, Sink, Step};
use liege_sys::{
    Errno, descendants,
    mount::{self, Propagation},
    poll::poll,
    unshare::{Unshare, unshare},
    wait::Ended,
};
use world::*;

const ROOMY: Log = Log { sink: Sink::Directory { size: 1 << 30, keep: 3 }, rate: 0 };

fn logged(app: App, log: Log) -> Plan {
    Plan { log: Some(log), ..plan(app) }
}

/// The lines without their stamps, which are looked at here.
fn lines(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let unstamped = |line: &str| {
        let (stamp, rest) = line.split_once(' ').unwrap();
        assert!(stamp.len() == 24 && stamp.starts_with("20") && stamp.ends_with('Z'), "{line}");
        rest.to_owned()
    };
    text.lines().map(unstamped).collect()
}

/// Waits until this is so; the end of a file tells nobody.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..4000 {
        if let Some(found) = look() {
            return found;
        }
        let _ = poll(&[], Some(Duration::from_millis(5))); // gives the processor away
    }
    panic!("waited in vain: {what}");
}

/// The child that writes, seen from outside.
fn writer(vassal: &Vassal) -> Option<i32> {
    let is_writer = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "liege-log\n");
    descendants::tree(&[vassal.child.pid]).into_iter().find(is_writer)
}

#[test]
fn every_line_says_who_it_is_from() {
    let dir = Dir::new("who");
    let mut plan = logged(shell("echo out; echo err >&2; printf unfinished; exit 3"), ROOMY);
    plan.steps.push(Step { phase: Phase::PreJail, ..exec("echo hook; echo its error >&2") });
    plan.steps.push(Step::root(Phase::InJail, Act::Print("printed".into())));
    plan.steps.push(Step { phase: Phase::AsUser, ..exec_as_user("id -u") });
    plan.at_exit = vec![Step { phase: Phase::AsUserAtexit, ..exec("echo bye") }];
    let mut vassal = Vassal::start_with_log(plan, &dir.0);
    assert_eq!(vassal.app_exited(), Exit::Code(3));
    assert_eq!(vassal.ends(), Ended::Code(3));
    let mut lines = lines(&dir.0.join("log"));
    // Between sources no order is promised.
    lines.sort_by_key(|line| line.split(':').next().unwrap().to_owned());
    assert_eq!(
        lines,
        [
            "app: out",
            "app: err",
            "app: unfinished",
            &format!("as-user: {NOBODY}"),
            "as-user-atexit: bye",
            "in-jail: printed",
            "pre-jail: hook",
            "pre-jail: its error"
        ]
    );
    assert_eq!(vassal.printed(), "", "nothing went where init's own goes");
}

#[test]
fn a_user_may_open_his_stderr_by_its_name() {
    let dir = Dir::new("name");
    let mut app = shell("echo again > /dev/stderr");
    app.identity = Some(nobody());
    let mut vassal = Vassal::start_with_log(logged(app, ROOMY), &dir.0);
    assert_eq!(vassal.app_exited(), Exit::Code(0));
    vassal.ends();
    assert_eq!(lines(&dir.0.join("log")), ["app: again"]);
}

#[test]
fn the_log_is_written_from_within_another_root() {
    let dir = Dir::new("root");
    let mut plan = logged(command(&["/bin/sh", "-c", "echo inside"]), ROOMY);
    let new = dir.file("new");
    fs::create_dir(&new).unwrap();
    fs::create_dir(dir.file("logs")).unwrap();
    let bind = |from: &str, to: String| Act::Exec(format!("mkdir -p {to} && mount --rbind {from} {to}"));
    plan.steps.push(Step::root(Phase::PreJail, bind("/usr", format!("{new}/usr"))));
    plan.steps.push(Step::root(Phase::PreJail, Act::Exec(format!("cd {new} && ln -s usr/bin usr/lib usr/lib64 ."))));
    plan.steps.push(Step::root(Phase::Jail, Act::Chroot(new)));
    let mut vassal = Vassal::start_with_log(plan, &dir.0.join("logs"));
    assert_eq!(vassal.app_exited(), Exit::Code(0));
    vassal.ends();
    assert_eq!(lines(&dir.0.join("logs/log")), ["app: inside"]);
}

#[test]
fn who_says_nothing_has_no_writer_and_who_falls_silent_has_none_any_more() {
    let dir = Dir::new("silent");
    let mut plan = logged(shell("read line < fifo; echo $line; exec sleep infinity"), ROOMY);
    plan.directory = Some(dir.0.to_str().unwrap().into());
    plan.steps.push(exec("mkfifo fifo"));
    let mut vassal = Vassal::start_with_log(plan, &dir.0);
    vassal.started();
    assert_eq!(writer(&vassal), None);
    fs::write(dir.0.join("fifo"), "hello\n").unwrap();
    until("the line", || (lines(&dir.0.join("log")) == ["app: hello"]).then_some(()));
    until("the writer's leave", || writer(&vassal).is_none().then_some(()));
}

#[test]
fn a_killed_writer_is_replaced() {
    let dir = Dir::new("killed");
    let mut vassal = Vassal::start_with_log(logged(shell("while :; do echo tick; sleep 0.02; done"), ROOMY), &dir.0);
    vassal.started();
    let count = || lines(&dir.0.join("log")).len();
    let first = until("the first", || writer(&vassal).filter(|_| count() > 0));
    descendants::kill(first, 9).unwrap();
    until("the second", || writer(&vassal).filter(|second| *second != first));
    let before = count();
    until("another line", || (count() > before).then_some(()));
}

#[test]
fn a_flood_holds_up_nobody_and_is_counted() {
    let dir = Dir::new("flood");
    const LINES: u64 = 1_000_000;
    let log = Log { rate: 1000, ..ROOMY };
    let mut vassal = Vassal::start_with_log(logged(shell(&format!("seq {LINES}")), log), &dir.0);
    assert_eq!(vassal.app_exited(), Exit::Code(0));
    vassal.ends();
    let lines = lines(&dir.0.join("log"));
    let dropped: u64 =
        lines.iter().filter_map(|line| line.strip_prefix("liege: ")?.split_once(" lines (")?.0.parse::<u64>().ok()).sum();
    let written = lines.iter().filter(|line| line.starts_with("app: ")).count() as u64;
    assert_eq!(written + dropped, LINES, "{:?}", lines.last());
    assert!(dropped > LINES / 2 && written > 100, "{written} written, {dropped} dropped");
}

#[test]
fn a_full_file_is_put_aside_and_the_oldest_goes() {
    let dir = Dir::new("full");
    let log = Log { sink: Sink::Directory { size: 8192, keep: 2 }, rate: 0 };
    let app = shell("i=1; while [ $i -le 3000 ]; do echo number $i; i=$((i+1)); done");
    let mut vassal = Vassal::start_with_log(logged(app, log), &dir.0);
    assert_eq!(vassal.app_exited(), Exit::Code(0));
    vassal.ends();
    let mut names: Vec<_> = fs::read_dir(&dir.0).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["log", "log.1", "log.2"]);
    let kept: Vec<String> = ["log.2", "log.1", "log"].iter().flat_map(|name| lines(&dir.0.join(name))).collect();
    let first = 3001 - kept.len();
    assert!(kept.iter().eq((first..=3000).map(|i| format!("app: number {i}")).collect::<Vec<_>>().iter()), "a gap");
    assert!(kept.len() < 3000 && names.iter().all(|name| fs::metadata(dir.0.join(name)).unwrap().len() <= 8192));
}

#[test]
fn a_file_that_somebody_takes_away_is_made_again() {
    let dir = Dir::new("taken");
    let mut vassal = Vassal::start_with_log(logged(shell("while :; do echo tick; sleep 0.02; done"), ROOMY), &dir.0);
    vassal.started();
    let file = dir.0.join("log");
    until("the first", || file.exists().then_some(()));
    fs::rename(&file, dir.0.join("elsewhere")).unwrap();
    fs::remove_file(dir.0.join("elsewhere")).unwrap();
    until("the second", || file.exists().then_some(()));
}

#[test]
fn a_full_disk_is_told_and_costs_lines_but_holds_up_nobody() {
    let dir = Dir::new("disk");
    let mounted = Mounted::tmpfs(&dir.0);
    fs::write(dir.0.join("fill"), vec![0; 60 << 10]).unwrap();
    let mut vassal = Vassal::start_with_log(logged(shell("seq 100000; while :; do echo tick; sleep 0.02; done"), ROOMY), &dir.0);
    let FromInit::Failed { at: Place::Log, errno, fatal: false, .. } = vassal.failed() else { panic!() };
    assert_eq!(errno, Errno::ENOSPC as i32);
    fs::remove_file(dir.0.join("fill")).unwrap();
    fs::write(dir.0.join("log"), "").unwrap();
    let told = until("the count", || {
        let lines = lines(&dir.0.join("log"));
        lines.iter().any(|line| line == "app: tick").then(|| lines.into_iter().find(|line| line.starts_with("liege: "))).flatten()
    });
    assert!(told.contains("could not be written: No space left on device"), "{told}");
    drop(vassal);
    drop(mounted);
}

/// A small disk.
struct Mounted(String);

impl Mounted {
    fn tmpfs(at: &Path) -> Self {
        let at = at.to_str().unwrap();
        // Of this thread alone: what stories compare is the host's table.
        unshare(Unshare { mount: true, ..Unshare::default() }).unwrap();
        mount::propagate(Propagation::Private).unwrap();
        mount::mount("tmpfs", "none", at, 0, "size=128k").unwrap();
        Self(at.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = mount::umount(&self.0, true, false);
    }
}

/// The phrase of the step that failed.
fn why(vassal: &mut Vassal) -> (Place, String) {
    let FromInit::Failed { at, detail, .. } = vassal.failed() else { panic!() };
    (at, detail)
}

#[test]
fn a_step_that_fails_has_said_why() {
    let dir = Dir::new("why");
    let mut plan = logged(idle(), ROOMY);
    plan.steps.push(exec("echo an earlier step; echo of the same phase >&2"));
    plan.steps.push(exec("echo begins; printf 'no \\033[1msuch archive\\n\\n' >&2; exit 3"));
    let mut vassal = Vassal::start_with_log(plan, &dir.0);
    let said = "\"no \\u{1b}[1msuch archive\", exited with status 3".to_owned();
    assert_eq!(why(&mut vassal), (Place::Step(3), said));
    vassal.ends();
    assert!(lines(&dir.0.join("log")).len() == 5, "nothing is lost of it: {:?}", lines(&dir.0.join("log")));
}

#[test]
fn what_an_earlier_step_said_is_not_the_reason() {
    let dir = Dir::new("not-why");
    let mut plan = logged(idle(), ROOMY);
    plan.steps.push(exec("echo an earlier step"));
    plan.steps.push(exec("exit 3"));
    let mut vassal = Vassal::start_with_log(plan, &dir.0);
    assert_eq!(why(&mut vassal), (Place::Step(3), "exited with status 3".to_owned()));
    vassal.ends();
}

#[test]
fn a_step_that_may_fail_says_why_too() {
    let dir = Dir::new("may-fail");
    let mut plan = logged(idle(), ROOMY);
    plan.steps.push(Step { fatal: false, ..exec("echo cannot open it >&2; exit 1") });
    let mut vassal = Vassal::start_with_log(plan, &dir.0);
    assert_eq!(why(&mut vassal), (Place::Step(2), "\"cannot open it\", exited with status 1".to_owned()));
    vassal.started();
}

/// How the app ended, and what it said just before.
fn end(vassal: &mut Vassal) -> (Exit, Option<String>) {
    vassal.hears_until(|message| match message {
        FromInit::AppExited { exit, said } => Some((*exit, said.clone())),
        _ => None,
    })
}

#[test]
fn an_app_that_fails_has_said_why() {
    for (script, exit, said) in [
        ("echo starts; echo 'cannot \x1b[1mopen it' >&2; exit 7", Exit::Code(7), Some("cannot \\u{1b}[1mopen it")),
        (
            "echo 'Error: no module' >&2; echo '    at load (x.js)'; echo Node.js v20; exit 1",
            Exit::Code(1),
            Some("Error: no module"),
        ),
        ("echo assertion failed >&2; kill -ABRT $$", Exit::Signal(6), Some("assertion failed")),
        ("echo GET /; kill -KILL $$", Exit::Signal(9), None),
        ("echo cannot reach it >&2; exit 0", Exit::Code(0), Some("cannot reach it")),
        ("echo too early; sleep 3; exit 1", Exit::Code(1), None),
    ] {
        let dir = Dir::new("app-why");
        let mut vassal = Vassal::start_with_log(logged(shell(script), ROOMY), &dir.0);
        assert_eq!(end(&mut vassal), (exit, said.map(str::to_owned)), "{script}");
        vassal.ends();
    }
}

/// Each kind is told once in a while, because an app may say it for every request. That must not hide what the next run says at its start.
#[test]
fn what_an_app_says_is_told_in_each_of_its_runs() {
    let dir = Dir::new("runs");
    let says = "say() { echo 'Address already in use'; echo 'DAMN ! worker 1 died'; echo 'unable to load app 0'; \
                echo 'UNABLE to load uWSGI plugin'; }\ntrap 'say; say' HUP\nsay\nsay\nwhile :; do sleep 0.05; done";
    let app = App { reload_signal: Some(1), ..shell(says) };
    let mut vassal = Vassal::start_with_log(logged(app.clone(), ROOMY), &dir.0);
    for _ in 0..3 {
        let mut notice = || {
            vassal.hears_until(|m| match m {
                FromInit::Noticed { notice, .. } => Some(*notice),
                _ => None,
            })
        };
        let told = [notice(), notice(), notice(), notice()];
        assert_eq!(told, [Notice::AddressInUse, Notice::WorkerDied, Notice::NoApp, Notice::NoPlugin]);
        vassal.reload(vec![], app.clone());
    }
}
