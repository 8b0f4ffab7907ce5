//! A file with a mistake from its first reading on has no vassal, and is down all the same: `liege_vassal_up` says so.

use liege_integration_tests::scrape::{ANY_PORT, Listener};
use liege_integration_tests::{LONG, story};

#[test]
fn a_file_that_never_was_good_is_down() {
    story(|host| {
        let emperor = host.emperor().arg("--emperor-metrics").arg(ANY_PORT).start();
        let daemon = Listener::of(&emperor);
        emperor.write("bad.ini", "[vassal]\nuid = no-such-user\ncommand = /bin/sleep 100000\n");
        let of = |family: &str| format!("{family}{{vassal=\"bad.ini\"}}");
        daemon.wait_value(&of("liege_vassal_config_error"), LONG, |value| value == 1.0);
        for family in ["liege_vassal_up", "liege_vassal_ready"] {
            assert_eq!(daemon.value(&of(family)), Some(0.0), "{family}");
        }
        emperor.write("bad.ini", "[vassal]\nuid = root\ncommand = /bin/sleep 100000\n");
        daemon.wait_value(&of("liege_vassal_up"), LONG, |value| value == 1.0);
        assert_eq!(daemon.text().lines().filter(|line| line.starts_with(&of("liege_vassal_up"))).count(), 1);
    });
}
