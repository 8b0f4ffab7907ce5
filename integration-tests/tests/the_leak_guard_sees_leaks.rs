//! The guard itself is on trial: a clean story passes, and each kind of leak fails with its name.

use std::panic::catch_unwind;
use std::process::Command;

use liege_integration_tests::apps::{USER, ZipApp};
use liege_integration_tests::{SHORT, procs, story, wait_for};
use nix::mount::{MsFlags, mount};

#[test]
fn a_story_without_leaks_passes() {
    story(|host| {
        let app = ZipApp::new(host, "app", "hello");
        let status = Command::new("unshare").args(["-m", "true"]).status().expect("unshare");
        assert!(status.success() && app.zip.exists());
    });
}

#[test]
fn a_daemon_left_behind_is_named() {
    let failure = failure_of(|| {
        story(|host| {
            let pid = host.path("pid");
            let status = Command::new(host.helper("daemoniser")).arg(&pid).status().expect("daemoniser");
            assert!(status.success() && pid.exists());
        });
    });
    assert!(failure.contains("left something behind") && failure.contains("daemoniser"), "{failure}");
    let left = procs::descendants(i32::try_from(std::process::id()).expect("a pid is small"));
    assert!(left.is_empty(), "the broom left {left:?}");
}

#[test]
fn a_mount_that_reaches_the_host_is_named() {
    let failure = failure_of(|| {
        story(|host| {
            let point = host.open_dir("point");
            mount(Some("none"), &point, Some("tmpfs"), MsFlags::empty(), None::<&str>).expect("a tmpfs");
        });
    });
    assert!(failure.contains("new mount on the host") && failure.contains("/point"), "{failure}");
}

#[test]
fn a_fuse_daemon_left_behind_is_named_with_its_connection_and_mount() {
    let failure = failure_of(|| {
        story(|host| {
            let app = ZipApp::new(host, "app", "hello");
            let line = format!("fuse-zip -r {} {}", app.zip.display(), app.mount.display());
            let status = Command::new("setpriv")
                .args([&format!("--reuid={USER}"), &format!("--regid={USER}"), "--init-groups", "sh", "-c", &line])
                .status()
                .expect("setpriv");
            assert!(status.success(), "{status}");
            wait_for("the mount", SHORT, || host.mountinfo().contains(" - fuse").then_some(()));
        });
    });
    for word in ["fuse-zip", "new FUSE connection", "new mount on the host"] {
        assert!(failure.contains(word), "{word} is not named: {failure}");
    }
}

/// The message of the panic that `run` is expected to end in.
fn failure_of(run: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let panic = catch_unwind(run).expect_err("the guard saw nothing");
    panic.downcast::<String>().map_or_else(|_| "no message".into(), |message| *message)
}
