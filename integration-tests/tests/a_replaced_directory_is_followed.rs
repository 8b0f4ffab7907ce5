//! The directory is exchanged for another one of its name, or something is unmounted from it: the name counts, not the inode.

use std::fs;

use liege_integration_tests::apps::Reporter;
use liege_integration_tests::{SHORT, story, wait_until};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

#[test]
fn a_renamed_directory_is_followed_by_its_name() {
    story(|host| {
        let (old, new, late) = (Reporter::new(host, "old"), Reporter::new(host, "new"), Reporter::new(host, "late"));
        let emperor = host.emperor().start();
        emperor.write("old.ini", &old.vassal(""));
        let _old = old.started(1);

        let beside = host.path("vassals.new");
        fs::create_dir(&beside).unwrap();
        fs::write(beside.join("new.ini"), new.vassal("")).unwrap();
        fs::rename(&emperor.watched, host.path("vassals.old")).unwrap();
        fs::rename(&beside, &emperor.watched).unwrap();
        let _new = new.started(1);
        wait_until("the old one to go", SHORT, || emperor.vassals().len() == 1);

        fs::write(host.path("vassals.old").join("ghost.ini"), old.vassal("")).unwrap(); // nobody looks there any more
        emperor.write("late.ini", &late.vassal("")); // the new directory is watched, not only scanned
        let _late = late.started(1);
        assert_eq!(old.starts().len(), 1);
    });
}

#[test]
fn a_directory_removed_and_made_again_is_followed() {
    story(|host| {
        let (one, two) = (Reporter::new(host, "one"), Reporter::new(host, "two"));
        let emperor = host.emperor().start();
        emperor.write("one.ini", &one.vassal(""));
        let _one = one.started(1);
        fs::remove_dir_all(&emperor.watched).unwrap();
        wait_until("the vassal to go", SHORT, || emperor.vassals().is_empty());
        fs::create_dir(&emperor.watched).unwrap();
        emperor.write("two.ini", &two.vassal(""));
        let _two = two.started(1);
    });
}

#[test]
fn an_unmounted_directory_shows_what_was_below() {
    story(|host| {
        let (below, above) = (Reporter::new(host, "below"), Reporter::new(host, "above"));
        let emperor = host.emperor().arg("--emperor-shrink-guard").arg("0").start();
        emperor.write("below.ini", &below.vassal(""));
        let _below = below.started(1);

        mount(Some("vassals"), &emperor.watched, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
        emperor.write("above.ini", &above.vassal(""));
        let _above = above.started(1);
        wait_until("the covered one to go", SHORT, || emperor.vassals().len() == 1);

        // Lazily, as the vassal itself stands in it.
        umount2(&emperor.watched, MntFlags::MNT_DETACH).unwrap();
        let _below = below.started(2);
        wait_until("only what was below", SHORT, || emperor.vassals().len() == 1);
    });
}
