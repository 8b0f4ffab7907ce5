//! `LimitFSIZE=`, `ulimit -f`: a log file that has reached the limit takes no more lines. The daemon and its vassals live on.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use liege_integration_tests::tools::run_liege;
use liege_integration_tests::{LONG, SHORT, story, wait_until};
use nix::sys::signal::Signal;

/// Above the size of both programs, of which the daemon makes copies.
const LIMIT: u64 = 64 << 20;

#[test]
fn a_limit_of_file_sizes_ends_no_daemon() {
    story(|host| {
        let log = host.path("daemon.log");
        fs::File::create(&log).and_then(|file| file.set_len(LIMIT)).expect("a sparse file");
        let full = format!("exec prlimit --fsize={LIMIT} \"$0\" \"$@\" 2>>{}", log.display());
        let emperor = host.emperor().under(&["sh", "-c", &full]).start_unheard();
        wait_until("the control socket", LONG, || emperor.control.exists());
        emperor.write("v.ini", "[vassal]\nuid = root\ncommand = sh -c 'grep size /proc/self/limits; exec sleep 1001'\n");
        let limit = LIMIT.to_string();
        wait_until("its app to run, with the same limit", LONG, || said(&emperor.control).contains(&limit));
        emperor.signal(Signal::SIGTERM);
        assert!(emperor.wait_exit(SHORT).success());
        assert_eq!(fs::metadata(&log).expect("it is there").len(), LIMIT, "nothing was written");
    });
}

fn said(control: &Path) -> String {
    run_liege(&[OsStr::new("logs"), OsStr::new("--control"), control.as_os_str(), OsStr::new("v")]).1
}
