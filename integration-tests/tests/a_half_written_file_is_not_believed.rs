//! An edit of which only the beginning is there changes nothing of what runs: while its writer has the file open, and where it was cut before the
//! line that names the user.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;

use liege_integration_tests::apps::{USER, user};
use liege_integration_tests::{LONG, story, wait_for};

const COMMAND: &str = "command = sleep 1001\n";

#[test]
fn a_file_that_is_open_for_writing_is_read_when_it_is_closed() {
    story(|host| {
        let emperor = host.emperor().start();
        let text = format!("[vassal]\nuid = {USER}\ngid = {USER}\n{COMMAND}");
        emperor.write("v.ini", &text);
        emperor.wait_log("started");

        let path = emperor.watched.join("v.ini");
        let mut writer = fs::File::create(&path).expect("our own file");
        let mark = emperor.mark();
        writer.write_all(text.as_bytes()).expect("our own file");
        // Without an order there is nothing to wait for: that it waits shows in the answer to one.
        let refused = wait_for("the reason", LONG, || {
            let (status, said) = emperor.ask(&["reload", "v"]);
            (status != 0).then_some(said)
        });
        assert!(refused.contains("open for writing"), "{refused}");
        writer.write_all(b"no-new-privs = true\n").expect("our own file");
        drop(writer);
        emperor.wait_log_from(mark, &["reloaded"]);
        let lines = emperor.log();
        let reloads = lines[mark..].iter().filter(|line| line.contains("its file changed")).count();
        assert_eq!(reloads, 1, "{:#?}", &lines[mark..]);
    });
}

#[test]
fn an_app_of_a_users_does_not_become_roots_because_its_file_was_cut() {
    story(|host| {
        let emperor = host.emperor().start();
        let text = "[uwsgi]\nhttp-socket = 127.0.0.1:0\nmaster = true\n";
        emperor.write("v.ini", &format!("{text}uid = {USER}\ngid = {USER}\n"));
        emperor.wait_log("ready after");
        let mark = emperor.mark();
        emperor.write("v.ini", text);
        emperor.wait_log_from(mark, &["the uid that it had is gone"]);
        let (status, said) = emperor.ask(&["restart", "v"]);
        assert!(status != 0 && said.contains("uid"), "{said}");
        let app = emperor.vassal("v.ini").process("uwsgi");
        let found = fs::metadata(format!("/proc/{}", app.pid)).expect("it runs");
        assert_eq!(found.uid(), user().0.as_raw());

        emperor.write("v.ini", &format!("{text}uid = root\n"));
        emperor.wait_log_from(mark, &["rebuilding"]);
    });
}
