//! An attached daemon serves a mount, and its line is more than its program: a shell stands around it, or other programs beside it. Nothing
//! waits for those before the mount goes, nothing starts the daemon anew meanwhile, and the end takes as long as without them.

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use liege_integration_tests::archive::Archive;
use liege_integration_tests::tools::need;
use liege_integration_tests::wait::bar;
use liege_integration_tests::{Emperor, Host, LONG, story, wait_until};

const NAMESPACES: [Option<&str>; 2] = [Some("fs,pid"), None];
/// With what is saved in it. The whole time of an end is 30 s.
const SOON: Duration = Duration::from_secs(15);

/// A vassal whose archive is served inside of a line such as this, where SERVE stands for the daemon and LOG for a file.
struct Wrapped {
    archive: Archive,
    starts: PathBuf,
    text: String,
}

impl Wrapped {
    fn new(host: &Host, line: &str) -> Self {
        need("unzip");
        let archive = Archive::new(host, "app");
        let marks = host.open_dir("marks");
        let [starts, log] = ["starts", "log"].map(|name| marks.join(name));
        let serve = format!("fuse-zip -f {} {}", archive.zip.display(), archive.mount.display());
        let line =
            line.replace("SERVE", &serve).replace("STARTS", &starts.to_string_lossy()).replace("LOG", &log.to_string_lossy());
        let command = archive.command("exec sleep 1001");
        let text = format!("[vassal]\n{}attach-daemon = {line}\n{command}", archive.identity());
        Self { archive, starts, text }
    }

    fn runs(&self, host: &Host, namespaces: Option<&str>) -> Rc<Emperor> {
        let emperor = host.emperor().namespaces(namespaces).start();
        emperor.write("v.ini", &self.text);
        self.archive.written(1);
        emperor
    }
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

/// Each kind of end, under each kind of namespaces, takes no longer than its saving.
fn costs_nothing(line: &str) {
    for namespaces in NAMESPACES {
        story(|host| {
            let wrapped = Wrapped::new(host, line);
            let emperor = wrapped.runs(host, namespaces);
            let start = Instant::now();
            emperor.ask_well(&["stop", "v"]);
            wait_until("the vassal to be down", LONG, || emperor.vassals().is_empty());
            let took = start.elapsed();
            wrapped.archive.assert_saved(&emperor, namespaces);
            assert!(took < bar(SOON), "{namespaces:?}: {line}: {took:?}");
            println!("{namespaces:?}: {line}: {took:.1?}");
            assert!(lines(&wrapped.starts) <= 1, "{namespaces:?}: it was started anew");
        });
    }
}

#[test]
fn a_plain_line() {
    costs_nothing("SERVE; true");
}

#[test]
fn a_directory_first() {
    costs_nothing("cd / && SERVE && true");
}

#[test]
fn its_output_in_a_file() {
    costs_nothing("SERVE > LOG 2>&1; true");
}

#[test]
fn its_output_through_another_program() {
    costs_nothing("SERVE 2>&1 | tee LOG");
}

#[test]
fn a_loop_that_starts_it_again() {
    costs_nothing("while true; do echo x >> STARTS; SERVE; done");
}

#[test]
fn a_loop_that_starts_it_again_and_hears_what_it_says() {
    costs_nothing("while true; do echo x >> STARTS; SERVE; done 2>&1 | tee LOG");
}

/// Its trap is run when its child has ended.
#[test]
fn a_loop_that_has_a_handler() {
    costs_nothing("trap \"exit 0\" TERM; while true; do echo x >> STARTS; SERVE; done");
}

#[test]
fn another_shell() {
    costs_nothing("bash -c \"SERVE; true\"");
}

#[test]
fn a_session_of_its_own() {
    costs_nothing("setsid -w SERVE; true");
}

/// A supervisor that reads from its daemon is not stopped, and may start it anew. What that one has mounted goes too.
#[test]
fn a_supervisor_that_reads_from_its_daemon() {
    for namespaces in NAMESPACES {
        story(|host| {
            let reads = "bash -c \"while true; do echo x >> STARTS; said=`SERVE`; done\"";
            let wrapped = Wrapped::new(host, reads);
            let emperor = wrapped.runs(host, namespaces);
            let start = Instant::now();
            emperor.ask_well(&["stop", "v"]);
            wait_until("the vassal to be down", LONG, || emperor.vassals().is_empty());
            wrapped.archive.assert_saved(&emperor, namespaces);
            assert!(start.elapsed() < bar(SOON), "{namespaces:?}: {:?}", start.elapsed());
            let table = fs::read_to_string("/proc/self/mountinfo").expect("a process has a mount table");
            assert!(!table.contains(&*wrapped.archive.mount.to_string_lossy()), "{namespaces:?}: a mount is left\n{table}");
        });
    }
}

#[test]
fn the_death_of_the_app() {
    for namespaces in NAMESPACES {
        story(|host| {
            let wrapped = Wrapped::new(host, "SERVE 2>&1 | tee LOG");
            let emperor = wrapped.runs(host, namespaces);
            let start = Instant::now();
            emperor.vassal("sleep 1001").process("sleep").kill(nix::sys::signal::Signal::SIGKILL);
            wrapped.archive.written(2);
            let took = start.elapsed();
            wrapped.archive.assert_saved(&emperor, namespaces);
            assert!(took < bar(SOON), "{namespaces:?}: {took:?}");
        });
    }
}
