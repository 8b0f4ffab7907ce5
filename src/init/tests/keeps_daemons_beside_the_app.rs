//! Attached daemons: started after the app, started again, asked before they are killed, and never a reason to stay awake.
#![allow(missing_docs)]

mod world;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use liege_plan::{Act, App, Daemon, DaemonNews, DaemonPidfile, Exit, FromInit, Plan, ToInit};
use liege_sys::descendants::{children_of, kill};
use world::*;

fn daemon(command: &str) -> Daemon {
    Daemon {
        command: command.into(),
        pidfile: None,
        control: false,
        uid: None,
        gid: None,
        chdir: None,
        stop_signal: 15,
        reload_signal: None,
        notify: false,
        max_throttle_s: 300,
    }
}

fn beside(daemons: impl IntoIterator<Item = Daemon>) -> App {
    App { daemons: daemons.into_iter().collect(), ..idle() }
}

fn news(vassal: &mut Vassal) -> (u32, DaemonNews) {
    vassal.hears_until(|m| match m {
        FromInit::Daemon { index, news } => Some((*index, news.clone())),
        _ => None,
    })
}

fn ended(exit: Exit, again_in_ms: Option<u64>) -> DaemonNews {
    DaemonNews::Ended { exit: Some(exit), again_in_ms, said: None }
}

#[test]
fn they_start_after_the_app_as_the_identity_of_the_steps() {
    let mut vassal = Vassal::start(plan(beside([daemon("id -u; exec sleep infinity")])));
    let app = vassal.started();
    let (index, DaemonNews::Started { pid }) = news(&mut vassal) else { panic!("not started") };
    assert!(index == 0 && pid > app);
    assert_eq!(vassal.line(), NOBODY.to_string());
}

#[test]
fn one_that_fails_at_once_waits_longer_each_time_up_to_its_bound() {
    let mut vassal = Vassal::start(plan(beside([Daemon { max_throttle_s: 1, ..daemon("exit 3") }])));
    vassal.started();
    let start = Instant::now();
    for _ in 0..3 {
        assert!(matches!(news(&mut vassal).1, DaemonNews::Started { .. }));
        assert_eq!(news(&mut vassal).1, ended(Exit::Code(3), Some(1000)));
    }
    assert!(start.elapsed() >= Duration::from_secs(2));
}

#[test]
fn a_control_daemon_is_not_started_again() {
    let mut vassal = Vassal::start(plan(beside([Daemon { control: true, ..daemon("exit 0") }])));
    assert!(matches!(news(&mut vassal).1, DaemonNews::Started { .. }));
    assert_eq!(news(&mut vassal).1, ended(Exit::Code(0), None));
    vassal.tell(&ToInit::Stop);
    assert_eq!(vassal.app_exited(), Exit::Signal(15));
}

#[test]
fn at_the_end_of_the_app_they_are_asked_and_then_killed() {
    let polite = daemon("exec 2>/dev/null; trap 'echo goodbye; exit' INT; echo up; while :; do sleep 0.1; done");
    let deaf = daemon("trap '' TERM; echo up; while :; do sleep infinity; done");
    let mut vassal = Vassal::start(plan(beside([Daemon { stop_signal: 2, ..polite }, deaf])));
    vassal.started();
    assert_eq!([vassal.line(), vassal.line()], ["up", "up"]);
    let start = Instant::now();
    vassal.tell(&ToInit::Stop);
    assert_eq!(vassal.line(), "goodbye");
    vassal.ends();
    assert!((2..8).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[test]
fn a_reload_starts_those_in_the_foreground_again_by_their_own_signal() {
    let app = beside([Daemon {
        reload_signal: Some(1),
        ..daemon("exec 2>/dev/null; trap 'echo hup; exit' HUP; echo up; while :; do sleep 0.1; done")
    }]);
    let mut vassal = Vassal::start(plan(app.clone()));
    assert_eq!(vassal.line(), "up");
    vassal.reload(vec![], app);
    assert_eq!([vassal.line(), vassal.line()], ["hup", "up"]);
    vassal.reload(vec![], idle());
    assert_eq!(vassal.line(), "hup");
}

#[test]
fn while_the_app_is_asked_to_end_nobody_is_started_and_init_sleeps() {
    let app = App { daemons: vec![daemon("exit 1")], ..shell("trap '' TERM; echo up; while :; do sleep infinity; done") };
    let mut vassal = Vassal::start(plan(app));
    assert_eq!(vassal.line(), "up"); // it has set its trap
    assert!(matches!(news(&mut vassal).1, DaemonNews::Started { .. }));
    assert_eq!(news(&mut vassal).1, ended(Exit::Code(1), Some(1000)));
    vassal.tell(&ToInit::Stop);
    let cpu = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", vassal.child.pid)).unwrap();
        let fields: Vec<i64> = stat.rsplit(") ").next().unwrap().split(' ').filter_map(|f| f.trim().parse().ok()).collect();
        fields[10] + fields[11] // user and system time, in ticks of 10 ms
    };
    let before = cpu();
    let until = Instant::now() + Duration::from_millis(1500); // its pause is over then
    while Instant::now() < until {
        liege_sys::poll::poll(&[], Some(Duration::from_millis(100))).unwrap();
    }
    assert!(cpu() - before < 20, "it turned all the time");
    for pid in children_of(vassal.child.pid) {
        kill(pid, 9).unwrap();
    }
    let last = vassal.hears_until(|m| match m {
        FromInit::AppExited { .. } | FromInit::Daemon { .. } => Some(m.clone()),
        _ => None,
    });
    assert_eq!(last, FromInit::AppExited { exit: Exit::Signal(9), said: None });
}

fn smart(path: &str, patience_s: u64, command: &str) -> Daemon {
    let pidfile = Some(DaemonPidfile { path: path.into(), patience_s, written_for_it: false });
    Daemon { pidfile, ..daemon(command) }
}

/// Without a pid namespace of its own: every process of the machine has a number there.
fn among_others(app: App) -> Plan {
    Plan { own_pid_namespace: false, ..plan(app) }
}

/// A process that no vassal has started.
struct Stranger(std::process::Child);

impl Stranger {
    fn new() -> Self {
        Self(Command::new("sleep").arg("infinity").stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_stranger_in_a_pidfile_is_neither_followed_nor_signalled() {
    let dir = Dir::new("stranger");
    let path = dir.file("pid");
    let mut vassal = Vassal::start(among_others(beside([smart(&path, 1, "echo up; exec sleep infinity")])));
    assert_eq!(vassal.line(), "up");
    let mut stranger = Stranger::new(); // younger than the command
    fs::write(&path, stranger.0.id().to_string()).unwrap();
    let (_, told) = news(&mut vassal);
    assert!(matches!(&told, DaemonNews::Failed { why, .. } if why.contains("has no living pid")), "{told:?}");
    vassal.tell(&ToInit::Stop);
    vassal.ends();
    assert_eq!(stranger.0.try_wait().unwrap(), None, "it lives");
}

/// A directory where the daemons can write.
fn open_dir(name: &str) -> Dir {
    let dir = Dir::new(name);
    fs::set_permissions(&dir.0, fs::Permissions::from_mode(0o777)).unwrap();
    dir
}

#[test]
fn one_in_the_background_is_found_among_the_processes_of_others() {
    let dir = open_dir("background");
    let path = dir.file("pid");
    // The shell between it and init is there yet, or not.
    for wait in ["wait", "sleep 2"] {
        let command = format!("(setsid sleep infinity & echo $! >{path}.new; mv {path}.new {path}; {wait}) & exit 0");
        let mut vassal = Vassal::start(among_others(beside([smart(&path, 10, &command)])));
        let (_, DaemonNews::Started { pid }) = news(&mut vassal) else { panic!("not found") };
        vassal.tell(&ToInit::Stop);
        vassal.ends();
        until_gone(pid);
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn one_is_found_where_proc_shows_other_processes_under_its_numbers() {
    let dir = open_dir("foreign-proc");
    let path = dir.file("pid");
    let command = format!("setsid sh -c 'echo up; exec sleep infinity' & echo $! >{path}.new; mv {path}.new {path}");
    let mut plan = plan(beside([smart(&path, 2, &command)]));
    plan.steps.retain(|step| step.act != Act::MountProc); // as vassal-proc = false has it
    let mut vassal = Vassal::start(plan);
    let (_, told) = news(&mut vassal);
    assert!(matches!(told, DaemonNews::Started { .. }), "{told:?}");
    assert_eq!(vassal.line(), "up");
}

#[test]
fn one_that_is_on_its_way_at_a_reload_is_ended_when_it_is_there() {
    let dir = open_dir("on-its-way");
    let path = dir.file("pid");
    // It says so when its command has ended and was reaped; its pidfile comes when one who is asked to end has had his time.
    let command = format!(
        r#"export command=$$; setsid sh -c 'trap "" TERM; while kill -0 $command 2>&-; do sleep 0.01; done
        echo up; sleep 4; echo $$ >{path}; exec sleep infinity' & exit 0"#
    );
    let mut vassal = Vassal::start(plan(beside([smart(&path, 10, &command)])));
    vassal.started();
    assert_eq!(vassal.line(), "up");
    let daemon = || liege_sys::descendants::tree(&[vassal.child.pid]).into_iter().find(|&pid| names(pid, "echo up"));
    let found = daemon().expect("it has begun");
    vassal.reload(vec![], idle());
    vassal.started();
    until_gone(found);
}

fn names(pid: i32, what: &str) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(what))
}

#[test]
fn a_pidfile_that_hangs_holds_up_nobody() {
    let dir = Dir::new("pidfile");
    let path = dir.file("fifo"); // whose reader waits for ever
    let mut plan = plan(beside([smart(&path, 1, "exec sleep infinity")]));
    plan.steps.push(exec(&format!("mkfifo -m 666 {path}; chmod 755 {}", dir.0.display())));
    let mut vassal = Vassal::start(plan);
    vassal.started();
    let (_, DaemonNews::Failed { why, again_in_ms, .. }) = news(&mut vassal) else { panic!("no failure") };
    assert!(why.contains("no living pid") && again_in_ms == Some(1000), "{why}");
    vassal.tell(&ToInit::Stop);
    assert_eq!(vassal.app_exited(), Exit::Signal(15));
    vassal.ends();
}
