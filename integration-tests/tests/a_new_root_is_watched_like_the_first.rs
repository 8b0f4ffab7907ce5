//! After `pivot_root` the vassal's mount table is another one: pid 1 follows it, and keeps nothing of the old one busy.

use std::fs;
use std::time::{Duration, Instant};

use liege_integration_tests::faults::{Filesystem, Kind, Owner};
use liege_integration_tests::{Host, SHORT, bar, story, wait_until};

/// A vassal in the host's own root once more, with the old one put away as the lines say.
fn vassal(host: &Host, more: &str) -> String {
    let root = host.path("root");
    fs::create_dir_all(&root).unwrap();
    let (root, old) = (root.display(), host.open_dir("old"));
    format!(
        "[vassal]\nuid = 0\ngid = 0\nhook-pre-jail = mount:none / {root} bind,rec\npivot_root = {root} {root}{old}\n\
         hook-as-root = umount:{old} {more}\ncommand = /bin/sleep 1000\nstop-timeout = 1\n",
        old = old.display()
    )
}

#[test]
fn the_old_root_can_be_unmounted_in_order() {
    story(|host| {
        let emperor = host.emperor().start();
        emperor.write("v.ini", &vassal(host, "rec"));
        emperor.wait_log("started");
        let init = emperor.vassal("sleep").init;
        let old = host.path("old");
        assert!(!init.mountinfo().contains(old.to_str().unwrap()), "{}", init.mountinfo());
    });
}

#[test]
fn a_mount_made_in_the_new_root_does_not_hold_up_the_end() {
    story(|host| {
        let emperor = host.emperor().start();
        emperor.write("v.ini", &vassal(host, "rec,detach"));
        emperor.wait_log("started");
        let vassal = emperor.vassal("sleep");
        let late = Filesystem::new(host, "late", Kind::Faultfs, Owner::Root);
        late.mount_beside(&vassal.init);
        late.faultfs.as_ref().unwrap().order("selfdeadlock").unwrap();
        let processes = vassal.processes();

        let start = Instant::now();
        emperor.remove("v.ini");
        wait_until("nothing to be left of it", SHORT, || vassal.is_gone(&processes));
        assert!(start.elapsed() < bar(Duration::from_secs(4)), "its second of stop-timeout, and little more");
    });
}
