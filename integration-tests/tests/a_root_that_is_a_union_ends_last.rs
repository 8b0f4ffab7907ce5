//! The root of a vassal is a union, which cannot be unmounted, and an archive that lies in it is mounted in it. At the end the
//! archive is written back into the customer's layer first; then the union's daemon is asked to end, and does so by itself.

use std::fs;
use std::process::Command;

use liege_integration_tests::cow::{Ns, USERS};
use liege_integration_tests::tools::need;
use liege_integration_tests::{LONG, served, story, wait_for, wait_until};

#[test]
fn a_root_that_is_a_union_ends_last() {
    need("unzip");
    story(|host| {
        let ns = Ns::new(host);
        let root = ns.rootfs("precise");
        let (zip, small) = (root.join("srv/data/a.zip"), host.path("small.txt"));
        fs::write(&small, "small\n").unwrap();
        assert!(Command::new("zip").arg("-qj").arg(&zip).arg(&small).status().unwrap().success());
        // What fuse-zip calls by this name before the root has changed it finds by it afterwards too.
        let inside = root.join(ns.ufs.strip_prefix("/").unwrap());
        fs::create_dir_all(inside.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink("/", &inside).unwrap();
        let customer = ns.customer("precise", USERS[0]);
        let ufs = ns.ufs.display();
        let hook = format!("hook-pre-jail = exec:fuse-zip -o allow_other {ufs}/srv/data/a.zip {ufs}/mnt\n");

        let emperor = host.emperor().plugins_are_named().env("RUST_LOG", "debug").start();
        emperor.write("c.ini", &customer.layer_first().replace("pivot_root =", &format!("{hook}pivot_root =")));
        served(customer.port, "page of precise", LONG);
        customer.tell("/append/mnt/new.txt");
        let processes = wait_for("the vassal", LONG, || emperor.vassals().pop()).processes();
        let mark = emperor.mark();
        emperor.remove("c.ini");
        wait_until("it to be gone", LONG, || processes.iter().all(|process| !process.lives()));

        let saved = Command::new("unzip").arg("-p").arg(customer.layer.join("srv/data/a.zip")).arg("new.txt").output().unwrap();
        assert_eq!(String::from_utf8_lossy(&saved.stdout), "by uid 33\n");
        emperor.wait_log_from(mark, &["c.ini: gone"]);
        let log = emperor.log().split_off(mark);
        // Nothing is heard of a process that ends with its namespace: these have ended before it. (In a chroot without libgcc_s
        // unionfs-fuse aborts at each of its ends, when all is written.)
        let at = |word: &str| log.iter().position(|line| line.contains("in its namespace") && line.contains(word));
        let ends = [at("fuse-zip with pid"), at("unionfs-fuse with pid")];
        assert!(ends[0].is_some() && ends[0] < ends[1], "{log:#?}");
        assert!(!log.iter().any(|line| line.contains("not written back")), "{log:#?}");
    });
}

/// Where the root of before stays below the new one, everything the daemon has open lies there too.
#[test]
fn a_union_whose_old_root_stays_ends_without_a_loss() {
    story(|host| {
        let ns = Ns::new(host);
        let _root = ns.rootfs("precise");
        let customer = ns.customer("precise", USERS[0]);
        let is_kept = |line: &&str| !["plugin", "psgi", "http-socket", "hook-as-root"].iter().any(|word| line.starts_with(word));
        let layer_first = customer.layer_first();
        let text: String = layer_first.lines().filter(is_kept).map(|line| format!("{line}\n")).collect();
        let writes = "command = /bin/sh -c 'echo x > /srv/data/new.txt; exec /bin/sleep 1001'\n";
        let emperor = host.emperor().env("RUST_LOG", "debug").start();
        emperor.write("c.ini", &(text.replace("[uwsgi]", "[vassal]") + writes));
        wait_until("the app to have written", LONG, || customer.written() == ["srv/data/new.txt"]);
        let mark = emperor.mark();
        emperor.ask_well(&["stop", "c"]);
        wait_until("it to be gone", LONG, || emperor.vassals().is_empty());
        emperor.wait_log_from(mark, &["unionfs-fuse with pid"]);
        let told = emperor.log().into_iter().find(|line| line.contains("not written back"));
        assert_eq!(told, None);
    });
}
