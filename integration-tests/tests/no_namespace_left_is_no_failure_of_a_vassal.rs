//! The host allows no more namespaces, at a birth or in an `unshare`. The vassal is tried again every few seconds and back in as many once
//! there is room; what is missing is named by its sysctl. The daemon is in a user namespace of its own, which has counts of its own.

use std::fs;

use liege_integration_tests::userns::UserNamespace;
use liege_integration_tests::{Host, LONG, story, wait_until};

/// As many as its start-limit allows failures.
const BIRTHS: usize = 2;

/// One kind is used up, and a vassal is to be born that needs it.
fn used_up(host: &Host, kind: &str, namespaces: &str, keys: &str) {
    let namespace = UserNamespace::new();
    let words = namespace.wrapper();
    let vassals = host.path("vassals");
    fs::create_dir_all(&vassals).unwrap();
    let emperor = host.emperor().namespaces(Some(namespaces)).under(&words.each_ref().map(String::as_str));
    let emperor = emperor.start_unheard();
    emperor.wait_log("the emperor is ready");
    namespace.bound(&format!("{kind}_namespaces"), 0);
    let mark = emperor.mark();
    let text = "[vassal]\nuid = root\nvassal-proc = false\nstart-limit = 2\ncommand = /bin/sleep 100000\n";
    emperor.write("app.ini", &format!("{text}{keys}"));

    let lines = |what: &str| emperor.log()[mark..].iter().filter(|line| line.contains(what)).count();
    wait_until("a birth to fail", LONG, || lines("cause=") > 0);
    let told = emperor.log()[mark..].iter().find(|line| line.contains("cause=")).cloned().expect("one");
    for word in ["cause=shortage", "no namespace is left on this host", &format!("user.max_{kind}_namespaces"), "ENOSPC"] {
        assert!(told.contains(word), "{word}: {told}");
    }
    wait_until("more births to fail", LONG, || lines("cause=shortage") >= BIRTHS);
    let of_its_log = emperor.log()[mark..].iter().find(|line| line.contains("its log in")).cloned();
    assert!(of_its_log.iter().all(|line| line.contains("user.max_mnt_namespaces")), "{of_its_log:?}");
    namespace.bound(&format!("{kind}_namespaces"), 1000);
    emperor.wait_log_from(mark, &["app.ini", "started"]);
    for word in ["flapping", "not tried again", "given up"] {
        assert_eq!(lines(word), 0, "{word}: {:#?}", &emperor.log()[mark..]);
    }
    emperor.remove("app.ini");
    wait_until("it to end", LONG, || emperor.vassals().is_empty());
}

#[test]
fn no_namespace_left_is_no_failure_of_a_vassal() {
    for kind in ["mnt", "pid"] {
        story(|host| used_up(host, kind, "fs,pid", ""));
    }
    story(|host| used_up(host, "net", "fs,pid", "unshare = net\n"));
    story(|host| used_up(host, "user", "fs,pid,user", ""));
}
