//! What a vassal's processes are worth to the kernel's OOM killer. The unit protects the daemon with
//! `OOMScoreAdjust=-500`; a vassal that inherited it would be spared when it leaks, and another
//! customer's process would die instead. (A score below 0 needs rights that a container may lack:
//! that part of the story is told by the guest of `make vm`, and for the plan by core's tests.)

use std::fs;
use std::path::Path;

use liege_integration_tests::apps::Reporter;
use liege_integration_tests::story;

fn score(pid: i32) -> String {
    let path = format!("/proc/{pid}/oom_score_adj");
    fs::read_to_string(path).expect("a living process").trim().to_owned()
}

fn written(path: &Path) -> String {
    fs::read_to_string(path).expect("the hook has run").trim().to_owned()
}

#[test]
fn the_file_says_what_it_is_worth() {
    story(|host| {
        let hook = host.open_dir("out").join("hook");
        let app = Reporter::new(host, "app");
        let emperor = host.emperor().start();
        let look = format!("hook-asap = exec:cat /proc/self/oom_score_adj > {}\n", hook.display());
        emperor.write("v.ini", &app.vassal(&format!("{look}oom-score-adjust = 200\n")));
        let _started = app.started(1);
        assert_eq!(written(&hook), "200", "hooks have it too");
        for process in emperor.vassal("reports/app").processes() {
            assert_eq!(score(process.pid), "200", "{process:?}");
        }

        // Another value is another jail, and the log names its line.
        let mark = emperor.mark();
        emperor.write("v.ini", &app.vassal(&format!("{look}oom-score-adjust = 300\n")));
        emperor.wait_log_from(mark, &["oom-score-adjust changed at", "v.ini:"]);
        let _started = app.started(2);
        assert_eq!(score(emperor.vassal("reports/app").process("report").pid), "300");
    });
}

/// A daemon that is to be killed first does not make its vassals safer than itself.
#[test]
fn a_daemon_that_is_taken_first_has_vassals_that_are_too() {
    story(|host| {
        let app = Reporter::new(host, "app");
        let emperor = host.emperor().under(&["choom", "-n", "300", "--"]).start();
        emperor.write("v.ini", &app.vassal(""));
        let _started = app.started(1);
        assert_eq!(score(emperor.pid()), "300");
        assert_eq!(score(emperor.vassal("reports/app").process("report").pid), "300");
    });
}
