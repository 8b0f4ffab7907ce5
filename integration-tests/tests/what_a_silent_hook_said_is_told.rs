//! A hook that was to mount something may fail without a word to its caller: behind `|| true`, with status 0, or in the background,
//! after its step has ended. Then what the hooks of the vassal said last is told with the mount that is missing.

use std::fs;

use liege_integration_tests::apps::{USER, own};
use liege_integration_tests::scrape::{ANY_PORT, Listener};
use liege_integration_tests::{Emperor, Host, LONG, story, wait_until};

const TIMES: &str = "mountpoint-check-interval = 0.2\nmountpoint-check-timeout = 2\n";

/// A vassal with this hook, whose mount point is `m`.
fn vassal(host: &Host, name: &str, hook: &str, more: &str) -> String {
    let point = host.path(name);
    fs::create_dir(&point).unwrap();
    own(&point);
    let (hook, point) = (hook.replace("POINT", &point.to_string_lossy()), point.display());
    format!(
        "[vassal]\nuid = {USER}\ngid = {USER}\ncommand = sleep 1000\nexec-as-user = {hook}\nmountpoint-check = {point}\n{TIMES}{more}\n"
    )
}

fn is_told(emperor: &Emperor, name: &str, said: &str) {
    let what = format!("nothing is mounted there, the directory answers; its hooks said last: \"{said}");
    emperor.wait_log_from(0, &[name, " is not_mounted: ", &what]);
    for view in [&["status", name][..], &["events"]] {
        wait_until(&format!("{view:?} to quote {name}"), LONG, || emperor.ask(view).1.contains(&what));
    }
}

#[test]
fn a_hook_that_fails_in_silence_is_quoted() {
    story(|host| {
        let emperor = host.emperor().start();
        let zip = "fuse-zip -r /nosuch.zip POINT";
        emperor.write("true.ini", &vassal(host, "true", &format!("{zip} || true"), ""));
        is_told(&emperor, "true.ini", "fuse-zip: cannot open ZIP archive");
        emperor.write("zero.ini", &vassal(host, "zero", "echo no archive to mount on POINT >&2; exit 0", ""));
        is_told(&emperor, "zero.ini", "no archive to mount on ");
        // It is told once.
        let lines = emperor.log().iter().filter(|line| line.contains("zero.ini") && line.contains("is not_mounted")).count();
        assert_eq!(lines, 1);
    });
}

#[test]
fn a_hook_that_fails_after_its_step_is_quoted() {
    story(|host| {
        let emperor = host.emperor().start();
        let told = host.path("told");
        let hook = format!("(until [ -e {} ]; do sleep 0.05; done; echo no archive to mount on POINT >&2) &", told.display());
        emperor.write("v.ini", &vassal(host, "later", &hook, "mountpoint-check-timeout = 60"));
        emperor.wait_log_from(0, &["v.ini", " is not_mounted: nothing is mounted there"]);
        fs::write(&told, "").unwrap();
        is_told(&emperor, "v.ini", "no archive to mount on ");
    });
}

#[test]
fn a_mount_that_must_be_there_ends_the_run_with_the_words_of_the_hooks() {
    story(|host| {
        let emperor = host.emperor().start();
        let hook = "fuse-zip -r /nosuch.zip POINT || true";
        emperor.write("v.ini", &vassal(host, "required", hook, "mountpoint-check-required = true"));
        let line = emperor.wait_cause(0, "v.ini", "mountpoint_missing");
        let told = ": its hooks said last: \"fuse-zip: cannot open ZIP archive";
        assert!(line.contains(told), "{line}");
        for view in [&["status"][..], &["status", "v.ini"], &["events"]] {
            wait_until(&format!("{view:?} to quote the hook"), LONG, || emperor.ask(view).1.contains(told));
        }
    });
}

/// The page is shown without a question for the reader's name.
#[test]
fn what_a_hook_said_is_not_on_the_page() {
    story(|host| {
        let emperor = host.emperor().arg("--emperor-metrics").arg(ANY_PORT).start();
        let daemon = Listener::of(&emperor);
        let hook = "sshfs -o password=S3cret nosuch.invalid: POINT || true";
        emperor.write("v.ini", &vassal(host, "secret", hook, "mountpoint-check-required = true"));
        let line = emperor.wait_cause(0, "v.ini", "mountpoint_missing");
        assert!(line.contains("S3cret"), "the log tells it: {line}");
        let shown = || daemon.look().to_string();
        wait_until("the page to tell of the end", LONG, || shown().matches("nothing is mounted at ").count() >= 2);
        let told = [shown(), daemon.text()].concat();
        for hidden in ["S3cret", "password", "v.ini:", "mountpoint-check"] {
            assert!(!told.contains(hidden), "{hidden}: {told}");
        }
    });
}
