//! `user` in `emperor-use-clone`: the same ids inside and outside, and capabilities that end at the vassal's own namespaces. uWSGI
//! maps no ids there, so under it no vassal lives.

use std::fs;

use liege_integration_tests::apps::{Reporter, USER, ZipApp, user};
use liege_integration_tests::{LONG, served, story};

#[test]
fn ids_mean_the_same_inside_and_outside() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let emperor = host.emperor().namespaces(Some("fs,pid,user")).start();
        emperor.write("v.ini", &reporter.vassal(&format!("uid = {USER}\ngid = {USER}\n")));
        let (uid, gid) = user();
        let report = reporter.started(1);
        assert_eq!(report["status"]["Uid"], vec![uid.to_string(); 4].join("\t"), "{report}");
        let app = emperor.vassal("reports/app").process("report");
        assert_eq!(app.uid(), Some(uid.as_raw()), "and as the host sees it");
        let owner = fs::metadata(&reporter.file).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::gid(&owner), gid.as_raw(), "and on its files");
        let namespace = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/user")).unwrap();
        assert_ne!(namespace(app.pid), namespace(emperor.pid));
    });
}

#[test]
fn root_in_it_is_not_root_of_the_host() {
    story(|host| {
        let (file, said) = (host.path("roots"), host.open_dir("out").join("said"));
        fs::write(&file, "").unwrap();
        // May: what belongs to its own namespaces. May not: what belongs to the host's.
        let tries = format!(
            "mount -t tmpfs none /mnt && echo mounts; hostname mine && echo names; chroot / true && echo chroots; \
             mknod {0}/node c 1 3 2>/dev/null || echo no-node; \
             ip link add name liege0 type dummy 2>/dev/null || echo no-network; exec sleep 1000",
            host.dir().display()
        );
        let script = host.path("tries.sh");
        fs::write(&script, format!("exec > {} 2>&1\n{tries}\n", said.display())).unwrap();
        let emperor = host.emperor().namespaces(Some("fs,pid,uts,user")).start();
        emperor.write("v.ini", &format!("[vassal]\ncommand = /bin/sh {}\nuid = root\n", script.display()));
        let expected = "mounts\nnames\nchroots\nno-node\nno-network\n";
        liege_integration_tests::wait_until("its tries", LONG, || fs::read_to_string(&said).is_ok_and(|text| text == expected));
    });
}

/// What is mounted in `/dev` came with the mounts of the host and may not be left behind. It is the tutorial's own line.
#[test]
fn a_bind_that_would_uncover_what_is_below_is_told_how_it_works() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let dev = host.open_dir("dev");
        let emperor = host.emperor().namespaces(Some("fs,pid,user")).start();
        let line = |words: &str| reporter.vassal(&format!("hook-as-root = mount:none /dev {} {words}\n", dev.display()));
        let mark = emperor.mark();
        emperor.write("v.ini", &line("bind"));
        let said = emperor.wait_cause(mark, "v.ini", "hook_failed");
        assert!(said.contains("EINVAL") && said.contains("must come along: bind,rec"), "{said}");
        emperor.write("v.ini", &line("bind,rec"));
        let _runs = reporter.started(1);
    });
}

#[test]
fn a_user_mounts_in_it_and_the_mount_is_watched() {
    story(|host| {
        let app = ZipApp::new(host, "app", "from the zip");
        let emperor = host.emperor().namespaces(Some("fs,pid,user")).start();
        emperor.write("app001.ini", &app.checked());
        served(app.port, "from the zip", LONG);
        let vassal = emperor.vassal("app001.ini");
        let (daemon, mark) = (vassal.process("fuse-zip"), emperor.mark());
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(daemon.pid), nix::sys::signal::Signal::SIGKILL).unwrap();
        emperor.wait_cause(mark, "app001.ini", "mountpoint_dead");
        liege_integration_tests::wait_until("another life", LONG, || {
            emperor.vassal_with("app001.ini").is_some_and(|now| now.init != vassal.init)
        });
        served(app.port, "from the zip", LONG);
    });
}

#[test]
fn a_mount_for_all_made_by_its_root_is_watched_too() {
    story(|host| {
        let app = ZipApp::new(host, "app", "from the zip");
        let emperor = host.emperor().namespaces(Some("fs,pid,user")).start();
        // Root mounts for everybody: from outside of the namespace the kernel would fake the answer of such a mount.
        let file = app.checked().replace("exec-as-user = fuse-zip", "exec-as-root = fuse-zip -o allow_other");
        emperor.write("app001.ini", &file);
        served(app.port, "from the zip", LONG);
        let (vassal, mark) = (emperor.vassal("app001.ini"), emperor.mark());
        let daemon = vassal.process("fuse-zip");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(daemon.pid), nix::sys::signal::Signal::SIGKILL).unwrap();
        emperor.wait_cause(mark, "app001.ini", "mountpoint_dead");
        served(app.port, "from the zip", LONG);
    });
}
