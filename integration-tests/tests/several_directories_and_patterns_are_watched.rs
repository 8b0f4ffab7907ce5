//! `emperor` repeated, as a directory and as a pattern.

use std::fs;

use liege_integration_tests::apps::Reporter;
use liege_integration_tests::{SHORT, story, wait_until};

#[test]
fn several_directories_and_patterns_are_watched() {
    story(|host| {
        let [one, two, three] = ["one", "two", "three"].map(|name| Reporter::new(host, name));
        for dir in ["second", "customers/a", "customers/b"] {
            fs::create_dir_all(host.path(dir)).unwrap();
        }
        let emperor = host
            .emperor()
            .arg("--emperor")
            .arg(host.path("second"))
            .arg("--emperor")
            .arg(host.path("customers/*/vassal.ini"))
            .start();
        emperor.write("one.ini", &one.vassal(""));
        fs::write(host.path("second/two.ini"), two.vassal("")).unwrap();
        fs::write(host.path("customers/a/vassal.ini"), three.vassal("")).unwrap();
        fs::write(host.path("customers/b/other.ini"), three.vassal("")).unwrap();
        let _all = (one.started(1), two.started(1), three.started(1));
        wait_until("three vassals", SHORT, || emperor.vassals().len() == 3);

        fs::remove_file(host.path("second/two.ini")).unwrap();
        fs::remove_file(host.path("customers/a/vassal.ini")).unwrap();
        wait_until("one vassal", SHORT, || emperor.vassals().len() == 1);
        assert_eq!(three.starts().len(), 1);
    });
}
