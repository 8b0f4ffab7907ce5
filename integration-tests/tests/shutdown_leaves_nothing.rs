//! INT and TERM: every vassal is asked, the stubborn are killed after their `stop-timeout`, and the daemon ends with 0.

use liege_integration_tests::apps::{Reporter, ZipApp};
use liege_integration_tests::{LONG, SHORT, procs, served, story, wait_until};
use nix::sys::signal::Signal;

fn shutdown_by(signal: Signal) {
    story(move |host| {
        let (app, reporter) = (ZipApp::new(host, "app", "from the zip"), Reporter::new(host, "report"));
        let pid = host.open_dir("pids").join("stubborn");
        let emperor = host.emperor().start();
        emperor.write("app001.ini", &app.checked());
        emperor.write("report.ini", &reporter.vassal(""));
        emperor.write(
            "stubborn.ini",
            &format!(
                "[vassal]\ncommand = {} {}\nstop-timeout = 1\nuid = root\n",
                host.helper("stubborn").display(),
                pid.display()
            ),
        );
        emperor.write("fails.ini", "[vassal]\ncommand = /bin/false\nuid = root\n");
        emperor.write("bad.ini", "[vassal]\nuid = nobody-of-this-name\n");
        served(app.port, "from the zip", LONG);
        let _started = reporter.started(1);
        wait_until("the stubborn one", SHORT, || pid.exists());
        let below = procs::descendants(emperor.pid);

        emperor.signal(signal);
        let status = emperor.wait_exit(SHORT);
        assert_eq!(status.code(), Some(0), "{status}");
        assert!(below.iter().all(|process| !process.lives()), "{}", procs::describe(&below));
        emperor.assert_state_gone();
    });
}

#[test]
fn term_leaves_nothing() {
    shutdown_by(Signal::SIGTERM);
}

#[test]
fn int_leaves_nothing() {
    shutdown_by(Signal::SIGINT);
}

#[test]
fn a_shutdown_in_the_middle_of_a_start_leaves_nothing() {
    story(|host| {
        let hook = Reporter::new(host, "hook");
        let emperor = host.emperor().start();
        emperor.write("v.ini", &format!("[vassal]\ncommand = /bin/true\nhook-pre-jail = exec:{}\nuid = root\n", hook.command()));
        let _hanging = hook.started(1);
        emperor.signal(Signal::SIGTERM);
        assert_eq!(emperor.wait_exit(SHORT).code(), Some(0));
        emperor.assert_state_gone();
    });
}
