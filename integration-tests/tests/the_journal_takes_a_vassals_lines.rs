//! `vassal-log = journald`: a real journald has the lines, under the vassal's name; where there is none, that is said and the vassal
//! runs.

use std::fs;
use std::process::{Child, Command, Stdio};

use liege_integration_tests::{Host, LONG, story, wait_for, wait_until};
use nix::mount::{MsFlags, mount};

const JOURNALD: &str = "/lib/systemd/systemd-journald";
const TEXT: &str = "[vassal]\ncommand = sh -c 'echo to the journal; exec sleep infinity'\nvassal-log = journald\nuid = root\n\
                    hook-as-root = exec:echo from a hook\n";

/// A journal of the story's own: nobody outside of its mounts sees it.
struct Journal<'h> {
    host: &'h Host,
    child: Child,
}

impl<'h> Journal<'h> {
    fn start(host: &'h Host) -> Self {
        let there = |path: &str| fs::metadata(path).is_ok();
        assert!(there(JOURNALD) && there("/etc/machine-id"), "no {JOURNALD}, or no /etc/machine-id: make deps");
        empty("/run/systemd");
        empty("/run/log");
        fs::create_dir_all("/run/log/journal").expect("a fresh directory");
        let output = fs::File::create(host.path("journald.log")).expect("our own directory");
        let child = Command::new(JOURNALD).stdin(Stdio::null()).stdout(output.try_clone().expect("fd")).stderr(output).spawn();
        let journal = Self { host, child: child.expect("journald starts") };
        wait_until("journald to listen", LONG, || there("/run/systemd/journal/stdout"));
        journal
    }

    fn lines_of(&self, identifier: &str) -> Vec<String> {
        let journalctl = ["-D", "/run/log/journal", "-t", identifier, "-o", "cat", "--no-pager", "-q"];
        let output = Command::new("journalctl").args(journalctl).output().expect("journalctl runs");
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    }
}

impl Drop for Journal<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("journald: {}", fs::read_to_string(self.host.path("journald.log")).unwrap_or_default());
        }
        for path in ["/run/log", "/run/systemd"] {
            let _ = nix::mount::umount2(path, nix::mount::MntFlags::MNT_DETACH);
        }
    }
}

fn empty(path: &str) {
    fs::create_dir_all(path).expect("mkdir in /run");
    mount(Some("none"), path, Some("tmpfs"), MsFlags::empty(), None::<&str>).expect("mount in a namespace of our own");
}

#[test]
fn a_journal_has_them_under_the_vassals_name() {
    story(|host| {
        let journal = Journal::start(host);
        let emperor = host.emperor().start();
        emperor.write("v.ini", TEXT);
        let lines =
            wait_for("both lines in the journal", LONG, || Some(journal.lines_of("v.ini")).filter(|lines| lines.len() >= 2));
        assert_eq!(lines, ["as-root: from a hook", "app: to the journal"]);
        assert!(!emperor.logs.join("v.ini").exists(), "and no file");
        emperor.put_to_rest();
        drop(journal);
    });
}

#[test]
fn without_one_the_vassal_runs_and_says_so() {
    story(|host| {
        empty("/run/systemd");
        let emperor = host.emperor().start();
        emperor.write("v.ini", TEXT);
        emperor.wait_log_from(
            0,
            &["WARN", "v.ini", "/run/systemd/journal/stdout", "No such file", "is dropped until it can be had"],
        );
        emperor.wait_log("v.ini: started");
        emperor.put_to_rest();
        nix::mount::umount2("/run/systemd", nix::mount::MntFlags::MNT_DETACH).expect("our own mount");
    });
}
