//! An overlay whose lower layer is a FUSE mount of the host's that does not answer: no daemon of the overlay's own is there to be busy or
//! idle, and no connection of the vassal's to be ended. It hangs, so its vassal is destroyed as for any other hung mount; and the thread
//! that asked, which nobody can free without harming the host's mount, does not stay for ever.

use std::time::{Duration, Instant};

use liege_integration_tests::apps::Reporter;
use liege_integration_tests::faults::{Filesystem, Kind, Owner};
use liege_integration_tests::gauge::is_helper;
use liege_integration_tests::{Emperor, Host, LONG, SHORT, bar, leaks, procs, story, wait_until};

/// The host's FUSE mount, a vassal with a checked overlay on it, and then the FUSE daemon is given this order.
fn hangs(order: &'static str, ends: impl Fn(&Host, &Emperor, usize, &procs::Process) + Send) {
    story(move |host| {
        let (lower, other, point) =
            (Filesystem::new(host, "lower", Kind::Faultfs, Owner::Root), host.open_dir("other"), host.open_dir("point"));
        lower.mount_here();
        let (reporter, neighbour) = (Reporter::new(host, "app"), Reporter::new(host, "neighbour"));
        let emperor = host.emperor().start();
        // While somebody else is watched there is a prober.
        emperor.write(
            "w.ini",
            &neighbour.vassal(&format!("mountpoint-check = {}\nmountpoint-check-interval = 0.2\n", other.display())),
        );
        let _runs = neighbour.started(1);
        // Mounted once: a second life, born before its file was removed, would hang in the mount itself.
        let once = host.path("once");
        let mount =
            format!("mount -t overlay -o lowerdir={}:{} none {}", lower.mount.display(), other.display(), point.display());
        let hook = format!("exec:test -e {0} || {{ touch {0} && {mount}; }}", once.display());
        emperor.write(
            "v.ini",
            &reporter.vassal(&format!(
                "hook-pre-jail = {hook}\nmountpoint-check = {}\nmountpoint-check-interval = 0.2\nmountpoint-check-timeout = 0.5\n",
                point.display()
            )),
        );
        let _first = reporter.started(1);
        emperor.wait_log(&format!("{} is healthy", point.display()));
        let vassal = emperor.vassal("reports/app");
        let prober = procs::all().into_iter().find(|process| is_helper(process, emperor.pid)).expect("it has looked");
        let mark = emperor.mark();

        let faultfs = lower.faultfs.as_ref().expect("it is a faultfs");
        faultfs.order(order).expect("it obeys");
        let start = Instant::now();
        let line = emperor.wait_cause(mark, "v.ini", "mountpoint_hung");
        let took = start.elapsed();
        println!("{order}: known after {took:.1?}: {line}");
        assert!(took < bar(Duration::from_secs(4)), "timeout 0.5 s, interval 0.2 s, tolerance 1: {took:?}");
        emperor.remove("v.ini");
        wait_until("its vassal to be gone", LONG, || !vassal.init.lives());
        ends(host, &emperor, mark, &prober);
        emperor.remove("w.ini");
        faultfs.order("healthy").expect("it obeys");
        wait_until("no vassal and no prober", LONG, || emperor.vassals().is_empty() && !prober.lives());
        leaks::unmount_below(host.dir());
        faultfs.order("exit").ok();
    });
}

#[test]
fn a_thread_that_a_kill_frees() {
    hangs("queue", |_, emperor, mark, prober| {
        emperor.wait_log_from(mark, &["hang for nobody"]);
        wait_until("the prober with the thread to be gone", SHORT, || !prober.lives());
    });
}

#[test]
fn a_thread_that_nothing_frees() {
    hangs("swallow", |_, emperor, mark, _| {
        let line = emperor.wait_log_from(mark, &["cannot end"]);
        assert!(line.contains("request_wait_answer"), "it is named: {line}");
    });
}
