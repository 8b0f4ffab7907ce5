//! Reloading where the root is a union: uWSGI's own reload looks for its file in the new root and dies of it. Here a touch and a
//! changed `env` line replace the app in the kept namespaces, with the mounts as they were; a changed jail line rebuilds, and the log
//! and `liege check --plan` say so.

use std::fs;
use std::time::Duration;

use liege_integration_tests::cow::{Customer, Ns, USERS};
use liege_integration_tests::http::Client;
use liege_integration_tests::tools::run_liege;
use liege_integration_tests::{Emperor, Host, LONG, Vassal, served, story, wait_for, wait_until};

#[test]
fn a_touch_reloads_gracefully() {
    story(|host| {
        let (customer, emperor) = running(host);
        let before = kept(&emperor);
        let (mark, client) = (emperor.mark(), Client::start(customer.port, Duration::from_millis(10)));
        emperor.touch("app001.ini");
        emperor.wait_log_from(mark, &["app001.ini", "reloaded"]);
        answers(&client, 20);
        let tally = client.stop();
        assert!(tally.errors.is_empty(), "{} answers, and: {:?}", tally.ok, tally.errors);
        assert_eq!(kept(&emperor), before, "the same init, union and mounts");
    });
}

#[test]
fn a_changed_env_line_is_served_in_place() {
    story(|host| {
        let (customer, emperor) = running(host);
        for round in ["one", "two"] {
            let before = kept(&emperor);
            let (mark, client) = (emperor.mark(), Client::start(customer.port, Duration::from_millis(10)));
            emperor.write("app001.ini", &format!("{}env = ROUND={round}\n", customer.vassal()));
            wait_until(&format!("{round} to be served"), LONG, || customer.ask("/env/ROUND").as_deref() == Some(round));
            emperor.wait_log_from(mark, &["app001.ini", "reloaded"]);
            answers(&client, 20);
            let tally = client.stop();
            assert!(tally.errors.is_empty(), "{} answers, and: {:?}", tally.ok, tally.errors);
            assert_eq!(kept(&emperor), before, "the same init, union and mounts");
        }
    });
}

#[test]
fn a_removed_env_line_is_gone_in_place() {
    story(|host| {
        let (customer, emperor) = running(host);
        emperor.write("app001.ini", &format!("{}env = ROUND=one\n", customer.vassal()));
        wait_until("it to be served", LONG, || customer.ask("/env/ROUND").as_deref() == Some("one"));
        let before = kept(&emperor);
        emperor.write("app001.ini", &customer.vassal());
        wait_until("it to be gone", LONG, || customer.ask("/env/ROUND").is_some_and(|said| said != "one"));
        assert_eq!(kept(&emperor), before, "the same init, union and mounts");
    });
}

#[test]
fn a_changed_jail_line_rebuilds_and_is_named() {
    story(|host| {
        let (customer, emperor) = running(host);
        let before = emperor.vassal("app001.ini");
        let (processes, mark) = (before.processes(), emperor.mark());
        let text = customer.vassal();
        let changed = text.replace("mount:none /.old_root/dev /dev bind", "mount:none /.old_root/dev /dev bind,rec");
        let number = 1 + changed.lines().zip(text.lines()).position(|(new, old)| new != old).expect("one line is changed");
        emperor.write("app001.ini", &changed);
        let line = emperor.wait_log_from(mark, &["app001.ini", &format!("app001.ini:{number}"), "changed"]);
        assert!(line.contains("hook-as-root"), "{line}");
        wait_until("the old instance to be gone", LONG, || before.is_gone(&processes));
        served(customer.port, "page of precise", LONG);
        assert_ne!(emperor.vassal("app001.ini").init, before.init, "a new init");
    });
}

#[test]
fn check_shows_the_first_start_and_the_reload() {
    story(|host| {
        let ns = Ns::new(host);
        let file = host.path("app001.ini");
        fs::write(&file, format!("{}env = ROUND=one\n", ns.customer("precise", USERS[0]).vassal())).unwrap();
        let (status, said) = run_liege(&["check".as_ref(), file.as_os_str(), "--plan".as_ref()]);
        assert_eq!(status, 0, "{said}");
        let (first, again) = said.split_once("reload, in the kept namespaces:").expect("both are shown");
        let order =
            ["chdir /", "unionfs-fuse", "recursively private", "pivot_root", "mount proc", "/dev", "umount /.old_root", " app "];
        let places: Vec<usize> =
            order.iter().map(|word| first.find(word).unwrap_or_else(|| panic!("no {word} in\n{first}"))).collect();
        assert!(places.is_sorted(), "{first}");
        for word in ["unionfs-fuse", "pivot_root", "mount proc", "umount"] {
            assert!(!again.contains(word), "a reload does not repeat {word}:\n{again}");
        }
        assert!(again.contains(" app "), "{again}");
    });
}

/// A customer that is served.
fn running(host: &Host) -> (Customer, std::rc::Rc<Emperor>) {
    let ns = Ns::new(host);
    let _root = ns.rootfs("precise");
    let customer = ns.customer("precise", USERS[0]);
    let emperor = host.emperor().plugins_are_named().start();
    emperor.write("app001.ini", &customer.vassal());
    served(customer.port, "page of precise", LONG);
    (customer, emperor)
}

/// What a reload must not touch: init, the union's daemon, and the whole mount table, ids and all.
fn kept(emperor: &Emperor) -> (i32, i32, String) {
    let vassal: Vassal = emperor.vassal("app001.ini");
    (vassal.init.pid, vassal.process("unionfs-fuse").pid, vassal.init.mountinfo())
}

/// Waits for so many more answers.
fn answers(client: &Client, more: usize) {
    let so_far = client.answers();
    wait_for("some more answers", LONG, || (client.answers() > so_far + more).then_some(()));
}
