//! Why a vassal does not start is said where one looks: what the program said last, the place where it was looked for, and what helps.

use std::fs;

use liege_integration_tests::apps::{USER, ZipApp, user};
use liege_integration_tests::tools::run_liege;
use liege_integration_tests::{Emperor, story};

fn ask(emperor: &Emperor, words: &[&str]) -> String {
    let control = emperor.control.as_os_str();
    let words: Vec<_> = words.iter().map(std::ffi::OsStr::new).chain(["--control".as_ref(), control]).collect();
    run_liege(&words).1
}

fn vassal(lines: &str) -> String {
    format!("[vassal]\nuid = {USER}\ngid = {USER}\n{lines}\n")
}

#[test]
fn a_hook_that_fails_is_quoted_in_status_and_events() {
    story(|host| {
        let emperor = host.emperor().start();
        emperor.write(
            "v.ini",
            &vassal("exec-as-user = echo first; echo no such archive: /srv/shop.zip >&2; exit 3\ncommand = sleep 1000"),
        );
        let line = emperor.wait_cause(0, "v.ini", "hook_failed");
        assert!(line.contains("exited with status 3, having said: no such archive: /srv/shop.zip"), "{line}");
        for view in [&["status"][..], &["status", "v.ini"], &["events"]] {
            let said = ask(&emperor, view);
            assert!(said.contains("having said: no such archive: /srv/shop.zip"), "{view:?}: {said}");
        }
    });
}

#[test]
fn a_mount_point_that_is_missing_or_not_owned_is_told_with_the_remedy() {
    story(|host| {
        let (emperor, app) = (host.emperor().start(), ZipApp::new(host, "zip", "text"));
        let (zip, missing, roots) = (app.zip.display(), host.path("missing"), host.path("roots"));
        fs::create_dir(&roots).unwrap();
        let mount = |point: &std::path::Path| {
            vassal(&format!("exec-as-user = fuse-zip -r {zip} {}\ncommand = sleep 1000", point.display()))
        };
        emperor.write("roots.ini", &mount(&roots));
        let line = emperor.wait_cause(0, "roots.ini", "hook_failed");
        assert!(line.contains(&format!("chown the mount point to uid {}", user().0)), "{line}");
        emperor.write("missing.ini", &mount(&missing));
        let line = emperor.wait_cause(0, "missing.ini", "hook_failed");
        assert!(line.contains("mkdir the mount point"), "{line}");
        emperor.write("checked.ini", &vassal(&format!("command = sleep 1000\nmountpoint-check = {}", missing.display())));
        let line = emperor.wait_cause(0, "checked.ini", "mountpoint_dead");
        assert!(line.contains("this root has no such path; mkdir it"), "{line}");
    });
}

#[test]
fn a_program_that_is_nowhere_is_told_with_the_places() {
    story(|host| {
        let emperor = host.emperor().start();
        let closed = host.path("closed");
        fs::create_dir(&closed).unwrap();
        fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        let path = format!("/usr/bin:{}", closed.display());
        emperor.write("typo.ini", &vassal(&format!("env = PATH={path}\ncommand = gunicon app:app")));
        let line = emperor.wait_cause(0, "typo.ini", "exec_failed");
        assert!(line.contains(&format!("no gunicon in the PATH of the vassal's root ({path})")), "{line}");
    });
}
