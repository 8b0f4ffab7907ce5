//! `mountpoint-check` of a directory on a disk of the host's (`/srv`, `/home`): the disk answers, and that is no mount at the path.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use liege_integration_tests::apps::{Reporter, USER, ZipApp, own};
use liege_integration_tests::scrape::{ANY_PORT, Listener};
use liege_integration_tests::tools::run_liege;
use liege_integration_tests::{Host, LONG, story, wait_until};
use nix::mount::{MsFlags, mount};
use nix::sys::signal::Signal;

const TIMES: &str = "mountpoint-check-interval = 0.2\nmountpoint-check-timeout = 1\n";

/// A disk of the host's, and a directory on it that the app's user may mount on.
fn disk(host: &Host) -> (PathBuf, PathBuf) {
    let disk = host.path("disk");
    fs::create_dir(&disk).unwrap();
    mount(Some("disk"), &disk, Some("tmpfs"), MsFlags::empty(), Some("mode=0755")).unwrap();
    let point = disk.join("point");
    fs::create_dir(&point).unwrap();
    own(&point);
    (disk, point)
}

fn taken_out(disk: &Path) {
    wait_until("the disk to be busy no more", LONG, || nix::mount::umount(disk).is_ok());
}

fn vassal(reporter: &Reporter, more: &str) -> String {
    format!("[vassal]\nuid = {USER}\ngid = {USER}\ncommand = {}\n{TIMES}{more}", reporter.command())
}

#[test]
fn a_mount_that_failed_is_ill_in_every_view_says_why_and_harms_nothing() {
    story(|host| {
        let (reporter, (disk, point)) = (Reporter::new(host, "silent"), disk(host));
        let emperor = host.emperor().arg("--emperor-metrics").arg(ANY_PORT).start();
        let daemon = Listener::of(&emperor);
        let point = point.display();
        let hook = format!("hook-as-user = safeexec:fuse-zip -r /nosuch.zip {point}\nmountpoint-check = {point}\n");
        emperor.write("v.ini", &vassal(&reporter, &hook));
        let _started = reporter.started(1);
        let told = emperor.wait_log(&format!("{point} is not_mounted: nothing is mounted there, the directory answers"));
        assert!(told.contains("v.ini:7: hook-as-user") && told.contains("cannot open ZIP archive"), "{told}");
        let up = format!(r#"liege_mountpoint_up{{vassal="v.ini",mountpoint="{point}",state="not_mounted"}}"#);
        daemon.wait_value(&up, LONG, |up| up == 0.0);
        let said = emperor.ask_well(&["status", "v.ini"]);
        assert!(said.contains("not_mounted: nothing is mounted there, the directory answers"), "{said}");
        assert!(said.contains("cannot open ZIP archive"), "{said}");
        // Twice the time in which a mount that must be there would have to come.
        let checks = |daemon: &Listener| daemon.value("liege_check_duration_seconds_count").unwrap_or(0.0);
        let before = checks(&daemon);
        wait_until("ten checks more", LONG, || checks(&daemon) >= before + 10.0);
        assert_eq!(reporter.starts().len(), 1, "it goes on");
        emperor.remove("v.ini");
        emperor.wait_log("v.ini: gone");
        taken_out(&disk);
    });
}

#[test]
fn a_mount_that_is_required_and_missing_ends_the_run() {
    for namespaces in [Some("fs,pid"), None] {
        story(|host| {
            let (reporter, (disk, point)) = (Reporter::new(host, "required"), disk(host));
            let emperor = host.emperor().namespaces(namespaces).start();
            let point = point.display();
            emperor
                .write("v.ini", &vassal(&reporter, &format!("mountpoint-check = {point}\nmountpoint-check-required = true\n")));
            let line = emperor.wait_cause(0, "v.ini", "mountpoint_missing");
            assert!(line.contains(&format!("nothing is mounted at {point}")), "{line}");
            let _second = reporter.started(2);
            emperor.remove("v.ini");
            emperor.wait_log("v.ini: gone");
            taken_out(&disk);
        });
    }
}

#[test]
fn a_mount_that_does_not_come_back_in_the_next_life_is_missed() {
    for namespaces in [Some("fs,pid"), None] {
        story(|host| {
            let (reporter, app) = (Reporter::new(host, "again"), ZipApp::new(host, "zip", "text"));
            let (disk, point) = disk(host);
            let emperor = host.emperor().namespaces(namespaces).start();
            let (zip, shown) = (app.zip.display(), point.display());
            // By a script, so that the file does not say where.
            let script = host.path("mounts");
            fs::write(&script, format!("fusermount3 -uz {shown} 2>&-; fuse-zip -r {zip} {shown}; :\n")).unwrap();
            let text = format!("exec-as-user = sh {}\nmountpoint-check = {shown}\n", script.display());
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
            emperor.remove("v.ini");
            emperor.wait_log("v.ini: gone");
            wait_until("no mount is left", LONG, || nix::mount::umount(&point).is_err());
            taken_out(&disk);
        });
    }
}

/// uWSGI's files check a directory of the host's on purpose, and so they may here.
#[test]
fn a_directory_that_no_line_mounts_on_is_as_well_as_its_disk() {
    story(|host| {
        let (reporter, (disk, point)) = (Reporter::new(host, "plain"), disk(host));
        let emperor = host.emperor().start();
        let point = point.display();
        let other = disk.join("other");
        fs::create_dir(&other).unwrap();
        let other = other.display();
        let text = format!("hook-pre-jail = mount:tmpfs none {other}\nmountpoint-check = {point}\nmountpoint-check = {other}\n");
        emperor.write("v.ini", &vassal(&reporter, &text));
        emperor.wait_log(&format!("{point} is healthy: no mount point itself, the mount it lies on answers"));
        emperor.wait_log(&format!("{other} is healthy"));
        emperor.remove("v.ini");
        emperor.wait_log("v.ini: gone");
        taken_out(&disk);
    });
}

#[test]
fn a_path_inside_a_mount_is_watched_with_that_mount() {
    story(|host| {
        let (reporter, (disk, point)) = (Reporter::new(host, "inside"), disk(host));
        let emperor = host.emperor().arg("--emperor-metrics").arg(ANY_PORT).start();
        let daemon = Listener::of(&emperor);
        let inside = point.join("inside");
        fs::create_dir_all(inside.join("point")).unwrap();
        let (point, inside) = (point.display(), inside.display());
        let hooks = [
            format!("hook-pre-jail = mount:tmpfs none {point} defaults mode=0755"),
            format!("hook-pre-jail = mkdir:{inside}"),
            // A directory of the host's again, whose mount is the vassal's own.
            format!("hook-pre-jail = mount:none {} {inside} bind", disk.display()),
        ];
        let text = format!("{}\nmountpoint-check = {inside}/point\nmountpoint-check-required = true\n", hooks.join("\n"));
        emperor.write("v.ini", &vassal(&reporter, &text));
        emperor.wait_log(&format!("{inside}/point is healthy"));
        let checks = || daemon.value("liege_check_duration_seconds_count").unwrap_or(0.0);
        let before = checks();
        wait_until("ten checks more, twice the time in which a mount would have to come", LONG, || checks() >= before + 10.0);
        assert_eq!(reporter.starts().len(), 1, "it goes on");
        let mark = emperor.mark();
        let init = emperor.vassal("reports/inside").init.pid.to_string();
        let unmount = ["-m", "-p", "-t", &init, "--", "umount", "-l", &point.to_string()];
        assert!(Command::new("nsenter").args(unmount).status().expect("nsenter is there").success());
        let line = emperor.wait_cause(mark, "v.ini", "mountpoint_gone");
        assert!(line.contains("it was unmounted"), "{line}");
        emperor.remove("v.ini");
        emperor.wait_log("v.ini: gone");
        taken_out(&disk);
    });
}

#[test]
fn check_names_the_mount_point_and_knows_the_disk() {
    story(|host| {
        let (reporter, (disk, point)) = (Reporter::new(host, "check"), disk(host));
        let file = host.path("v.ini");
        let zip = disk.join("z.zip");
        let text =
            format!("exec-as-user = fuse-zip -r {} {}\nmountpoint-check = {}\n", zip.display(), point.display(), disk.display());
        fs::write(&file, vassal(&reporter, &text)).unwrap();
        let (status, said) = run_liege(&["check".as_ref(), file.as_os_str()]);
        assert!(status == 0 && said.contains(&format!("write mountpoint-check = {}", point.display())), "{said}");
        assert!(!said.contains("nothing is mounted at"), "{said}");
        taken_out(&disk);
    });
}
