//! The daemon and its vassals are paused together, as by a suspend, a frozen control group or `docker pause`. Nothing can beat or save
//! meanwhile, so afterwards an app that beats lives on, and what saves has all of its time.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use liege_integration_tests::apps::USER;
use liege_integration_tests::archive::Archive;
use liege_integration_tests::procs::Process;
use liege_integration_tests::tools::need;
use liege_integration_tests::wait::holds_for;
use liege_integration_tests::{Emperor, Host, LONG, SHORT, story, wait_until};
use nix::sys::signal::Signal;

/// Longer than any deadline in here.
const PAUSE: Duration = Duration::from_secs(14);

/// The daemon, its prober and its vassals, in this order. What an app's shell runs for a moment may end by itself.
fn pause(emperor: &Emperor) {
    let daemon = Process::read(emperor.pid).expect("it runs");
    let vassals = emperor.vassals().into_iter().flat_map(|vassal| vassal.processes());
    let others: Vec<Process> = emperor.helpers().into_iter().chain(vassals).collect();
    daemon.kill(Signal::SIGSTOP);
    for process in &others {
        process.kill_if_there(Signal::SIGSTOP);
    }
    wait_until("the daemon to be stopped", SHORT, || daemon.is_stopped());
    holds_for("the daemon is stopped", PAUSE, || daemon.is_stopped());
    for process in others.iter().rev() {
        process.kill_if_there(Signal::SIGCONT);
    }
    daemon.kill(Signal::SIGCONT);
}

#[test]
fn an_app_that_beats_lives_on() {
    need("uwsgi");
    story(|host| {
        let trace = host.path("trace");
        let emperor = host.emperor().arg("--emperor-required-heartbeat").arg("4").arg("--trace").arg(&trace).start();
        let socket = host.path("socket");
        let text = format!("[uwsgi]\nmaster = true\nheartbeat = 1\nsocket = {}\nuid = root\n", socket.display());
        emperor.write("beats.ini", &text);
        let beats = || fs::read_to_string(&trace).unwrap_or_default().matches("\"Heartbeat\"").count();
        let app = emperor.vassal("beats.ini").process("uwsgi");
        let mark = emperor.mark();
        for _ in 0..2 {
            let before = beats();
            wait_until("the app to beat", LONG, || beats() > before);
            pause(&emperor);
            emperor.ask_well(&["status"]); // it has judged by then
        }
        assert!(app.lives() && !emperor.log()[mark..].iter().any(|line| line.contains("heartbeat_lost")), "{:#?}", emperor.log());
        // A pause of the app alone is another thing.
        let vassal = emperor.vassal("beats.ini").processes();
        vassal.iter().filter(|process| process.name == "uwsgi").for_each(|process| process.kill(Signal::SIGSTOP));
        emperor.wait_cause(mark, "beats.ini", "heartbeat_lost");
    });
}

/// What an app leaves while it ends slowly: that it hears TERM, that it has heard it, that it is done.
struct Marks([PathBuf; 3]);

impl Marks {
    fn new(host: &Host) -> Self {
        let directory = host.open_dir("marks");
        Self(["hears", "ends", "done"].map(|name| directory.join(name)))
    }

    /// Words of a shell. The end is two seconds of work in many steps: a single sleep would be over with the pause.
    fn words(&self) -> String {
        let [hears, ends, done] = self.0.each_ref().map(|mark| mark.display());
        let steps = "sleep 0.1; ".repeat(20);
        format!("trap \"echo x > {ends}; {steps} echo x > {done}; exit 0\" TERM; echo x > {hears}; while :; do sleep 0.1; done")
    }

    /// It is stopped, and all is paused while it ends.
    fn stop(&self, emperor: &Emperor, vassal: &str) {
        let [hears, ends, done] = &self.0;
        wait_until("the app to hear signals", LONG, || hears.exists());
        emperor.ask_well(&["stop", vassal]);
        wait_until("the app to end", LONG, || ends.exists());
        pause(emperor);
        wait_until("the vassal to be down", LONG, || emperor.vassals().is_empty());
        assert!(done.exists(), "{:#?}", emperor.log());
    }
}

#[test]
fn an_app_that_ends_slowly_has_all_of_its_time() {
    for namespaces in [Some("fs,pid"), None] {
        story(|host| {
            let emperor = host.emperor().namespaces(namespaces).start();
            let marks = Marks::new(host);
            let identity = format!("uid = {USER}\ngid = {USER}\nstop-timeout = 12\n");
            emperor.write("slow.ini", &format!("[vassal]\n{identity}command = sh -c '{}'\n", marks.words()));
            marks.stop(&emperor, "slow");
        });
    }
}

#[test]
fn what_is_written_back_has_all_of_its_time() {
    need("unzip");
    for namespaces in [Some("fs,pid"), None] {
        story(|host| {
            let emperor = host.emperor().namespaces(namespaces).start();
            let (archive, marks) = (Archive::new(host, "app"), Marks::new(host));
            let (identity, hook, command) = (archive.identity(), archive.hook(), archive.command(&marks.words()));
            emperor.write("zip.ini", &format!("[vassal]\n{identity}{hook}stop-timeout = 12\n{command}"));
            archive.written(1);
            marks.stop(&emperor, "zip");
            archive.assert_saved(&emperor, namespaces);
        });
    }
}
