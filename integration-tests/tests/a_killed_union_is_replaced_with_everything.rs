//! `kill -9` of unionfs-fuse, which is the root of everything the vassal is: all of it goes, it is served again from a new union, and
//! the other customer of the same root does not notice.

use std::time::{Duration, Instant};

use liege_integration_tests::cow::{Ns, USERS};
use liege_integration_tests::http::Client;
use liege_integration_tests::{LONG, bar, procs, served, story, wait_until};
use nix::sys::signal::Signal;

#[test]
fn a_killed_union_is_replaced_with_everything() {
    story(|host| {
        let ns = Ns::new(host);
        let _root = ns.rootfs("precise");
        let (victim, bystander) = (ns.customer("precise", USERS[0]), ns.customer("precise", USERS[1]));
        let emperor = host.emperor().plugins_are_named().start();
        emperor.write("victim.ini", &victim.vassal());
        emperor.write("bystander.ini", &bystander.vassal());
        served(victim.port, "page of precise", LONG);
        served(bystander.port, "page of precise", LONG);
        victim.tell("/append/srv/data/kept");
        let before = emperor.vassal("victim.ini");
        let (processes, (namespace, _hold)) = (before.processes(), before.pid_namespace());
        let undisturbed = emperor.vassal("bystander.ini");
        let (mark, client) = (emperor.mark(), Client::start(bystander.port, Duration::from_millis(10)));

        before.process("unionfs-fuse").kill(Signal::SIGKILL);
        let start = Instant::now();
        wait_until("every old process to be gone", LONG, || before.is_gone(&processes));
        served(victim.port, "page of precise", LONG);
        let took = start.elapsed();
        emperor.wait_cause(mark, "victim.ini", "mountpoint_dead");

        let after = emperor.vassal("victim.ini");
        assert_ne!(after.init.namespace("pid"), Some(namespace), "a new namespace");
        let old: Vec<_> = procs::all().into_iter().filter(|p| p.namespace("pid") == Some(namespace)).collect();
        assert!(old.is_empty(), "in the old namespace live:\n{}", procs::describe(&old));
        assert_eq!(victim.tell("/read/srv/data/kept"), "by uid 33\n", "the layer is what lasts");
        assert!(!host.mountinfo().contains("unionfs"), "the host saw it:\n{}", host.mountinfo());
        assert!(took < bar(Duration::from_secs(2)), "a tenth of what uWSGI's Emperor takes is 0.34 s; this took {took:?}");

        let tally = client.stop();
        assert!(tally.errors.is_empty(), "the bystander was disturbed: {:?}", tally.errors);
        assert_eq!(emperor.vassal("bystander.ini").init, undisturbed.init);
    });
}
