//! `mountpoint-check` of a path where nothing is mounted is never told as well: a mount that failed in silence, one that comes late,
//! the parent of a mount. Where a mount must be, its absence ends the run; a plain directory harms nothing.

use std::fs;
use std::path::{Path, PathBuf};

use liege_integration_tests::apps::{Reporter, USER, ZipApp, own};
use liege_integration_tests::scrape::{ANY_PORT, Listener};
use liege_integration_tests::tools::run_liege;
use liege_integration_tests::{Host, LONG, SHORT, story, wait_until};
use nix::sys::signal::Signal;

const TIMES: &str = "mountpoint-check-interval = 0.2\nmountpoint-check-timeout = 1\n";

/// A directory on the file system of the root, whatever `/tmp` is here.
fn plain(host: &Host) -> PathBuf {
    let dir = host.dir_beside(Path::new("/beside"));
    own(&dir);
    dir
}

fn vassal(reporter: &Reporter, more: &str) -> String {
    format!("[vassal]\nuid = {USER}\ngid = {USER}\ncommand = {}\n{TIMES}{more}", reporter.command())
}

#[test]
fn a_mount_that_failed_in_silence_is_ill_in_every_view_and_harms_nothing() {
    story(|host| {
        let (reporter, point) = (Reporter::new(host, "silent"), plain(host));
        let emperor = host.emperor().arg("--emperor-metrics").arg(ANY_PORT).arg("--emperor-health-log").arg("1").start();
        let daemon = Listener::of(&emperor);
        let point = point.display();
        let hook = format!("hook-as-user = safeexec:fuse-zip -r /nosuch.zip {point}\nmountpoint-check = {point}\n");
        emperor.write("v.ini", &vassal(&reporter, &hook));
        let _started = reporter.started(1);
        emperor.wait_log(&format!("{point} is not_mounted: nothing is mounted there, the directory answers"));
        let up = format!(r#"liege_mountpoint_up{{vassal="v.ini",mountpoint="{point}",state="not_mounted"}}"#);
        daemon.wait_value(&up, LONG, |up| up == 0.0);
        emperor.wait_log(&format!("health: {up} 0"));
        assert!(emperor.ask_well(&["status"]).contains(&format!("{point}:not_mounted")));
        let said = emperor.ask_well(&["status", "v.ini"]);
        assert!(said.contains("not_mounted: nothing is mounted there, the directory answers"), "{said}");
        let json: serde_json::Value = serde_json::from_str(&emperor.ask_well(&["status", "v.ini", "--json"])).expect("JSON");
        assert_eq!(json["vassal"]["mounts"][0]["health"], "NotMounted", "{json}");
        let events = emperor.ask_well(&["events"]);
        assert!(events.contains("is not_mounted"), "{events}");
        // Twice the time in which a mount that must be there would have to come.
        let checks = |daemon: &Listener| daemon.value("liege_check_duration_seconds_count").unwrap_or(0.0);
        let before = checks(&daemon);
        wait_until("ten checks more", LONG, || checks(&daemon) >= before + 10.0);
        assert_eq!(reporter.starts().len(), 1, "it goes on");
    });
}

#[test]
fn a_mount_that_comes_late_is_seen_and_then_watched() {
    story(|host| {
        let (reporter, app) = (Reporter::new(host, "late"), ZipApp::new(host, "zip", "text"));
        let (point, go) = (plain(host), host.open_dir("flags").join("go"));
        let emperor = host.emperor().start();
        let (zip, shown) = (app.zip.display(), point.display());
        let hook = format!(
            "exec-as-user = (until [ -e {} ]; do sleep 0.1; done; exec fuse-zip -f -r {zip} {shown}) &\nmountpoint-check = {shown}\n",
            go.display()
        );
        emperor.write("v.ini", &vassal(&reporter, &hook));
        emperor.wait_log(&format!("{shown} is not_mounted"));
        fs::write(&go, "").unwrap();
        emperor.wait_log(&format!("{shown} is healthy"));
        let mark = emperor.mark();
        emperor.vassal("reports/late").process("fuse-zip").kill(Signal::SIGKILL);
        emperor.wait_cause(mark, "v.ini", "mountpoint_dead");
        let _second = reporter.started(2);
    });
}

#[test]
fn the_parent_of_a_mount_is_none() {
    story(|host| {
        let (reporter, parent) = (Reporter::new(host, "parent"), plain(host));
        fs::create_dir(parent.join("point")).unwrap();
        let emperor = host.emperor().start();
        let parent = parent.display();
        let text = format!("hook-pre-jail = mount:tmpfs none {parent}/point\nmountpoint-check = {parent}\n");
        let file = vassal(&reporter, &text);
        emperor.write("v.ini", &file);
        emperor.wait_log(&format!("{parent} is not_mounted"));
        let (status, said) = run_liege(&["check".as_ref(), emperor.file("v.ini").as_os_str()]);
        assert!(status == 0 && said.contains(&format!("write mountpoint-check = {parent}/point")), "{said}");
        emperor.write(
            "v.ini",
            &file.replace(&format!("mountpoint-check = {parent}"), &format!("mountpoint-check = {parent}/point")),
        );
        emperor.wait_log(&format!("{parent}/point is healthy"));
        let (status, said) = run_liege(&["check".as_ref(), emperor.file("v.ini").as_os_str()]);
        assert!(status == 0 && !said.contains("nothing-mounted"), "{said}");
    });
}

#[test]
fn a_mount_that_is_required_and_missing_ends_the_run() {
    story(|host| {
        let (reporter, point) = (Reporter::new(host, "required"), plain(host));
        let emperor = host.emperor().start();
        let point = point.display();
        let text = format!("mountpoint-check = {point}\nmountpoint-check-required = true\n");
        emperor.write("v.ini", &vassal(&reporter, &text));
        let line = emperor.wait_cause(0, "v.ini", "mountpoint_missing");
        assert!(line.contains(&format!("nothing is mounted at {point}")), "{line}");
        assert!(line.contains("mountpoint-check-required"), "{line}");
        let _second = reporter.started(2);
        let (status, said) = run_liege(&["check".as_ref(), emperor.file("v.ini").as_os_str()]);
        assert!(status == 0 && said.contains("no line of this file mounts anything"), "{said}");
    });
}

#[test]
fn a_mount_that_does_not_come_back_in_the_next_life_is_missed() {
    story(|host| {
        let (reporter, app) = (Reporter::new(host, "again"), ZipApp::new(host, "zip", "text"));
        let point = plain(host);
        let emperor = host.emperor().start();
        let (zip, shown) = (app.zip.display(), point.display());
        let text = format!("hook-as-user = safeexec:fuse-zip -r {zip} {shown}\nmountpoint-check = {shown}\n");
        emperor.write("v.ini", &vassal(&reporter, &text));
        emperor.wait_log(&format!("{shown} is healthy"));
        let (mark, aside) = (emperor.mark(), host.path("aside.zip"));
        fs::rename(&app.zip, &aside).unwrap();
        emperor.vassal("reports/again").process("fuse-zip").kill(Signal::SIGKILL);
        emperor.wait_cause(mark, "v.ini", "mountpoint_dead");
        emperor.wait_log_from(mark, &[&format!("{shown} is not_mounted")]);
        let line = emperor.wait_cause(mark, "v.ini", "mountpoint_missing");
        assert!(line.contains("a mount was there in an earlier run"), "{line}");
        let mark = emperor.mark();
        fs::rename(&aside, &app.zip).unwrap();
        emperor.wait_log_from(mark, &[&format!("{shown} is healthy")]);
    });
}

/// A root that is a bind of a directory of the host's is a mount of the vassal's, but no mount at a path in it.
#[test]
fn a_root_that_is_a_directory_of_the_hosts_is_no_mount_at_its_paths() {
    story(|host| {
        let root = plain(host);
        let mut lines = String::new();
        for dir in ["usr", "bin", "lib", "lib64"].iter().filter(|dir| Path::new("/").join(dir).exists()) {
            fs::create_dir_all(root.join(dir)).unwrap();
            lines += &format!("hook-pre-jail = mount:none /{dir} {0}/{dir} bind\n", root.display());
        }
        for dir in ["point", "made", "old"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        let emperor = host.emperor().start();
        let root = root.display();
        for (name, enter) in
            [("chroot.ini", format!("chroot = {root}\n")), ("pivot.ini", format!("pivot_root = {root} {root}/old\n"))]
        {
            let bind =
                if name == "pivot.ini" { format!("hook-pre-jail = mount:none {root} {root} bind\n") } else { String::new() };
            emperor.write(
                name,
                &format!(
                    "[vassal]\nuid = 0\ngid = 0\n{bind}{lines}hook-pre-jail = mount:tmpfs none {root}/made\n{enter}\
                     command = /bin/sleep 1000\nmountpoint-check = /point\nmountpoint-check = /made\n{TIMES}"
                ),
            );
            emperor.wait_log_from(0, &[name, "/point is not_mounted"]);
            emperor.wait_log_from(0, &[name, "/made is healthy"]);
        }
    });
}

#[test]
fn without_a_mount_namespace_it_is_the_same() {
    story(|host| {
        let (reporter, point) = (Reporter::new(host, "shared"), plain(host));
        let emperor = host.emperor().namespaces(None).start();
        let point = point.display();
        emperor.write("v.ini", &vassal(&reporter, &format!("mountpoint-check = {point}\n")));
        emperor.wait_log(&format!("{point} is not_mounted"));
        let mark = emperor.mark();
        let status = std::process::Command::new("mount").args(["-t", "tmpfs", "none"]).arg(point.to_string()).status();
        assert!(status.expect("mount is there").success());
        emperor.wait_log_from(mark, &[&format!("{point} is healthy")]);
        let gone = || std::process::Command::new("umount").arg(point.to_string()).status().is_ok_and(|status| status.success());
        wait_until("the unmount", SHORT, gone);
        emperor.wait_cause(mark, "v.ini", "mountpoint_gone");
    });
}
