//! Root of a vassal's user namespace that sees the host's pids gets at nothing of liege's own processes: the daemon, the prober, another
//! vassal's init, and `liege enter`, outside and on its way in.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use liege_integration_tests::apps::{Reporter, USER, ZipApp};
use liege_integration_tests::procs::{self, Process};
use liege_integration_tests::tools::{PATH, liege};
use liege_integration_tests::{Emperor, LONG, SHORT, served, story, wait_for, wait_until};

/// All but the vassals' own programs.
fn own_processes(emperor: &Emperor, visit: i32) -> Vec<(String, Process)> {
    let daemon = Process::read(emperor.pid).unwrap();
    let prober = wait_for("the prober", SHORT, || {
        procs::descendants(emperor.pid).into_iter().find(|process| process.command_line() == "liege prober")
    });
    let enter = Process::read(visit).unwrap();
    let keeper = wait_for("who goes in", SHORT, || procs::descendants(visit).into_iter().find(|process| process.parent == visit));
    let init = emperor.vassals()[0].init.clone();
    let named = [("daemon", daemon), ("prober", prober), ("enter", enter), ("keeper", keeper), ("init", init)];
    named.map(|(name, process)| (name.to_owned(), process)).into()
}

#[test]
fn whatever_it_tries() {
    story(|host| {
        let app = ZipApp::new(host, "app", "inside the zip");
        let emperor = host.emperor().namespaces(Some("fs,user")).start();
        emperor.write("app.ini", &app.checked());
        served(app.port, "inside the zip", LONG);
        let mut visit = Command::new(liege());
        visit.args(["enter", "app.ini", "--control"]).arg(&emperor.control).args(["--", "sleep", "1000"]);
        let mut visit = visit.env_clear().env("PATH", PATH).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        wait_until("it to be inside", SHORT, || {
            procs::descendants(i32::try_from(visit.id()).unwrap()).iter().any(|process| process.name == "sleep")
        });
        let targets = own_processes(&emperor, i32::try_from(visit.id()).unwrap());
        let out = host.open_dir("prowled");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("hostile/prowl.pl");
        let hooks: String = targets
            .iter()
            .map(|(name, process)| {
                format!("exec-as-root = perl {} {} {}\n", script.display(), process.pid, out.join(name).display())
            })
            .collect();
        let reporter = Reporter::new(host, "prowler");
        let before = fs::metadata(liege()).unwrap();
        emperor.write("prowler.ini", &reporter.vassal(&format!("uid = {USER}\ngid = {USER}\n{hooks}")));
        let _started = reporter.started(1);
        for (name, process) in &targets {
            assert!(process.lives(), "{name}");
            let lines = fs::read_to_string(out.join(name)).unwrap();
            let got_in: Vec<&str> =
                lines.lines().filter(|line| line.ends_with("got in") && !line.starts_with("own fd")).collect();
            assert!(lines.ends_with("done\n") && got_in.is_empty(), "{name}: {got_in:?}");
        }
        let after = fs::metadata(liege()).unwrap();
        assert_eq!((before.mode(), before.ctime()), (after.mode(), after.ctime()));
        visit.kill().unwrap();
        visit.wait().unwrap();
    });
}
