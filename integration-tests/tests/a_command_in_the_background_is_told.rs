//! A command that puts itself into the background ends with status 0, and what it has left behind ends with its vassal. So it fails
//! over and over; the reason and what helps against it are told.

use liege_integration_tests::{LONG, story, wait_until};

#[test]
fn a_command_in_the_background_is_told() {
    story(|host| {
        let emperor = host.emperor().start();
        emperor.write("v.ini", "[vassal]\nuid = root\ncommand = /bin/sh -c 'setsid sleep 100000 & sleep 0.3; exit 0'\n");
        let line = emperor.wait_log("went into the background");
        assert!(line.contains("left sleep behind") && line.contains("foreground"), "{line}");
        for view in [&["status"][..], &["status", "v.ini"]] {
            wait_until(&format!("{view:?} to tell"), LONG, || emperor.ask(view).1.contains("went into the background"));
        }
        // One that only ends is none.
        let mark = emperor.mark();
        emperor.write("v.ini", "[vassal]\nuid = root\ncommand = /bin/true\n");
        let line = emperor.wait_cause(mark, "v.ini", "exit");
        assert!(line.contains("exited with status 0") && !line.contains("background"), "{line}");
    });
}
