//! A file in which nothing stands that liege or uWSGI reads starts no uwsgi, let alone as root: it has a mistake, at its place. So
//! has an empty one, until its first line is written. `vassal-set` may make a vassal of an empty file, as in uWSGI.

use liege_integration_tests::scrape::{ANY_PORT, Listener};
use liege_integration_tests::{LONG, story, wait_until};

#[test]
fn a_file_without_a_section_starts_nothing() {
    story(|host| {
        let emperor = host.emperor().arg("--emperor-metrics").arg(ANY_PORT).start();
        let daemon = Listener::of(&emperor);
        for (name, text, said) in [
            ("touched.ini", "", "is empty"),
            ("supervisor.ini", "[program:x]\ncommand = sleep 100000\n", "a section that nothing reads"),
            ("bare.ini", "command = /bin/sleep 100000\n", "stands in no section"),
            ("yaml.ini", "uwsgi:\n  master: true\n", "stands in no section"),
            ("typo.ini", "[vasal]\nuid = root\ncommand = /bin/sleep 100000\n", "a section that nothing reads"),
        ] {
            emperor.write(name, text);
            daemon.wait_value(&format!("liege_vassal_config_error{{vassal=\"{name}\"}}"), LONG, |value| value == 1.0);
            emperor.wait_log(said);
        }
        assert!(emperor.vassals().is_empty(), "{:?}", emperor.vassals());
        emperor.write("touched.ini", "[vassal]\nuid = root\ncommand = /bin/sleep 100000\n");
        daemon.wait_value("liege_vassal_up{vassal=\"touched.ini\"}", LONG, |value| value == 1.0);
    });
}

#[test]
fn options_of_the_emperor_make_a_vassal_of_an_empty_file() {
    story(|host| {
        let emperor = host.emperor().arg("--vassal-set").arg("exec-pre-jail = touch born").arg("--vassal-set").arg("uid = 65534");
        let emperor = emperor.start();
        emperor.write("empty.ini", "");
        wait_until("its hook to run", LONG, || emperor.file("born").exists());
    });
}
