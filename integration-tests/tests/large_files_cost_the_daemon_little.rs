//! Files of tenants as large as a file may be, and larger, twenty at once: the daemon needs little memory to read them, and gives it
//! back. Small files beside them are read meanwhile.

use std::fs;

use liege_integration_tests::apps::Reporter;
use liege_integration_tests::{Emperor, LONG, story, wait_until};

/// Of a release build.
const MOST: u64 = 100 << 20;
const AFTERWARDS: u64 = 60 << 20;

/// A line of `/proc/PID/status`, in bytes.
fn memory(emperor: &Emperor, line: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", emperor.pid)).unwrap();
    let line = status.lines().find_map(|found| found.strip_prefix(line)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// A line for each key, each value of this length.
fn lines(head: &str, key: &str, length: usize) -> String {
    let value = "x".repeat(length);
    (0..9_000).fold(head.to_owned(), |text, at| text + &format!("{key}{at} = {value}\n"))
}

#[test]
fn large_files_cost_the_daemon_little() {
    story(|host| {
        let reporter = Reporter::new(host, "neighbour");
        let emperor = host.emperor().start();
        emperor.write("good.ini", &reporter.vassal("uid = root\n"));
        let _first = reporter.started(1);
        println!("before: {} MiB", memory(&emperor, "VmRSS:") >> 20);

        let kinds = [
            ("beyond", lines("[uwsgi]\n", "k", 400)),
            ("uwsgi", lines("[uwsgi]\n", "k", 100)),
            ("wrong", lines("[vassal]\ncommand = /bin/true\n", "k", 100)),
            ("endless", format!("[uwsgi]\na = %(k)\n{}", format!("k = {}\n", "%Y%%".repeat(3_000)).repeat(60))),
        ];
        for (kind, text) in &kinds {
            let mark = emperor.mark();
            (0..20).for_each(|at| emperor.write(&format!("{kind}{at}.ini"), text));
            let before = reporter.starts().len();
            emperor.touch("good.ini");
            wait_until("the neighbour's reload", LONG, || reporter.starts().len() > before);
            for at in 0..20 {
                emperor.wait_log_from(mark, &[&format!("{kind}{at}.ini"), "its file cannot be used"]);
            }
            println!("{kind}: {} MiB, at most {} MiB", memory(&emperor, "VmRSS:") >> 20, memory(&emperor, "VmHWM:") >> 20);
        }
        let most = memory(&emperor, "VmHWM:");
        assert!(most < MOST, "{} MiB", most >> 20);

        (0..20).for_each(|at| kinds.iter().for_each(|(kind, _)| emperor.remove(&format!("{kind}{at}.ini"))));
        wait_until("the memory to be given back", LONG, || memory(&emperor, "VmRSS:") < AFTERWARDS);
        println!("after: {} MiB", memory(&emperor, "VmRSS:") >> 20);
    });
}
