//! `liege doctor`: content with a machine on which the stories run, and exact about one on which something was broken on purpose.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output};

use liege_integration_tests::tools::{PATH, liege};
use liege_integration_tests::{Host, story};
use serde_json::Value;

/// What a run said, and its exit code.
fn report(output: &Output) -> (Option<i32>, Value) {
    let said = String::from_utf8_lossy(&output.stdout);
    let report = serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {said}{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), report)
}

/// `liege doctor --json`, with a control socket of this story's.
fn doctor(program: &Path, control: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["doctor", "--json", "--control"]).arg(control).env_clear().env("PATH", PATH);
    command
}

fn finding<'a>(report: &'a Value, subject: &str, name: &str) -> &'a Value {
    let findings = report["findings"].as_array().expect("a list");
    let found = findings.iter().find(|finding| finding["subject"] == subject && finding["name"] == name);
    found.unwrap_or_else(|| panic!("nothing is said of {subject} {name}: {report:#}"))
}

fn status<'a>(report: &'a Value, subject: &str, name: &str) -> &'a str {
    finding(report, subject, name)["status"].as_str().expect("a word")
}

/// liege and its init, where a user may execute them.
fn copied(host: &Host) -> std::path::PathBuf {
    let bin = host.open_dir("bin");
    for name in ["liege", "liege-init"] {
        fs::copy(liege().with_file_name(name), bin.join(name)).expect("both lie in the build directory");
    }
    bin.join("liege")
}

#[test]
fn a_machine_that_runs_stories_is_well() {
    story(|host| {
        let (code, report) = report(&doctor(&liege(), &host.path("run/control.sock")).output().unwrap());
        assert_eq!((code, &report["can_run"], &report["version"]), (Some(0), &true.into(), &1.into()), "{report:#}");
        for (subject, name) in [
            ("kernel", "clone3"),
            ("kernel", "pidfd"),
            ("kernel", "inotify"),
            ("rights", "root"),
            ("namespaces", "user"),
            ("fuse", "/dev/fuse"),
            ("fuse", "/dev/fuse, by users"),
            ("fuse", "fusectl"),
            ("uwsgi", "program"),
            ("uwsgi", "plugins"),
            ("liege-init", "program"),
            ("liege-init", "static"),
            ("daemon", "state directory"),
            ("daemon", "control socket"),
        ] {
            assert_eq!(status(&report, subject, name), "ok", "{subject} {name}: {report:#}");
        }
        assert!(report["room"]["vassals"].as_u64().is_some_and(|vassals| vassals > 0), "{report:#}");
        for finding in report["findings"].as_array().unwrap() {
            let bad = finding["status"] == "missing" || finding["status"] == "degraded";
            assert!(!bad || finding["cost"].is_string() && finding["remedy"].is_string(), "no cost or remedy: {finding:#}");
        }
        assert!(!host.path("run").exists(), "looking makes nothing");
    });
}

#[test]
fn a_daemon_is_found_and_left_alone() {
    story(|host| {
        let emperor = host.emperor().start();
        let (code, report) =
            report(&doctor(&liege(), &emperor.control).arg("--state-dir").arg(host.path("state")).output().unwrap());
        let holder = finding(&report, "daemon", "state directory")["found"].as_str().unwrap().to_owned();
        assert!(code == Some(0) && holder.contains(&format!("pid {}", emperor.pid)), "{holder}");
        let answer = finding(&report, "daemon", "control socket")["found"].as_str().unwrap().to_owned();
        assert!(answer.contains("a daemon of 0 vassals answers"), "{answer}");
    });
}

#[test]
fn a_hidden_device_and_a_lost_helper_are_named() {
    story(|host| {
        let control = host.path("run/control.sock");
        let bare = host.open_dir("bare"); // a PATH with nothing in it
        let script = "mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && PATH=$BARE && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script, "sh"]).arg(liege()).args(["doctor", "--control"]).arg(&control);
        command.env_clear().env("PATH", PATH).env("BARE", &bare);
        let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
        for lines in [
            "  missing   /dev/fuse            No such file or directory (os error 2)\n",
            "=> mknod -m 0666 /dev/fuse c 10 229",
            "neither fusermount3 nor fusermount is in PATH\n",
            "users cannot mount: exec-as-user hooks with FUSE programs fail\n",
            "=> apt install fuse3\n",
            "no uwsgi is in PATH\n",
        ] {
            assert!(said.contains(lines), "{lines}\n{said}");
        }
        assert!(said.contains("liege can run here; "), "vassals without FUSE and uwsgi still run: {said}");

        let (code, report) = report(&command.arg("--json").output().unwrap());
        assert_eq!(code, Some(0));
        assert_eq!((status(&report, "fuse", "/dev/fuse"), status(&report, "fuse", "fusermount")), ("missing", "missing"));
    });
}

#[test]
fn half_an_installation_cannot_run() {
    story(|host| {
        let program = copied(host);
        let init = program.with_file_name("liege-init");
        fs::remove_file(&init).unwrap();
        let (code, without) = report(&doctor(&program, &host.path("run/control.sock")).output().unwrap());
        assert_eq!((code, &without["can_run"]), (Some(1), &false.into()));
        assert_eq!(finding(&without, "liege-init", "program")["vital"], true);

        fs::copy("/bin/true", &init).unwrap();
        let (code, linked) = report(&doctor(&program, &host.path("run/control.sock")).output().unwrap());
        assert_eq!((code, status(&linked, "liege-init", "static")), (Some(0), "degraded"));
    });
}

#[test]
fn a_user_is_told_what_could_not_be_looked_at() {
    story(|host| {
        let program = copied(host);
        let mut command = doctor(&program, &host.path("run/control.sock"));
        let (code, report) = report(&command.uid(65534).gid(65534).output().unwrap());
        assert_eq!(code, Some(0), "{report:#}");
        for (subject, name) in [("kernel", "clone3"), ("rights", "root"), ("fuse", "fusectl"), ("kernel", "mount_setattr")] {
            assert_eq!(status(&report, subject, name), "unknown", "{subject} {name}: {report:#}");
        }
        assert_eq!(status(&report, "fuse", "/dev/fuse, by users"), "ok");
    });
}

#[test]
fn rights_that_were_taken_away_are_missed() {
    story(|host| {
        let control = host.path("run/control.sock");
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set=-sys_admin", "--no-new-privs"]).arg(liege()).args(["doctor", "--json", "--control"]);
        let (code, report) = report(&command.arg(&control).env("PATH", PATH).output().unwrap());
        assert_eq!((code, &report["can_run"]), (Some(1), &false.into()), "{report:#}");
        assert_eq!(finding(&report, "rights", "capabilities")["found"], "root lacks sys_admin");
        assert_eq!(status(&report, "kernel", "clone3"), "missing");
        assert_eq!(status(&report, "rights", "new privileges"), "missing");
    });
}
