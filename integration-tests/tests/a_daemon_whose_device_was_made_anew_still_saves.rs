//! The node of /dev/fuse that a daemon has opened is removed and made anew while its mount lives, as a device manager does it. The daemon is
//! known all the same, so an orderly end has it save. The node is the story's own, bound over the vassal's /dev/fuse.

use std::fs;

use liege_integration_tests::archive::Archive;
use liege_integration_tests::tools::need;
use liege_integration_tests::{LONG, story, wait_until};
use nix::mount::{MsFlags, mount, umount};
use nix::sys::stat::{Mode, SFlag, makedev, mknod, umask};

/// The number of the device.
const FUSE: (u64, u64) = (10, 229);

#[test]
fn a_daemon_whose_device_was_made_anew_still_saves() {
    need("unzip");
    story(|host| {
        let devices = host.open_dir("devices");
        // Where the stories lie a node may mean nothing.
        mount(Some("tmpfs"), &devices, Some("tmpfs"), MsFlags::empty(), Some("mode=0755")).expect("root may");
        let node = devices.join("fuse");
        let make = || {
            let before = umask(Mode::empty());
            mknod(&node, SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(FUSE.0, FUSE.1)).expect("root may");
            umask(before);
        };
        make();
        let archive = Archive::new(host, "app");
        let bind = format!("hook-pre-jail = mount:none {} /dev/fuse bind\n", node.display());
        let emperor = host.emperor().start();
        emperor.write("v.ini", &archive.vassal(&bind));
        archive.written(1);
        let daemon = emperor.vassal("sleep 1001").process("fuse-zip");
        let opened = || {
            let fds = fs::read_dir(format!("/proc/{}/fd", daemon.pid)).into_iter().flatten().flatten();
            let links = fds.filter_map(|fd| fs::read_link(fd.path()).ok()).map(|link| link.to_string_lossy().into_owned());
            links.filter(|link| link.contains("fuse")).collect::<Vec<_>>()
        };
        assert!(!opened().is_empty() && opened().iter().all(|link| !link.contains("deleted")), "{:?}", opened());
        fs::remove_file(&node).expect("our own node");
        make();
        assert!(opened().iter().any(|link| link.ends_with("/fuse (deleted)")), "{:?}", opened());

        emperor.ask_well(&["stop", "v"]);
        wait_until("the vassal to be down", LONG, || emperor.vassals().is_empty());
        archive.assert_saved(&emperor, Some("fs,pid"));
        emperor.put_to_rest();
        umount(&devices).expect("nobody uses it");
    });
}
