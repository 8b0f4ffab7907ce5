//! touch: uwsgi reloads inside the kept namespaces. Same fuse-zip, same mount, and a client that asks every 10 ms is never refused.

use std::time::Duration;

use liege_integration_tests::apps::ZipApp;
use liege_integration_tests::http::Client;
use liege_integration_tests::{LONG, served, story, wait_until};
use nix::sys::signal::Signal;

#[test]
fn a_touch_reloads_gracefully_and_keeps_the_mount() {
    story(|host| {
        let app = ZipApp::new(host, "app", "from the zip");
        let emperor = host.emperor().start();
        emperor.write("app001.ini", &app.checked());
        served(app.port, "from the zip", LONG);
        let before = emperor.vassal("app001.ini");
        let (daemon, mount) = (before.process("fuse-zip"), before.mount(&app.mount).expect("mounted"));
        let (init, mark) = (before.init.clone(), emperor.mark());

        let client = Client::start(app.port, Duration::from_millis(10));
        emperor.touch("app001.ini");
        emperor.wait_log_from(mark, &["app001.ini", "reloaded"]);
        let so_far = client.answers();
        wait_until("some answers after the reload", LONG, || client.answers() > so_far + 20);
        let tally = client.stop();

        assert!(tally.errors.is_empty(), "{} answers, and: {:?}", tally.ok, tally.errors);
        let after = emperor.vassal("app001.ini");
        assert_eq!(after.init, init, "the same init");
        assert_eq!(after.process("fuse-zip"), daemon, "the same daemon");
        assert_eq!(after.mount(&app.mount), Some(mount), "the same mount");
    });
}

/// uwsgi says "ready" at its first start only; who accepts after a reload is ready too, or it would die of its `ready-timeout`.
#[test]
fn a_reloaded_uwsgi_is_ready_again() {
    story(|host| {
        let app = ZipApp::new(host, "app", "from the zip");
        let emperor = host.emperor().start();
        emperor.write("app001.ini", &app.checked());
        served(app.port, "from the zip", LONG);
        emperor.wait_log("loyal");
        let mark = emperor.mark();
        emperor.touch("app001.ini");
        emperor.wait_log_from(mark, &["app001.ini", "reloaded"]);
        emperor.wait_log_from(mark, &["app001.ini", "ready after"]);
    });
}

/// A worker that does not accept yet loses the word, and uwsgi waits 60 s for it: only the first worker says that it accepts.
#[test]
fn a_reload_on_the_heels_of_another_reaches_every_worker() {
    story(|host| {
        let app = ZipApp::new(host, "app", "from the zip");
        let emperor = host.emperor().start();
        emperor.write("app001.ini", &format!("{}workers = 6\n", app.checked()));
        served(app.port, "from the zip", LONG);
        emperor.wait_log("loyal");
        for _ in 0..3 {
            let mark = emperor.mark();
            emperor.signal(Signal::SIGHUP);
            emperor.wait_log_from(mark, &["app001.ini", "reloading"]);
            emperor.signal(Signal::SIGHUP); // while the old workers leave
            emperor.wait_log_from(mark, &["app001.ini", "meanwhile"]);
            let mark = emperor.mark();
            emperor.wait_log_from(mark, &["app001.ini", "ready after"]);
        }
    });
}
