//! A file goes: its app is asked to end, and then no process, mount, port or zombie of it is left, while the others go on.

use liege_integration_tests::apps::{Reporter, ZipApp};
use liege_integration_tests::{LONG, get, served, story, wait_until};

#[test]
fn a_removed_file_leaves_nothing() {
    story(|host| {
        let (app, other) = (ZipApp::new(host, "app", "from the zip"), Reporter::new(host, "other"));
        let emperor = host.emperor().start();
        emperor.write("other.ini", &other.vassal(""));
        let _other = other.started(1);
        let alone = emperor.gauge();
        emperor.write("app001.ini", &app.checked());
        served(app.port, "from the zip", LONG);
        let vassal = emperor.vassal("app001.ini");
        let processes = vassal.processes();

        emperor.remove("app001.ini");
        wait_until("every process to be gone", LONG, || vassal.is_gone(&processes));
        assert!(get(app.port, "/").is_err(), "nobody listens any more");
        wait_until("the emperor to hold what it held before", LONG, || {
            emperor.gauge().differs(&alone, 32).is_none_or(|d| !d.contains("descriptor"))
        });
        assert_eq!(emperor.vassals().len(), 1, "the other one goes on");
        assert_eq!(other.starts().len(), 1, "undisturbed");
    });
}

#[test]
fn an_app_that_ignores_the_request_is_killed_after_its_stop_timeout() {
    story(|host| {
        let pid = host.open_dir("pids").join("stubborn");
        let emperor = host.emperor().start();
        emperor.write(
            "s.ini",
            &format!(
                "[vassal]\ncommand = {} {}\nstop-timeout = 1\nuid = root\n",
                host.helper("stubborn").display(),
                pid.display()
            ),
        );
        wait_until("its pid", LONG, || pid.exists());
        let vassal = emperor.vassal("pids/stubborn");
        let (processes, start) = (vassal.processes(), std::time::Instant::now());
        emperor.remove("s.ini");
        wait_until("it to be gone", LONG, || vassal.is_gone(&processes));
        let took = start.elapsed().as_millis();
        assert!((900..5000).contains(&took), "asked, given a second, then killed: {took} ms");
    });
}
