//! Where no inotify instance is left, the daemon starts all the same: it says so, finds what changes by its rescans, and watches as soon
//! as it can. The daemon is in a user namespace of its own, which has a count of its own.

use std::fs;

use liege_integration_tests::userns::UserNamespace;
use liege_integration_tests::{LONG, story, wait_until};

#[test]
fn no_inotify_instance_keeps_nobody_down() {
    story(|host| {
        let namespace = UserNamespace::new();
        namespace.bound("inotify_instances", 0);
        let (vassals, other) = (host.path("vassals"), host.path("other"));
        for directory in [&vassals, &other] {
            fs::create_dir_all(directory).unwrap();
        }
        let text = "[vassal]\nuid = root\nvassal-proc = false\ncommand = /bin/sleep 100000\n";
        fs::write(vassals.join("first.ini"), text).unwrap();
        fs::write(other.join("second.ini"), text).unwrap();
        let words = namespace.wrapper();
        let emperor = host.emperor().namespaces(None).under(&words.each_ref().map(String::as_str));
        let emperor = emperor.arg("--emperor").arg(&other).arg("--emperor-freq").arg("1").start_unheard();
        emperor.wait_log("the emperor is ready");
        for directory in [&vassals, &other] {
            let directory = directory.display().to_string();
            emperor.wait_log_from(0, &["inotify cannot watch", &directory, "max_user_instances", "found by the rescans only"]);
        }
        emperor.wait_log_from(0, &["first.ini", "started"]);
        emperor.wait_log_from(0, &["second.ini", "started"]);
        emperor.write("third.ini", text);
        emperor.wait_log_from(0, &["third.ini", "started"]);

        namespace.bound("inotify_instances", 100);
        for directory in [&vassals, &other] {
            emperor.wait_log_from(0, &["inotify watches", &directory.display().to_string()]);
        }
        fs::remove_file(other.join("second.ini")).unwrap();
        ["first.ini", "third.ini"].iter().for_each(|name| emperor.remove(name));
        wait_until("all to end", LONG, || emperor.vassals().is_empty());
    });
}
