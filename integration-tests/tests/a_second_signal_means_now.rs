//! The first TERM asks and gives a minute; the second one means now.

use std::time::Duration;

use liege_integration_tests::wait::holds_for;
use liege_integration_tests::{SHORT, story, wait_until};
use nix::sys::signal::Signal;

#[test]
fn a_second_signal_means_now() {
    story(|host| {
        let pid = host.open_dir("pids").join("stubborn");
        let emperor = host.emperor().start();
        emperor.write(
            "s.ini",
            &format!(
                "[vassal]\ncommand = {} {}\nstop-timeout = 60\nuid = root\n",
                host.helper("stubborn").display(),
                pid.display()
            ),
        );
        wait_until("the stubborn one", SHORT, || pid.exists());
        emperor.wait_log("started"); // one that the daemon does not know to run yet is killed at once
        emperor.signal(Signal::SIGTERM);
        holds_for("the first signal waits", Duration::from_millis(700), || emperor.ended().is_none());
        emperor.signal(Signal::SIGTERM);
        assert_eq!(emperor.wait_exit(Duration::from_secs(3)).code(), Some(0));
        emperor.assert_state_gone();
    });
}
