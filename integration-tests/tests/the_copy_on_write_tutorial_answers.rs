//! The second half of the tutorial: the seed's vassal on a union as its root, nothing altered but names, paths, port and user.

use std::fs;

use liege_integration_tests::cow::{Ns, USERS};
use liege_integration_tests::{LONG, served, story};

#[test]
fn the_copy_on_write_tutorial_answers() {
    story(|host| {
        let ns = Ns::new(host);
        let _root = ns.rootfs("precise");
        let customer = ns.customer("precise", USERS[0]);
        let emperor = host.emperor().plugins_are_named().start();
        emperor.write("app001.ini", &customer.vassal());
        served(customer.port, "page of precise", LONG);

        let vassal = emperor.vassal("app001.ini");
        assert_eq!(vassal.process("unionfs-fuse").uid(), Some(0), "the root is mounted as root");
        let app = vassal.process("uwsgi");
        assert_eq!(app.uid(), Some(liege_integration_tests::apps::user().0.as_raw()), "uwsgi drops to the user");
        // The uwsgi that runs is the root's own, not the host's.
        let program = fs::read_link(format!("/proc/{}/exe", app.pid)).unwrap();
        let inside = fs::metadata(format!("/proc/{}/root{}", app.pid, program.display())).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::dev(&inside), device_of_root(app.pid), "uwsgi lies in the union");

        let table = vassal.init.mountinfo();
        let places: Vec<&str> = table.lines().filter_map(|line| line.split(' ').nth(4)).collect();
        assert_eq!(places.iter().filter(|place| **place == "/").count(), 1, "one root:\n{table}");
        assert!(places.contains(&"/proc") && places.contains(&"/dev"), "{table}");
        assert!(!table.contains(".old_root"), "the old root is gone with all below it:\n{table}");
        assert!(!host.mountinfo().contains("unionfs"), "the host has it too:\n{}", host.mountinfo());
        assert!(fs::read_dir(&ns.ufs).unwrap().next().is_none(), "the host sees an empty directory");
    });
}

#[test]
fn the_sample_answers_too() {
    story(|host| {
        let ns = Ns::new(host);
        let _root = ns.rootfs("bookworm");
        let customer = ns.customer("bookworm", USERS[0]);
        let sample = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../config/vassals/cow-root.ini")).unwrap();
        let text = sample
            .replace("chroot=/ns,", &format!("chroot={},", ns.dir.display()))
            .replace("/ufs", &ns.ufs.display().to_string())
            .replace("127.0.0.1:9092", &format!("127.0.0.1:{}", customer.port));
        let emperor = host.emperor().plugins_are_named().start();
        emperor.write("cow-root.ini", &text);
        served(customer.port, "page of bookworm", LONG);
        assert_eq!(customer.tell("/env/CUSTOMER"), USERS[0]);
        customer.tell("/append/srv/data/shared.txt");
        assert_eq!(customer.written(), ["srv/data/shared.txt"]);
    });
}

/// The device of a process's root.
fn device_of_root(pid: i32) -> u64 {
    std::os::unix::fs::MetadataExt::dev(&fs::metadata(format!("/proc/{pid}/root/")).unwrap())
}
