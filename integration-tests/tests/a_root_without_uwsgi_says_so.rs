//! Which uwsgi runs is the one of the vassal's root. A root that has none: one sentence that says so, and the vassal backs off.

use std::fs;

use liege_integration_tests::cow::{Ns, USERS};
use liege_integration_tests::{LONG, served, story, wait_until};

#[test]
fn a_root_without_uwsgi_says_so() {
    story(|host| {
        let ns = Ns::new(host);
        let root = ns.rootfs("precise");
        let customer = ns.customer("precise", USERS[0]);
        // Debian's uwsgi is a link by way of /etc/alternatives.
        let link = root.join("usr/bin/uwsgi");
        let target = fs::read_link(&link).unwrap();
        fs::remove_file(&link).unwrap();
        let emperor = host.emperor().plugins_are_named().start();
        emperor.write("app001.ini", &customer.vassal());
        let line = emperor.wait_cause(0, "app001.ini", "exec_failed");
        assert!(line.contains("no uwsgi in the PATH of the vassal's root"), "{line}");
        assert!(line.contains("ENOENT") && line.contains("binary-path"), "{line}");
        emperor.wait_log("starts again in 1.000s");
        wait_until("nothing of it to be left", LONG, || emperor.vassals().is_empty());

        std::os::unix::fs::symlink(target, &link).unwrap();
        served(customer.port, "page of precise", LONG);
    });
}
