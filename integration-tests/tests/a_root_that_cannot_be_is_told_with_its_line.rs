//! Bad input for the copy-on-write vassal, one after the other: each is one sentence with the line that asked for it and the errno,
//! the vassal backs off, and while it waits nothing of it is left.

use std::fs;

use liege_integration_tests::cow::{Customer, Ns, USERS};
use liege_integration_tests::{LONG, story, wait_until};

/// The lines of the seed that are bent.
const UNION: &str = "hook-pre-jail = exec:unionfs-fuse";
const PIVOT: &str = "pivot_root = ";
const DEV: &str = "hook-as-root = mount:none /.old_root/dev /dev";

#[test]
fn a_root_that_is_missing() {
    let bend = |customer: &Customer, _: &Ns| customer.vassal().replace("/precise=RO", "/missing=RO");
    // unionfs-fuse is a program: its status is the sentence, its own words stand in the vassal's log.
    let words = told(UNION, bend, &["exec unionfs-fuse", "exited with status 1"]);
    assert!(words.iter().any(|line| line.starts_with("pre-jail: ") && line.contains("/missing/: No such file")), "{words:?}");
}

#[test]
fn an_old_root_without_a_place() {
    let bend = |customer: &Customer, ns: &Ns| {
        fs::remove_dir(ns.dir.join("precise/.old_root")).unwrap();
        customer.vassal()
    };
    told(PIVOT, bend, &["pivot_root", "ENOENT", "the old one's place is missing"]);
}

#[test]
fn an_old_root_outside_the_new_one() {
    let bend = |customer: &Customer, ns: &Ns| {
        let place = format!("{}/.old_root", ns.ufs.display());
        customer.vassal().replace(&format!("{PIVOT}{} {place}", ns.ufs.display()), &format!("{PIVOT}{} /etc", ns.ufs.display()))
    };
    told(PIVOT, bend, &["pivot_root", " /etc ", "EINVAL", "must be below the new root"]);
}

#[test]
fn a_new_root_that_is_a_file() {
    let bend = |customer: &Customer, ns: &Ns| {
        fs::remove_dir(&ns.ufs).unwrap();
        fs::write(&ns.ufs, "").unwrap();
        customer.vassal()
    };
    told(PIVOT, bend, &["pivot_root", "ENOTDIR", "is no directory"]);
}

#[test]
fn a_new_root_that_is_no_mount() {
    let bend = |customer: &Customer, ns: &Ns| {
        fs::create_dir(ns.ufs.join(".old_root")).unwrap();
        customer.vassal().lines().filter(|line| !line.starts_with(UNION)).map(|line| format!("{line}\n")).collect()
    };
    told(PIVOT, bend, &["pivot_root", "EBUSY", "must be a mount of its own"]);
}

#[test]
fn a_mount_point_that_is_a_file() {
    let bend = |customer: &Customer, _: &Ns| customer.vassal().replace("/.old_root/dev /dev", "/.old_root/dev /etc/passwd");
    told("hook-as-root = mount:none", bend, &["mount none /.old_root/dev on /etc/passwd", "ENOTDIR", "not both directories"]);
}

#[test]
fn a_mount_point_that_is_missing() {
    let bend = |customer: &Customer, _: &Ns| customer.vassal().replace(&format!("{DEV} "), &format!("{DEV}ices "));
    told(DEV, bend, &["mount none /.old_root/dev on /devices", "ENOENT", "the mount point is missing"]);
}

#[test]
fn a_user_that_does_not_exist() {
    story(|host| {
        let ns = Ns::new(host);
        let _root = ns.rootfs("precise");
        let customer = ns.customer("precise", "nobody-of-this-name");
        let emperor = host.emperor().plugins_are_named().start();
        let text = customer.vassal();
        emperor.write("app001.ini", &text);
        let line = emperor.wait_log_from(0, &[&place(&text, "uid = "), "nobody-of-this-name"]);
        assert!(line.contains("no user"), "{line}");
        wait_until("nothing of it to be left", LONG, || emperor.gauge().descendants.is_empty());
    });
}

#[test]
fn a_new_root_where_the_mounts_are_the_hosts() {
    story(|host| {
        let ns = Ns::new(host);
        let _root = ns.rootfs("precise");
        let emperor = host.emperor().plugins_are_named().namespaces(Some("pid")).start();
        let text = ns.customer("precise", USERS[0]).vassal();
        emperor.write("app001.ini", &text);
        let line = emperor.wait_cause(0, "app001.ini", "hook_failed");
        for word in [place(&text, PIVOT).as_str(), "root of the whole host", "emperor-use-clone"] {
            assert!(line.contains(word), "{word:?} is not in: {line}");
        }
        emperor.wait_log("starts again in");
        assert!(!host.mountinfo().contains("unionfs"), "not even the union was mounted:\n{}", host.mountinfo());
    });
}

/// Starts the seed's vassal as `bend` leaves it, waits for the sentence and the backing off, and sees nothing left. What it has said itself.
fn told(asked_by: &str, bend: impl FnOnce(&Customer, &Ns) -> String + Send, words: &[&str]) -> Vec<String> {
    let mut said = Vec::new();
    story(|host| {
        let ns = Ns::new(host);
        let _root = ns.rootfs("precise");
        let customer = ns.customer("precise", USERS[0]);
        let emperor = host.emperor().plugins_are_named().arg("--emperor-throttle").arg("60000").start();
        let text = bend(&customer, &ns);
        emperor.write("app001.ini", &text);
        let mark = emperor.mark();
        let line = emperor.wait_cause(0, "app001.ini", "hook_failed");
        let place = place(&text, asked_by);
        for word in words.iter().copied().chain([place.as_str()]) {
            assert!(line.contains(word), "{word:?} is not in: {line}");
        }
        emperor.wait_log_from(mark, &["app001.ini", "starts again in 60"]);
        wait_until("nothing of it to be left", LONG, || emperor.gauge().descendants.is_empty());
        said = emperor.said("app001.ini");
    });
    said
}

/// `app001.ini:N` of the first line that starts so.
fn place(text: &str, line: &str) -> String {
    let index = text.lines().position(|l| l.starts_with(line)).unwrap_or_else(|| panic!("no line {line:?} in\n{text}"));
    format!("app001.ini:{}", index + 1)
}
