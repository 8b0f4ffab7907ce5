//! A vassals' directory that is unmounted, so that an empty one shows, ends nobody before that is believed: it is told, in the log,
//! in the status and as a metric, and when it comes back nothing has happened.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use liege_integration_tests::scrape::{ANY_PORT, Listener};
use liege_integration_tests::{LONG, story, wait_until};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::Signal;

const SLEEPER: &str = "[vassal]\nuid = root\ncommand = /bin/sleep 100000\n";

fn bind(from: &Path, to: &Path) {
    mount(Some(from), to, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
}

#[test]
fn an_unmounted_directory_ends_nobody_at_once() {
    story(|host| {
        let (real, watched) = (host.open_dir("real"), host.open_dir("vassals"));
        bind(&real, &watched);
        for name in ["a.ini", "b.ini"] {
            fs::write(real.join(name), SLEEPER).unwrap();
        }
        let emperor = host.emperor().arg("--emperor-shrink-guard").arg("3000").arg("--emperor-metrics").arg(ANY_PORT).start();
        let daemon = Listener::of(&emperor);
        wait_until("both to run", LONG, || emperor.vassals().len() == 2);
        let series = format!("liege_vassals_held{{directory=\"{}\"}}", watched.display());

        umount2(&watched, MntFlags::MNT_DETACH).unwrap();
        emperor.wait_log("was unmounted or replaced, and is empty now: its 2 vassals run on");
        daemon.wait_value(&series, LONG, |held| held == 2.0);
        let said = emperor.ask_well(&["status"]);
        assert!(said.contains("its 2 vassals kept") && said.contains("rescan --force"), "{said}");
        // They run on, also where one of them dies, and a rescan finds nothing new.
        let first = emperor.vassals()[0].init.pid;
        emperor.vassals()[0].process("sleep").kill(Signal::SIGKILL);
        wait_until("the one that died to be back", LONG, || {
            let vassals = emperor.vassals();
            vassals.len() == 2 && vassals.iter().all(|vassal| vassal.init.pid != first)
        });
        emperor.ask_well(&["rescan"]);
        let (status, said) = emperor.ask(&["reload", "--all"]);
        let why = "refused: its file cannot be read: ";
        assert!(status == 1 && said.matches(why).count() == 2 && said.matches("it runs on").count() == 2, "{said}");

        let mark = emperor.mark();
        bind(&real, &watched);
        emperor.wait_log_from(mark, &["is what it was"]);
        wait_until("the series to end", LONG, || daemon.value(&series).is_none());
        assert!(!emperor.ask_well(&["status"]).contains("kept"));
        assert_eq!(emperor.vassals().len(), 2);

        // Somebody says that it is so.
        let mark = emperor.mark();
        umount2(&watched, MntFlags::MNT_DETACH).unwrap();
        emperor.wait_log_from(mark, &["was unmounted or replaced"]);
        emperor.ask_well(&["rescan", "--force"]);
        wait_until("both to go", LONG, || emperor.vassals().is_empty());
        emperor.wait_log_from(mark, &["is believed"]);
    });
}

#[test]
fn it_is_believed_when_its_time_is_over_and_files_that_are_removed_are_removed() {
    story(|host| {
        let emperor = host.emperor().arg("--emperor-shrink-guard").arg("1").start();
        for name in ["a.ini", "b.ini"] {
            emperor.write(name, SLEEPER);
        }
        wait_until("both to run", LONG, || emperor.vassals().len() == 2);
        emperor.remove("a.ini");
        wait_until("one to go", LONG, || emperor.vassals().len() == 1);
        fs::rename(&emperor.watched, host.path("elsewhere")).unwrap();
        emperor.wait_log("is gone: its 1 vassals run on");
        wait_until("the other to go", LONG, || emperor.vassals().is_empty());
        emperor.wait_log("is believed");
        fs::create_dir(&emperor.watched).unwrap();
        emperor.write("c.ini", SLEEPER);
        wait_until("a new one", LONG, || emperor.vassals().len() == 1);
        assert!(emperor.log().iter().all(|line| !line.contains("was unmounted")));
    });
}

#[test]
fn links_to_a_disk_that_is_unmounted_are_no_removals() {
    story(|host| {
        let disk = host.open_dir("disk");
        let mounted = || mount(Some("none"), &disk, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
        let put = |name: &str| fs::write(disk.join(name), SLEEPER).unwrap();
        mounted();
        ["a.ini", "b.ini"].iter().for_each(|name| put(name));
        let emperor = host.emperor().arg("--emperor-shrink-guard").arg("3000").arg("--emperor-metrics").arg(ANY_PORT).start();
        let daemon = Listener::of(&emperor);
        ["a.ini", "b.ini"].iter().for_each(|name| symlink(format!("../disk/{name}"), emperor.file(name)).unwrap());
        emperor.write("plain.ini", SLEEPER);
        wait_until("all to run", LONG, || emperor.vassals().len() == 3);
        let series = format!("liege_vassals_held{{directory=\"{}\"}}", disk.display());

        umount2(&disk, MntFlags::MNT_DETACH).unwrap();
        emperor.wait_log("its 2 vassals run on");
        daemon.wait_value(&series, LONG, |held| held == 2.0);
        let said = emperor.ask_well(&["status"]);
        assert!(said.contains(&format!("{} was unmounted", disk.display())) && said.contains("its 2 vassals kept"), "{said}");
        emperor.ask_well(&["rescan"]);
        let (status, said) = emperor.ask(&["reload", "--all"]);
        let why = "refused: its file cannot be read: ";
        assert!(status == 1 && said.matches(why).count() == 2 && said.matches("it runs on").count() == 2, "{said}");

        let mark = emperor.mark();
        mounted();
        ["a.ini", "b.ini"].iter().for_each(|name| put(name));
        emperor.wait_log_from(mark, &["is what it was"]);
        wait_until("the series to end", LONG, || daemon.value(&series).is_none());
        assert_eq!(emperor.vassals().len(), 3);

        // A file that is unlinked on its disk is a removal, and so is what an operator believes.
        fs::remove_file(disk.join("a.ini")).unwrap();
        wait_until("its vassal to go", LONG, || emperor.vassals().len() == 2);
        let mark = emperor.mark();
        umount2(&disk, MntFlags::MNT_DETACH).unwrap();
        emperor.wait_log_from(mark, &["its 1 vassals run on"]);
        emperor.ask_well(&["rescan", "--force"]);
        wait_until("the other one to go", LONG, || emperor.vassals().len() == 1);
        emperor.wait_log_from(mark, &["is believed"]);
    });
}
