//! A hook that is killed has failed: uWSGI takes it for a success. The vassal is tried again, and the log names hook and place.

use liege_integration_tests::apps::Reporter;
use liege_integration_tests::story;
use nix::sys::signal::Signal;

#[test]
fn a_hook_killed_while_it_runs_is_named() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let hook = Reporter::new(host, "hook"); // reports, then waits: a hook that hangs
        let emperor = host.emperor().start();
        emperor.write("hooked.ini", &reporter.vassal(&format!("hook-pre-jail = exec:{}\n", hook.command())));
        let _running = hook.started(1);
        // The hook is the shell; what it waits for goes with the vassal.
        emperor.vassal("reports/hook").process("sh").kill(Signal::SIGKILL);

        let line = emperor.wait_cause(0, "hooked.ini", "hook_failed");
        assert!(line.contains("SIGKILL"), "the signal is named: {line}");
        assert!(line.contains("hooked.ini:3"), "the line that asked for it is named: {line}");
        let _again = hook.started(2); // it comes back
        assert!(reporter.starts().is_empty(), "the app never started behind a killed hook");
    });
}

#[test]
fn a_hook_that_hangs_is_ended_by_its_deadline() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let hook = host.helper("stubborn");
        let pid = host.open_dir("pids").join("hook");
        let emperor = host.emperor().start();
        emperor.write(
            "hangs.ini",
            &reporter.vassal(&format!("hook-timeout = 1\nhook-pre-jail = exec:{} {}\n", hook.display(), pid.display())),
        );
        let line = emperor.wait_cause(0, "hangs.ini", "hook_timeout");
        assert!(line.contains("hangs.ini:4"), "{line}");
        assert!(reporter.starts().is_empty());
    });
}

#[test]
fn a_hook_that_fails_is_named_with_its_status() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let emperor = host.emperor().start();
        emperor.write("fails.ini", &reporter.vassal("exec-pre-jail = exit 3\n"));
        let line = emperor.wait_cause(0, "fails.ini", "hook_failed");
        assert!(line.contains("status 3") && line.contains("fails.ini:3"), "{line}");
        assert!(reporter.starts().is_empty());
    });
}
