//! A vassal that fails is tried again at once the first time, then ever later; a failing, a hanging and a bad one delay nobody else.

use std::fs;
use std::time::Instant;

use liege_integration_tests::apps::Reporter;
use liege_integration_tests::{LONG, story, wait_until};

#[test]
fn the_delays_grow() {
    story(|host| {
        let times = host.open_dir("times").join("fails");
        let script = host.path("fails.sh");
        fs::write(&script, format!("date +%s%3N >> {}\nexit 1\n", times.display())).unwrap();
        let emperor = host.emperor().arg("--emperor-throttle").arg("400").start();
        emperor.write("fails.ini", &format!("[vassal]\ncommand = /bin/sh {}\nuid = root\n", script.display()));

        let starts =
            || -> Vec<i64> { fs::read_to_string(&times).unwrap_or_default().lines().filter_map(|l| l.parse().ok()).collect() };
        wait_until("five starts", LONG, || starts().len() >= 5);
        let gaps: Vec<i64> = starts().windows(2).map(|pair| pair[1] - pair[0]).take(4).collect();
        assert!(gaps[0] < 350, "the first is at once: {gaps:?}");
        for (gap, least) in gaps[1..].iter().zip([400, 800, 1600]) {
            assert!((least - 20..least + 700).contains(gap), "the delays double from 400 ms: {gaps:?}");
        }
    });
}

#[test]
fn nobody_waits_for_the_one_that_fails_or_hangs() {
    story(|host| {
        let pids = host.open_dir("pids");
        let stubborn = host.helper("stubborn");
        let emperor = host.emperor().arg("--emperor-max-starts").arg("2").start();
        for number in 0..3 {
            emperor.write(&format!("fails{number}.ini"), "[vassal]\ncommand = /bin/false\nuid = root\n");
            emperor.write(&format!("bad{number}.ini"), "[vassal]\nuid = nobody-of-this-name\n");
        }
        // One hook that hangs takes one of the two places; the other must be enough for everybody else.
        emperor.write(
            "hangs.ini",
            &format!(
                "[vassal]\ncommand = /bin/true\nhook-pre-jail = exec:{} {}\nuid = root\n",
                stubborn.display(),
                pids.join("p").display()
            ),
        );
        wait_until("the hook to hang", LONG, || pids.join("p").exists());
        let worst = (0..5).map(|number| {
            let reporter = Reporter::new(host, &format!("good{number}"));
            let start = Instant::now();
            emperor.write(&format!("good{number}.ini"), &reporter.vassal(""));
            let _started = reporter.started(1);
            start.elapsed()
        });
        let worst = worst.max().unwrap();
        assert!(worst.as_millis() < 1000, "a good one took {worst:?}");
    });
}
