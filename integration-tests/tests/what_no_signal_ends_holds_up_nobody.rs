//! Without a pid namespace a vassal may leave processes behind that sleep in the kernel beyond SIGKILL, here on a mount of the host's
//! whose daemon swallows requests. They are named in the log and in the status, all of them cost one wait and not one each, later
//! ends do not wait for them at all, and what frees them ends them.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use liege_integration_tests::apps::Reporter;
use liege_integration_tests::faults::{Filesystem, Kind, Owner};
use liege_integration_tests::tools;
use liege_integration_tests::{LONG, SHORT, bar, procs, story, wait_until};
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::Signal;

/// Processes that cannot be killed.
const STUCK: usize = 3;
/// Much less than one wait for each of them.
const ONE_WAIT: Duration = Duration::from_secs(9);

#[test]
fn what_no_signal_ends_holds_up_nobody() {
    story(|host| {
        let filesystem = Filesystem::new(host, "host", Kind::Faultfs, Owner::Root);
        filesystem.mount_here();
        let faultfs = filesystem.faultfs.as_ref().expect("it is a faultfs");
        let (hello, _) = filesystem.hello();
        let stuck =
            || procs::all().into_iter().filter(|p| p.name == "stat" && p.command_line().contains(&*hello.to_string_lossy()));

        let emperor = host.emperor().namespaces(Some("fs")).start();
        let (bad, good) = (Reporter::new(host, "bad"), Reporter::new(host, "good"));
        faultfs.order("swallow").expect("it obeys");
        let hooks: String =
            (0..STUCK).map(|_| format!("hook-pre-jail = exec:setsid stat {} > /dev/null 2>&1 &\n", hello.display())).collect();
        emperor.write("bad.ini", &bad.vassal(&format!("stop-timeout = 1\n{hooks}")));
        emperor.write("good.ini", &good.vassal(""));
        let (_bad, _good) = (bad.started(1), good.started(1));
        wait_until("all of them to be stuck", SHORT, || {
            stuck().count() == STUCK && faultfs.swallowed().is_ok_and(|requests| requests > 0)
        });

        let (mark, start) = (emperor.mark(), Instant::now());
        emperor.vassal("reports/bad").process("report").kill(Signal::SIGKILL);
        let named = emperor.wait_log_from(mark, &["bad.ini", "beyond SIGKILL and left behind"]);
        assert!(named.contains("ERROR") && named.matches("stat (pid ").count() == STUCK, "{named}");
        assert!(named.contains("state D") && named.contains("request_wait_answer"), "{named}");
        let _again = bad.started(2);
        assert!(start.elapsed() < bar(ONE_WAIT), "{:?}", start.elapsed());
        println!("{STUCK} processes beyond SIGKILL: started again after {:.1?}", start.elapsed());

        // They stand in the status, and nobody else waits for them.
        let mut status = Command::new(tools::liege());
        status.args(["status", "--json", "--control"]).arg(&emperor.control);
        let said = String::from_utf8(status.output().expect("liege status").stdout).expect("text");
        assert!(said.contains("stat (pid "), "{said}");
        let (mark, start) = (emperor.mark(), Instant::now());
        emperor.vassal("reports/good").process("report").kill(Signal::SIGKILL);
        emperor.wait_cause(mark, "good.ini", "signal");
        assert!(start.elapsed() < bar(Duration::from_secs(2)), "a neighbour waited {:?}", start.elapsed());

        // The host's own business: what frees them ends them.
        faultfs.order("crash").expect("it obeys");
        emperor.wait_log_from(mark, &["bad.ini", "what it left behind has ended at last"]);
        wait_until("none of them to be there", LONG, || stuck().count() == 0);
        let _ = umount2(&filesystem.mount, MntFlags::MNT_DETACH); // dead by now
        assert!(fs::metadata(&filesystem.mount).is_ok(), "the bare directory");
    });
}
