//! A vassal that forks without end costs the daemon a few words a second, and the death of its FUSE daemon is seen through the
//! storm: no probe but the one that is pushed would see it here.

use std::time::Instant;

use liege_integration_tests::apps::ZipApp;
use liege_integration_tests::{LONG, served, story};
use nix::sys::signal::Signal;

#[test]
fn a_fork_storm_hides_no_dead_mount() {
    story(|host| {
        let app = ZipApp::new(host, "app", "from the zip");
        let emperor = host.emperor().arg("--log").arg("info,vassal=debug").start();
        let began = Instant::now();
        let storm = "mountpoint-check-interval = 3600\nstop-timeout = 1\nexec-as-user = while :; do ( : & ); done &\n";
        emperor.write("app001.ini", &format!("{}{storm}", app.checked()));
        served(app.port, "from the zip", LONG);
        emperor.wait_log("more processes died");
        let mark = emperor.mark();
        emperor.vassal("app001.ini").process("fuse-zip").kill(Signal::SIGKILL);
        emperor.wait_cause(mark, "app001.ini", "mountpoint_dead");
        served(app.port, "from the zip", LONG);

        // Thirty-two words at once and fifty a second, for each of the two lives.
        let is_word = |line: &&String| line.contains("died that nobody") || line.contains("in its namespace exited");
        let words = emperor.log().iter().filter(is_word).count() as u128;
        let most = 2 * 33 + began.elapsed().as_millis() / 20;
        assert!(words <= most, "{words} words, at most {most}");
    });
}
