//! The disk of the state directory does not answer. What else is known of a vassal is answered all the same, with a line that says
//! what is missing; the log says it once; and when the disk answers again the record is complete.

use std::fs;
use std::process::{Child, Command};
use std::rc::Rc;

use liege_integration_tests::apps::Reporter;
use liege_integration_tests::story::Host;
use liege_integration_tests::{Emperor, LONG, SHORT, story, wait_until};
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The state directory, on a file system whose daemon can be stopped.
struct Disk(Child);

impl Disk {
    fn mount(host: &Host) -> Self {
        let (back, state) = (host.path("back"), host.path("state"));
        [&back, &state].into_iter().for_each(|path| fs::create_dir(path).expect("mkdir in our own directory"));
        let daemon = Command::new("bindfs").arg("-f").args([&back, &state]).spawn().expect("bindfs is installed: make deps");
        let is_mounted = || host.mountinfo().lines().any(|line| line.contains(&format!(" {} ", state.display())));
        wait_until("the state directory to be mounted", SHORT, is_mounted);
        Self(daemon)
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id().cast_signed()), signal).expect("it lives");
    }

    fn unmount(mut self, host: &Host) {
        umount2(&host.path("state"), MntFlags::MNT_DETACH).expect("it is mounted");
        self.0.wait().expect("it ends with its mount");
        fs::remove_dir(host.path("state")).expect("it is empty below the mount");
    }
}

/// A vassal whose app has started, beside that disk.
fn begin(host: &Host) -> (Disk, Reporter, Rc<Emperor>) {
    let disk = Disk::mount(host);
    let reporter = Reporter::new(host, "app");
    let emperor = host.emperor().start();
    emperor.write("app.ini", &reporter.vassal(""));
    let _started = reporter.started(1);
    (disk, reporter, emperor)
}

/// The disk can be unmounted only once the daemon has gone.
fn end(host: &Host, disk: Disk, emperor: &Emperor) {
    emperor.remove("app.ini");
    wait_until("its end", LONG, || emperor.vassals().is_empty());
    emperor.signal(Signal::SIGTERM);
    emperor.wait_exit(LONG);
    disk.unmount(host);
}

fn said(emperor: &Emperor, pattern: &str) -> usize {
    emperor.log().iter().filter(|line| line.contains(pattern)).count()
}

#[test]
fn a_state_disk_that_hangs_costs_no_answer() {
    story(|host| {
        let (disk, reporter, emperor) = begin(host);
        emperor.vassal("reports/app").process("report").kill(Signal::SIGKILL);
        let _again = reporter.started(2);
        let record = host.path("state/deaths/app.ini.json");
        wait_until("the record", SHORT, || fs::read_to_string(&record).is_ok_and(|text| text.contains("SIGKILL")));
        assert!(emperor.ask_well(&["status", "app.ini"]).contains("last ends"));

        disk.signal(Signal::SIGSTOP);
        emperor.vassal("reports/app").init.kill(Signal::SIGKILL);
        let _again = reporter.started(3);
        // The app says that it has started before the daemon knows.
        wait_until("all but the records to be told", SHORT, || {
            let told = emperor.ask_well(&["status", "app.ini"]);
            told.contains("running") && told.contains("does not answer")
        });
        assert!(emperor.ask_well(&["status", "app.ini"]).contains("does not answer"), "again");
        assert_eq!(said(&emperor, "the state directory (emperor-state-dir) does not answer"), 1);

        disk.signal(Signal::SIGCONT);
        emperor.wait_log("answers again");
        wait_until("both ends", LONG, || {
            let told = emperor.ask_well(&["status", "app.ini"]);
            told.contains("signal") && told.contains("init_killed") && !told.contains("does not answer")
        });
        end(host, disk, &emperor);
    });
}

/// Also where no status is asked for.
#[test]
fn a_state_disk_that_hangs_is_told_of() {
    story(|host| {
        let (disk, reporter, emperor) = begin(host);
        disk.signal(Signal::SIGSTOP);
        emperor.vassal("reports/app").process("report").kill(Signal::SIGKILL);
        let _again = reporter.started(2);
        emperor.wait_log("the state directory (emperor-state-dir) does not answer");
        disk.signal(Signal::SIGCONT);
        emperor.wait_log("answers again");
        end(host, disk, &emperor);
    });
}
