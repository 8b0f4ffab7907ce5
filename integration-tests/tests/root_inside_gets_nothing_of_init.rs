//! Root inside a vassal with a user namespace, or with bounded capabilities, reads nothing of its init, takes none of its descriptors, and
//! changes no file of the host through `/proc`: neither the program init runs, nor what a hook was given as its own.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use liege_integration_tests::apps::{Reporter, USER};
use liege_integration_tests::tools::liege;
use liege_integration_tests::{Emperor, Host, LONG, story, wait_until};

/// All that a stranger could have changed of a file: mode, owner, links, length and time of its content.
fn state(path: &Path) -> (u32, u32, u64, u64, i64, i64) {
    let meta = fs::symlink_metadata(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    (meta.mode(), meta.uid(), meta.nlink(), meta.len(), meta.mtime(), meta.ctime())
}

fn init_program() -> PathBuf {
    liege().with_file_name("liege-init")
}

/// What the prowler got in a vassal of this daemon; `as_root` hooks run it as the first life's last step.
fn prowl(host: &Host, emperor: &Emperor, name: &str) -> Vec<String> {
    let reporter = Reporter::new(host, name);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("hostile/prowl.pl");
    let report = host.open_dir("prowled").join(name);
    let lines = format!("uid = {USER}\ngid = {USER}\nexec-as-root = perl {} $PPID {}\n", script.display(), report.display());
    let files = [init_program(), liege(), PathBuf::from("/dev/null")];
    let before = files.each_ref().map(|file| state(file));
    emperor.write(&format!("{name}.ini"), &reporter.vassal(&lines));
    wait_until("the prowler to be done", LONG, || report.exists());
    let after = files.each_ref().map(|file| state(file));
    if before != after {
        // Others on this machine need it as it was.
        fs::set_permissions("/dev/null", std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    }
    assert_eq!((before, name), (after, name), "mode, owner, links, length and times of {files:?}");
    let _started = reporter.started(1);
    let lines: Vec<String> = fs::read_to_string(&report).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(lines.last().map(String::as_str), Some("done"));
    lines
}

fn assert_shut_out(lines: &[String]) {
    let got_in: Vec<&String> = lines.iter().filter(|line| line.ends_with("got in") && !line.starts_with("own fd")).collect();
    assert!(got_in.is_empty(), "root inside got in: {got_in:?}");
    for attempt in ["readlink exe", "chmod exe", "open mem", "open environ", "take fd 3", "trace", "read memory"] {
        assert!(lines.iter().any(|line| line.starts_with(attempt)), "{attempt} was not tried: {lines:?}");
    }
}

#[test]
fn in_a_user_namespace() {
    story(|host| {
        let emperor = host.emperor().namespaces(Some("fs,pid,user")).start();
        assert_shut_out(&prowl(host, &emperor, "shut"));
    });
}

#[test]
fn in_a_user_namespace_that_shares_the_hosts_pids() {
    story(|host| {
        let emperor = host.emperor().namespaces(Some("fs,user")).start();
        assert_shut_out(&prowl(host, &emperor, "seeing"));
    });
}

#[test]
fn with_bounded_capabilities() {
    story(|host| {
        // Nobody's program may look into another one of the same uid that holds no more than it does, if that one lets it.
        let emperor = host.emperor().arg("--emperor-cap").arg("setuid,setgid,kill,dac_read_search").start();
        assert_shut_out(&prowl(host, &emperor, "bounded"));
    });
}
