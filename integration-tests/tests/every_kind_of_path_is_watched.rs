//! What can be checked: a mount of the kernel's own, a bind mount, a path behind symlinks, one of several, and each of them found
//! when it goes.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use liege_integration_tests::apps::Reporter;
use liege_integration_tests::faults::{Filesystem, Kind, Owner, Pace, Victim};
use liege_integration_tests::{Emperor, Host, SHORT, story, wait_until};
use nix::sys::signal::Signal;

const TIMES: &str = "mountpoint-check-interval = 0.2\nmountpoint-check-timeout = 0.5\n";

/// Unmounts by hand inside of a vassal, from its own namespaces.
fn unmount_inside(emperor: &Emperor, marker: &str, path: &Path) {
    let init = emperor.vassal(marker).init;
    wait_until("the unmount (a probe may be looking just now)", SHORT, || {
        let pid = init.pid.to_string();
        let status = Command::new("nsenter").args(["-m", "-p", "-t", &pid, "--", "umount"]).arg(path).output();
        status.is_ok_and(|output| output.status.success()) || !init.lives()
    });
}

fn goes_when_unmounted(prepare: impl Fn(&Host, &Path) -> String + Send) {
    story(move |host| {
        let (reporter, point) = (Reporter::new(host, "app"), host.open_dir("point"));
        let emperor = host.emperor().start();
        let hook = prepare(host, &point);
        emperor.write("v.ini", &reporter.vassal(&format!("{hook}mountpoint-check = {}\n{TIMES}", point.display())));
        let _first = reporter.started(1);
        emperor.wait_log(&format!("{} is healthy", point.display()));
        let mark = emperor.mark();
        unmount_inside(&emperor, "reports/app", &point);
        emperor.wait_log_from(mark, &[&format!("{} is gone", point.display())]);
        emperor.wait_cause(mark, "v.ini", "mountpoint_gone");
        let _second = reporter.started(2);
        emperor.wait_log_from(mark, &[&format!("{} is healthy", point.display())]);
    });
}

#[test]
fn a_tmpfs() {
    goes_when_unmounted(|_, point| format!("hook-pre-jail = mount:tmpfs none {}\n", point.display()));
}

#[test]
fn a_bind_mount() {
    goes_when_unmounted(|host, point| {
        format!("hook-pre-jail = mount:none {} {} bind\n", host.open_dir("source").display(), point.display())
    });
}

/// The directory below the mount stands on no mount that the vassal's own table shows.
#[test]
fn a_mount_in_a_chroot_that_is_a_plain_directory() {
    story(|host| {
        let root = host.path("root");
        let mut lines = String::new();
        for dir in ["usr", "bin", "lib", "lib64"].iter().filter(|dir| Path::new("/").join(dir).exists()) {
            fs::create_dir_all(root.join(dir)).unwrap();
            lines += &format!("hook-pre-jail = mount:none /{dir} {0}/{dir} bind\n", root.display());
        }
        fs::create_dir_all(root.join("point")).unwrap();
        let emperor = host.emperor().start();
        emperor.write(
            "v.ini",
            &format!(
                "[vassal]\nuid = 0\ngid = 0\n{lines}hook-pre-jail = mount:tmpfs none {root}/point\nchroot = {root}\n\
                 command = /bin/sleep 1000\nmountpoint-check = /point\n{TIMES}",
                root = root.display()
            ),
        );
        emperor.wait_log("/point is healthy");
        let mark = emperor.mark();
        unmount_inside(&emperor, "sleep", &root.join("point"));
        emperor.wait_cause(mark, "v.ini", "mountpoint_gone");
        emperor.wait_log_from(mark, &["/point is healthy"]);
    });
}

#[test]
fn a_path_behind_symlinks() {
    story(|host| {
        let emperor = host.emperor().start();
        let filesystem = Filesystem::new(host, "real", Kind::Faultfs, Owner::User);
        let (near, far) = (host.path("near"), host.path("far"));
        symlink(&filesystem.mount, &far).expect("a symlink");
        symlink("far", &near).expect("a relative symlink");
        let victim = Victim::new(host, "linked", filesystem, "", Pace::SUITE).watching(Some(&near));
        emperor.write(&victim.name, &victim.text());
        victim.until_served(Instant::now(), SHORT).unwrap_or_else(|why| panic!("{why}"));
        emperor.wait_log(&format!("{} is healthy", near.display()));
        for (order, state) in [("swallow", "hung"), ("crash", "dead"), ("exit", "gone")] {
            let mark = emperor.mark();
            victim.order(order).expect("it obeys");
            emperor.wait_log_from(mark, &[&format!("{} is {state}", near.display())]);
            emperor.wait_cause(mark, &victim.name, &format!("mountpoint_{state}"));
            emperor.wait_log_from(mark, &[&format!("{} is healthy", near.display())]);
        }
    });
}

#[test]
fn one_of_several() {
    story(|host| {
        let (emperor, second) = (host.emperor().start(), Filesystem::new(host, "second", Kind::Faultfs, Owner::Root));
        let first = Filesystem::new(host, "first", Kind::Faultfs, Owner::User);
        let plain = host.dir_beside(Path::new("/beside"));
        fs::write(plain.join("file"), "nothing is mounted here").expect("write in our own directory");
        let more =
            format!("{}mountpoint-check = {}\nmountpoint-check = {}\n", second.lines(), second.mount.display(), plain.display());
        let victim = Victim::new(host, "several", first, "", Pace::SUITE).with(&more);
        emperor.write(&victim.name, &victim.text());
        for path in [&victim.filesystem.mount, &second.mount] {
            emperor.wait_log(&format!("{} is healthy", path.display()));
        }
        emperor.wait_log(&format!("{} is not_mounted", plain.display()));
        let mark = emperor.mark();
        let vassal = victim.vassal(&emperor).expect("it runs");
        let daemons = vassal.processes().into_iter().filter(|process| process.name == "faultfs");
        let of_second = second.mount.display().to_string();
        daemons.filter(|daemon| daemon.command_line().contains(&of_second)).for_each(|daemon| daemon.kill(Signal::SIGKILL));
        let line = emperor.wait_cause(mark, &victim.name, "mountpoint_dead");
        assert!(line.contains(&of_second), "the one that died is named: {line}");
        assert!(!line.contains(&*victim.filesystem.mount.to_string_lossy()), "the one that lives is not: {line}");
        victim.until_served(Instant::now(), SHORT).unwrap_or_else(|why| panic!("{why}"));
    });
}
