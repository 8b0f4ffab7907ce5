//! A vassal's file that is a symbolic link (sites-enabled, a ConfigMap's `..data`) is as good as a file: its target's changes are
//! seen, also when everything has been at rest for long.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, SystemTime};

use liege_integration_tests::{Emperor, LONG, story, wait_until};

/// A vassal's file that was written long ago, so that nothing about it is in question any more.
fn write_old(path: &Path, seconds: u32) {
    fs::write(path, format!("[vassal]\nuid = root\ncommand = /bin/sleep {seconds}\n")).unwrap();
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + u64::from(seconds));
    File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
}

#[track_caller]
fn runs(emperor: &Emperor, seconds: u32) {
    let program = format!("sleep {seconds}");
    wait_until(&program, LONG, || emperor.vassal_with(&program).is_some() && emperor.vassals().len() == 1);
}

#[test]
fn sites_enabled_and_available() {
    story(|host| {
        // Nothing is found by chance: no rescan in time.
        let emperor = host.emperor().arg("--emperor-freq").arg("3600").start();
        fs::create_dir(host.path("available")).unwrap();
        let target = host.path("available/shop.ini");
        write_old(&target, 7001);
        symlink("../available/shop.ini", emperor.file("shop.ini")).unwrap();
        runs(&emperor, 7001);
        fs::write(&target, "[vassal]\nuid = root\ncommand = /bin/sleep 7002\n").unwrap();
        runs(&emperor, 7002);
        write_old(&host.path("available/new"), 7003);
        fs::rename(host.path("available/new"), &target).unwrap();
        runs(&emperor, 7003);
        fs::remove_file(&target).unwrap();
        wait_until("the vassal to go with its target", LONG, || emperor.vassals().is_empty());
        write_old(&target, 7004);
        runs(&emperor, 7004);
    });
}

#[test]
fn a_config_map_publishes_its_next_version() {
    story(|host| {
        let emperor = host.emperor().arg("--emperor-freq").arg("3600").start();
        let publish = |seconds: u32| {
            let version = format!("..2026_{seconds}");
            fs::create_dir(emperor.file(&version)).unwrap();
            write_old(&emperor.file(&version).join("cm.ini"), seconds);
            symlink(&version, emperor.file("..data_tmp")).unwrap();
            fs::rename(emperor.file("..data_tmp"), emperor.file("..data")).unwrap();
        };
        publish(7001);
        symlink("..data/cm.ini", emperor.file("cm.ini")).unwrap();
        runs(&emperor, 7001);
        publish(7002);
        fs::remove_dir_all(emperor.file("..2026_7001")).unwrap();
        runs(&emperor, 7002);
    });
}

#[test]
fn what_tells_nothing_is_looked_at_in_time() {
    story(|host| {
        let emperor = host.emperor().arg("--emperor-freq").arg("1").start();
        for (dir, seconds) in [("one", 7001), ("two", 7002)] {
            fs::create_dir_all(host.path(dir).join("deep")).unwrap();
            write_old(&host.path(dir).join("deep/a.ini"), seconds);
        }
        symlink("../one/deep/a.ini", emperor.file("a.ini")).unwrap();
        runs(&emperor, 7001);
        // A directory on the way is exchanged; no inode that is watched has a part in it.
        fs::rename(host.path("one"), host.path("three")).unwrap();
        fs::rename(host.path("two"), host.path("one")).unwrap();
        runs(&emperor, 7002);
    });
}
