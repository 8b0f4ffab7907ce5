//! The founding tutorial: the seed's vassal with `mountpoint-check`, nothing altered but names, paths and the port.

use liege_integration_tests::apps::{ZipApp, user};
use liege_integration_tests::leaks::minor_of;
use liege_integration_tests::{LONG, served, story};

#[test]
fn the_zip_tutorial_answers_from_the_zip() {
    story(|host| {
        let app = ZipApp::new(host, "app", "from the zip");
        let emperor = host.emperor().start();
        emperor.write("app001.ini", &app.checked());
        served(app.port, "from the zip", LONG);

        let vassal = emperor.vassal("app001.ini");
        let daemon = vassal.process("fuse-zip");
        assert_eq!(daemon.uid(), Some(user().0.as_raw()), "exec-as-user runs as the user");
        assert_eq!(vassal.process("uwsgi").uid(), Some(user().0.as_raw()), "uwsgi drops to the user");
        assert_ne!(vassal.init.namespace("pid"), host_namespace("pid"), "a pid namespace of its own");
        assert_ne!(vassal.init.namespace("mnt"), host_namespace("mnt"), "a mount namespace of its own");
        assert_eq!(vassal.init.inner_pid(), Some(1), "init is pid 1");

        assert!(vassal.mount(&app.mount).is_some(), "the vassal has the mount:\n{}", vassal.init.mountinfo());
        assert_eq!(minor_of(&host.mountinfo(), &app.mount), None, "the host has it too:\n{}", host.mountinfo());
        assert!(std::fs::read_dir(&app.mount).unwrap().next().is_none(), "the host sees an empty directory");
    });
}

/// The inode of one of the story's own namespaces.
fn host_namespace(kind: &str) -> Option<u64> {
    let link = std::fs::read_link(format!("/proc/thread-self/ns/{kind}")).ok()?;
    link.to_str()?.split(['[', ']']).nth(1)?.parse().ok()
}
