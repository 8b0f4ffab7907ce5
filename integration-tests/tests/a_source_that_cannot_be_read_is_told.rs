//! `emperor = DIR` of which there is nothing: that no vassal runs is no health. It is told in every view, and the directory is taken when
//! it appears.

use std::fs;

use liege_integration_tests::scrape::{ANY_PORT, Listener};
use liege_integration_tests::{LONG, story, wait_until};

#[test]
fn a_source_that_cannot_be_read_is_told() {
    story(|host| {
        let missing = host.path("not/yet/there");
        let emperor = host.emperor().arg("--emperor").arg(&missing).arg("--emperor-metrics").arg(ANY_PORT).start();
        let daemon = Listener::of(&emperor);
        let series = format!("liege_directory_unreadable{{directory=\"{}\"}}", missing.display());
        daemon.wait_value(&series, LONG, |value| value == 1.0);
        let line = emperor.wait_log("not/yet/there is missing");
        assert!(line.contains("ERROR"), "{line}");
        let told = format!("{} is missing", missing.display());
        assert!(emperor.ask_well(&["status"]).contains(&told));
        assert!(emperor.ask_well(&["events"]).contains(&told));
        fs::create_dir_all(&missing).unwrap();
        fs::write(missing.join("v.ini"), "[vassal]\nuid = root\ncommand = /bin/sleep 100000\n").unwrap();
        wait_until("its vassal to run", LONG, || emperor.vassals().len() == 1);
        emperor.wait_log("can be read");
        wait_until("the series to end", LONG, || daemon.value(&series).is_none());
        assert!(!emperor.ask_well(&["status"]).contains("is missing"));
        fs::remove_file(missing.join("v.ini")).unwrap();
        wait_until("it to go with its file", LONG, || emperor.vassals().is_empty());
    });
}
