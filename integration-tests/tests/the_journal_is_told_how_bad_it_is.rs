//! Under systemd each line of the daemon's log begins with its priority, so that
//! `journalctl -p warning` shows what an operator must see.

use liege_integration_tests::story;

/// Names the daemon's stderr as the journal's stream, as systemd does.
const CONNECTED: &str = "export JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2); exec \"$@\"";

#[test]
fn each_line_begins_with_its_priority() {
    story(|host| {
        let emperor = host.emperor().under(&["sh", "-c", CONNECTED, "sh"]).start();
        emperor.write("bad.ini", "[vassal]\nuid = nosuchuser\n");
        emperor.wait_log("bad.ini: its file cannot be used");
        emperor.wait_log("nosuchuser");
        for line in emperor.log() {
            assert!(line.starts_with('<') && line.as_bytes().get(2) == Some(&b'>'), "{line}");
        }
        assert!(emperor.wait_log("the emperor is ready").starts_with("<6>"));
        assert!(emperor.wait_log("its file cannot be used").starts_with("<3>"));
        assert!(emperor.wait_log("uid = nosuchuser").starts_with("<3>"), "further lines of a message too");
    });
}

/// A stderr that was redirected since is no journal.
#[test]
fn another_stream_has_no_priorities() {
    story(|host| {
        let emperor = host.emperor().env("JOURNAL_STREAM", "1:1").start();
        assert!(!emperor.wait_log("the emperor is ready").starts_with('<'));
    });
}
