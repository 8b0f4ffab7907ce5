//! A real uwsgi as the app: its words are relayed, its configuration is pushed when it asks.
#![allow(missing_docs)]

mod world;

use liege_plan::{App, AppWord, Exit, FromInit, Lasting, Place, Program, Uwsgi};
use liege_sys::wait::Ended;
use world::*;

fn uwsgi(dir: &Dir, extra: &str) -> App {
    let socket = dir.file("app.sock");
    let config = format!(
        "[uwsgi]\nmaster = true\nworkers = 1\nsocket = {socket}\nuid = {NOBODY}\ngid = {NOBODY}\nneed-app = false\n{extra}\n"
    );
    let name = "test.ini".into();
    app(Program::Uwsgi(Uwsgi {
        binary: "uwsgi".into(),
        name,
        config,
        graceful_stop: false,
        sockets: Vec::new(),
        lasting: Lasting::default(),
    }))
}

fn open_dir(name: &str) -> Dir {
    let dir = Dir::new(name);
    std::os::unix::fs::chown(&dir.0, Some(NOBODY), Some(NOBODY)).unwrap();
    dir
}

fn said(vassal: &mut Vassal, word: AppWord) {
    vassal.hears_until(|m| (*m == FromInit::Said(word)).then_some(()));
}

#[test]
fn it_gets_ready_reloads_in_its_own_process_and_stops() {
    let dir = open_dir("uwsgi");
    let mut vassal = Vassal::start(plan(uwsgi(&dir, "")));
    let pid = vassal.started();
    said(&mut vassal, AppWord::Accepting);
    let touched = dir.file("reloaded");
    vassal.reload(vec![], uwsgi(&dir, &format!("hook-post-app = create:{touched}")));
    said(&mut vassal, AppWord::WantsConfig);
    assert_eq!(vassal.started(), pid);
    said(&mut vassal, AppWord::Accepting);
    vassal.tell(&liege_plan::ToInit::Stop);
    assert_eq!(vassal.app_exited(), Exit::Code(0));
    assert_eq!(vassal.ends(), Ended::Code(0));
    assert!(std::fs::exists(touched).unwrap(), "the new configuration was not used:\n{}", vassal.printed());
}

#[test]
fn another_environment_reaches_uwsgi_by_its_own_reload() {
    let dir = open_dir("uwsgi-env");
    let mut vassal = Vassal::start(plan(uwsgi(&dir, "")));
    let first = vassal.started();
    said(&mut vassal, AppWord::Accepting);
    let mut app = uwsgi(&dir, "");
    app.env.push(("NEW".into(), "1".into()));
    vassal.reload(vec![], app);
    assert_eq!(vassal.started(), first);
    said(&mut vassal, AppWord::Accepting);
}

#[test]
fn a_root_without_uwsgi_is_told_what_to_set() {
    let dir = open_dir("uwsgi-none");
    let mut app = uwsgi(&dir, "");
    app.env.push(("PATH".into(), "/nowhere".into()));
    let mut vassal = Vassal::start(plan(app));
    let detail = "no uwsgi in the PATH of the vassal's root (/nowhere); set binary-path or command".to_owned();
    assert_eq!(vassal.failed(), FromInit::Failed { at: Place::AppExec, errno: 2, detail, fatal: true });
}

#[test]
fn a_configuration_over_the_packets_length_is_refused_in_words() {
    let dir = open_dir("uwsgi-long");
    let mut vassal = Vassal::start(plan(uwsgi(&dir, &"; x".repeat(30_000))));
    let FromInit::Failed { at: Place::AppExec, detail, .. } = vassal.failed() else { panic!() };
    assert!(detail.contains("config pipe takes 65535"), "{detail}");
}
