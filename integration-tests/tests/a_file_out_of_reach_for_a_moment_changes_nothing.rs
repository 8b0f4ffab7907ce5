//! A file whose way is barred for a moment is named, and when it can be read again nothing was changed: what runs is left alone.

use std::fs;
use std::os::unix::fs::symlink;

use liege_integration_tests::apps::Reporter;
use liege_integration_tests::tools::run_liege;
use liege_integration_tests::{LONG, story, wait_until};
use nix::sys::signal::Signal;

#[test]
fn a_file_out_of_reach_for_a_moment_changes_nothing() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        fs::create_dir(host.path("real")).unwrap();
        fs::write(host.path("real/v.ini"), reporter.vassal("")).unwrap();
        let way = host.path("way");
        symlink("real", &way).unwrap();
        let emperor = host.emperor().start();
        symlink(way.join("v.ini"), emperor.file("v.ini")).unwrap();
        let _first = reporter.started(1);

        // In circles: the file is there, and nobody can read it.
        fs::remove_file(&way).unwrap();
        symlink("way", &way).unwrap();
        emperor.signal(Signal::SIGWINCH);
        emperor.wait_log("v.ini: its file cannot be used");
        let words = ["status", "--json", "v.ini", "--control", emperor.control.to_str().unwrap()];
        let is_remembered = || run_liege(&words).1.contains("cannot be read");
        wait_until("the mistake to be shown", LONG, is_remembered);

        fs::remove_file(&way).unwrap();
        symlink("real", &way).unwrap();
        emperor.signal(Signal::SIGWINCH);
        wait_until("the mistake to be forgotten", LONG, || !is_remembered());
        assert_eq!(reporter.starts().len(), 1, "it was neither touched nor changed");
        assert!(emperor.log().iter().all(|line| !line.contains("reloading") && !line.contains("rebuilding")));
    });
}
