//! `emperor-cap`: hooks, init and app of a vassal have of root's rights only what the list leaves, as under the real Emperor.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use liege_integration_tests::apps::{Reporter, USER, ZipApp};
use liege_integration_tests::tools::{self, run_liege};
use liege_integration_tests::{LONG, served, story, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The first is an option of the Emperor's own file under uWSGI, the others of the vassal's.
const PHASES: [&str; 3] = ["as-vassal", "as-root", "as-user"];

/// What a hook of this phase may do there, written to a file of its name.
fn hook(phase: &str, out: &Path) -> String {
    format!("exec:grep -E 'Cap(Prm|Bnd)' /proc/self/status > {}/{phase}", out.display())
}

fn seen(out: &Path) -> Option<Vec<String>> {
    let texts = PHASES.map(|phase| fs::read_to_string(out.join(phase)).unwrap_or_default());
    texts.iter().all(|text| text.lines().count() == 2).then(|| texts.to_vec())
}

#[test]
fn hooks_have_what_they_have_under_the_real_emperor() {
    story(|host| {
        let (ours, theirs) = (host.open_dir("ours"), host.open_dir("theirs"));
        let file = |phases: &[&str], out: &Path| {
            let hooks: String = phases.iter().map(|phase| format!("hook-{phase} = {}\n", hook(phase, out))).collect();
            format!("[uwsgi]\nuid = {USER}\ngid = {USER}\nmaster = true\nsocket = {}/s\n{hooks}", out.display())
        };
        let dir = host.open_dir("real");
        fs::write(dir.join("v.ini"), file(&PHASES[1..], &theirs)).unwrap();
        let mut real = Command::new("uwsgi")
            .arg("--emperor")
            .arg(&dir)
            .args(["--emperor-use-clone", "fs,pid", "--emperor-cap", "setuid,setgid"])
            .args(["--hook-as-vassal", &hook(PHASES[0], &theirs)])
            .env("PATH", tools::PATH)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let expected = wait_for("the real Emperor's hooks", LONG, || seen(&theirs));
        kill(Pid::from_raw(i32::try_from(real.id()).unwrap()), Signal::SIGTERM).unwrap();
        real.wait().unwrap();

        let emperor = host.emperor().arg("--emperor-cap").arg("setuid,setgid").start();
        emperor.write("v.ini", &file(&PHASES, &ours));
        assert_eq!(wait_for("liege's hooks", LONG, || seen(&ours)), expected);
    });
}

#[test]
fn init_itself_may_no_more_than_they() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let emperor = host.emperor().arg("--emperor-cap").arg("setuid,setgid").start();
        emperor.write("v.ini", &reporter.vassal("hook-as-root = mount:tmpfs none /mnt\n"));
        let line = emperor.wait_cause(0, "v.ini", "hook_failed");
        assert!(line.contains("EPERM") && line.contains("v.ini:3"), "{line}");
        assert!(reporter.starts().is_empty());
    });
}

#[test]
fn with_sys_admin_alone_a_user_mounts() {
    story(|host| {
        let app = ZipApp::new(host, "app", "from the zip");
        let emperor = host.emperor().arg("--emperor-cap").arg("sys_admin,setuid,setgid").start();
        emperor.write("app001.ini", &app.checked());
        served(app.port, "from the zip", LONG);
    });
}

#[test]
fn check_warns_where_nobody_could_mount() {
    story(|host| {
        let file = host.path("emperor.ini");
        fs::write(&file, "[uwsgi]\nemperor = /etc/vassals\nemperor-cap = setuid,setgid\n").unwrap();
        let (status, said) = run_liege(&["check".as_ref(), file.as_os_str()]);
        assert_eq!(status, 0, "{said}");
        assert!(said.contains("emperor.ini:3:1: warning") && said.contains("fusermount"), "{said}");
    });
}
