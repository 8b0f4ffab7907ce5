//! The directory is not there when the daemon starts: it is awaited, and what lies in it when it comes is run.

use std::fs;

use liege_integration_tests::apps::Reporter;
use liege_integration_tests::{SHORT, story, wait_until};

#[test]
fn a_missing_directory_is_awaited() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let missing = host.path("not/yet/there");
        let emperor = host.emperor().arg("--emperor").arg(&missing).start();
        fs::create_dir_all(&missing).unwrap();
        fs::write(missing.join("v.ini"), reporter.vassal("")).unwrap();
        let _started = reporter.started(1);
        fs::remove_dir_all(host.path("not")).unwrap();
        wait_until("the vassal to go with its directory", SHORT, || emperor.vassals().is_empty());
    });
}
