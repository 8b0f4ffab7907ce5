//! A mount hangs that nobody watches, and another one stands on it: the way to that one leads over the one that hangs, so its unmount does not
//! come back. The mount beside them is saved within `stop-timeout` all the same.

use liege_integration_tests::archive::Archive;
use liege_integration_tests::faults::{Filesystem, Kind, Owner};
use liege_integration_tests::tools::need;
use liege_integration_tests::wait::slowness;
use liege_integration_tests::{LONG, SHORT, story, wait_until};
use nix::mount::{MntFlags, umount2};

#[test]
fn a_mount_that_hangs_costs_its_neighbours_nothing() {
    need("unzip");
    for namespaces in [Some("fs,pid"), None] {
        story(|host| {
            let archive = Archive::new(host, "app");
            let hangs = Filesystem::new(host, "hangs", Kind::Faultfs, Owner::Root);
            let mut above = Filesystem::new(host, "above", Kind::Faultfs, Owner::Root);
            above.move_to(hangs.mount.join("sub"));
            let (mounts, command) = (hangs.lines() + &above.lines(), archive.command("exec sleep 1001"));
            let hook = format!("hook-pre-jail = exec:fuse-zip {} {}\n", archive.zip.display(), archive.mount.display());
            let emperor = host.emperor().namespaces(namespaces).start();
            let stop_timeout = 12 * slowness();
            emperor.write("v.ini", &format!("[vassal]\nuid = root\n{hook}{mounts}{command}stop-timeout = {stop_timeout}\n"));
            archive.written(1);
            let faultfs = hangs.faultfs.as_ref().expect("it is a faultfs");
            faultfs.order("swallow").expect("it obeys");

            let mark = emperor.mark();
            emperor.ask_well(&["stop", "v"]);
            wait_until("something to wait for the mount", SHORT, || faultfs.swallowed().is_ok_and(|requests| requests > 0));
            emperor.wait_log_from(mark, &["v.ini", "ended after"]);
            assert!(archive.is_saved(), "{namespaces:?}: lost");
            wait_until("the vassal to be down", LONG, || emperor.vassals().is_empty());
            if namespaces.is_none() {
                // The way to the one above is free by now.
                umount2(&above.mount, MntFlags::MNT_DETACH).ok();
                umount2(&hangs.mount, MntFlags::MNT_DETACH).ok();
            }
        });
    }
}
