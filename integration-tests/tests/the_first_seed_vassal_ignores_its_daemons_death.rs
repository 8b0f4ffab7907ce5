//! The seed's first vassal has no `mountpoint-check`: when its daemon dies the app sees a dead mount, and nothing else happens.

use std::time::Duration;

use liege_integration_tests::apps::ZipApp;
use liege_integration_tests::wait::holds_for;
use liege_integration_tests::{LONG, SHORT, get, served, story, wait_for};
use nix::sys::signal::Signal;

#[test]
fn the_first_seed_vassal_ignores_its_daemons_death() {
    story(|host| {
        let app = ZipApp::new(host, "app", "from the zip");
        let emperor = host.emperor().start();
        emperor.write("app001.ini", &app.unchecked());
        served(app.port, "from the zip", LONG);
        let vassal = emperor.vassal("app001.ini");

        vassal.process("fuse-zip").kill(Signal::SIGKILL);
        let answer =
            wait_for("the app to see the dead mount", SHORT, || get(app.port, "/").ok().filter(|(status, _)| *status == 503));
        // Whoever was waiting is aborted, whoever comes later is told that nobody is there.
        assert!(answer.1.contains("not connected") || answer.1.contains("connection abort"), "{answer:?}");
        holds_for("the app goes on with its dead mount", Duration::from_millis(2500), || {
            vassal.init.lives() && get(app.port, "/").is_ok_and(|(status, _)| status == 503)
        });
    });
}
