//! A FUSE daemon that was started before `pivot_root` has its `/dev/fuse` from a `/dev` that is gone by then. It is the vassal's own all the same:
//! one that works is slow and lives, and one that is stopped is named.

use liege_integration_tests::cow::{Customer, Ns, USERS};
use liege_integration_tests::faults::{Filesystem, Kind, Owner};
use liege_integration_tests::{LONG, served, story};
use nix::sys::signal::Signal;

/// The customer's file with checks that look often, and these lines before the others.
fn watched(customer: &Customer, more: &str) -> String {
    let often = "mountpoint-check-interval = 0.2\nmountpoint-check-timeout = 1\n";
    customer.vassal().replace("\npivot_root = ", &format!("\n{more}{often}pivot_root = "))
}

#[test]
fn one_that_works_is_slow_and_survives() {
    story(|host| {
        let ns = Ns::new(host);
        let _root = ns.rootfs("precise");
        let customer = ns.customer("precise", USERS[0]);
        let mut filesystem = Filesystem::new(host, "data", Kind::Faultfs, Owner::RootForAll);
        filesystem.move_to(ns.ufs.join("mnt"));
        let faultfs = filesystem.faultfs.as_ref().expect("it is a faultfs");
        let emperor = host.emperor().plugins_are_named().start();
        emperor.write("v.ini", &watched(&customer, &format!("{}mountpoint-check = /mnt\n", filesystem.lines())));
        served(customer.port, "page of precise", LONG);
        emperor.wait_log("/mnt is healthy");
        let (vassal, mark) = (emperor.vassal("v.ini"), emperor.mark());

        faultfs.order("slow 600000").expect("it obeys");
        let line = emperor.wait_log_from(mark, &["/mnt is"]);
        assert!(line.contains("/mnt is slow") && line.contains("its daemon faultfs"), "{line}");
        faultfs.order("healthy").expect("it obeys");
        emperor.wait_log_from(mark, &["/mnt is healthy"]);
        assert!(vassal.init.lives(), "a daemon that works was taken for one that hangs");
    });
}

/// Its union stands still, and it is destroyed for that.
fn a_stopped_union_is_named(before_the_union: &str) {
    story(|host| {
        let ns = Ns::new(host);
        let _root = ns.rootfs("precise");
        let customer = ns.customer("precise", USERS[0]);
        let emperor = host.emperor().plugins_are_named().start();
        let text = watched(&customer, "");
        let hook = "hook-pre-jail = exec:unionfs-fuse";
        emperor.write("v.ini", &text.replace(hook, &format!("{before_the_union}{hook}")));
        served(customer.port, "page of precise", LONG);
        emperor.wait_log("/ is healthy");
        let mark = emperor.mark();

        emperor.vassal("v.ini").process("unionfs-fuse").kill(Signal::SIGSTOP);
        let line = emperor.wait_cause(mark, "v.ini", "mountpoint_hung");
        assert!(line.contains("its daemon unionfs-fuse") && line.contains("is stopped"), "{line}");
        served(customer.port, "page of precise", LONG);
    });
}

#[test]
fn one_that_is_stopped_is_named() {
    a_stopped_union_is_named("");
}

/// As a container may have it: the device is a mount of its own, and the link to it is nothing but `/`.
#[test]
fn one_whose_device_was_bound_on_its_own_is_named() {
    a_stopped_union_is_named("hook-pre-jail = exec:mount --bind /dev/fuse /dev/fuse\n");
}
