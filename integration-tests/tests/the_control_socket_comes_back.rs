//! The file of the control socket is removed. It is bound anew, which is told, and no vassal notices. What lies there instead is
//! left alone, at the daemon's end too.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use liege_integration_tests::apps::Reporter;
use liege_integration_tests::{LONG, SHORT, story, wait_until};

const OTHER: &str = "another's";

/// At once: there is no moment without anything.
fn put_instead(path: &Path) {
    let other = path.with_extension("other");
    fs::write(&other, OTHER).expect("a directory of the story's");
    fs::rename(&other, path).expect("the same");
}

#[test]
fn the_control_socket_comes_back() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let emperor = host.emperor().start();
        emperor.write("app.ini", &reporter.vassal(""));
        let _started = reporter.started(1);
        let mode = || fs::metadata(&emperor.control).map(|there| there.permissions().mode() & 0o7777).ok();
        let before = mode();
        for _ in 0..2 {
            let mark = emperor.mark();
            fs::remove_file(&emperor.control).expect("it is there");
            let told = emperor.wait_log_from(mark, &["control.sock", "was removed; it is bound anew"]);
            assert!(told.contains("WARN"), "{told}");
            wait_until("an answer", SHORT, || emperor.ask(&["status"]).0 == 0);
            assert_eq!(mode(), before);
        }

        let mark = emperor.mark();
        put_instead(&emperor.control);
        emperor.wait_log_from(mark, &["control.sock", "something else lies at its path"]);
        fs::remove_file(&emperor.control).expect("it was left alone");
        wait_until("an answer", LONG, || emperor.ask(&["status"]).0 == 0);
        assert_eq!(reporter.starts().len(), 1, "no vassal was started again");
    });
}

#[test]
fn what_lies_there_instead_is_left_alone_at_the_end() {
    story(|host| {
        let emperor = host.emperor().start();
        let mark = emperor.mark();
        put_instead(&emperor.control);
        emperor.wait_log_from(mark, &["something else lies at its path"]);
        emperor.signal(nix::sys::signal::Signal::SIGTERM);
        emperor.wait_exit(LONG);
        assert_eq!(fs::read_to_string(&emperor.control).ok().as_deref(), Some(OTHER));
        fs::remove_file(&emperor.control).expect("it was left alone");
    });
}
