//! More changes than the kernel's queue holds, while the daemon cannot read: afterwards the end state equals the directory.

use std::fs;

use liege_integration_tests::apps::Reporter;
use liege_integration_tests::scrape::{ANY_PORT, Listener};
use liege_integration_tests::{LONG, story, wait_until};
use nix::sys::signal::Signal;

#[test]
fn an_inotify_overflow_loses_nothing() {
    story(|host| {
        let [kept, changed, removed, added] = ["kept", "changed", "removed", "added"].map(|name| Reporter::new(host, name));
        // No rescan in time: only the overflow itself can tell.
        let emperor = host.emperor().arg("--emperor-freq").arg("3600").arg("--emperor-metrics").arg(ANY_PORT).start();
        for (name, reporter) in [("kept.ini", &kept), ("changed.ini", &changed), ("removed.ini", &removed)] {
            emperor.write(name, &reporter.vassal("env = ROUND=one\n"));
            let _running = reporter.started(1);
        }

        emperor.signal(Signal::SIGSTOP);
        let queue: usize = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
        for number in 0..queue / 2 {
            let litter = emperor.file(&format!("litter-{number}")); // created, closed, removed: three events
            fs::write(&litter, "").unwrap();
            fs::remove_file(&litter).unwrap();
        }
        emperor.write("changed.ini", &changed.vassal("env = ROUND=two\n"));
        emperor.remove("removed.ini");
        emperor.write("added.ini", &added.vassal(""));
        emperor.signal(Signal::SIGCONT);

        assert_eq!(changed.started(2)["environment"]["ROUND"], "two");
        let _added = added.started(1);
        wait_until("the removed one to go", LONG, || emperor.vassals().len() == 3);
        Listener::of(&emperor).wait_value("liege_inotify_overflows_total", LONG, |overflows| overflows >= 1.0);
        assert_eq!(kept.starts().len(), 1, "the one that was not touched was not disturbed");
    });
}
