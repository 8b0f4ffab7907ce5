//! HUP: every vassal reloads in its kept namespaces; a command without a reload signal is replaced in place.

use liege_integration_tests::apps::{Reporter, ZipApp};
use liege_integration_tests::{LONG, served, story};
use nix::sys::signal::Signal;

#[test]
fn hup_reloads_all() {
    story(|host| {
        let (app, one, two) = (ZipApp::new(host, "app", "from the zip"), Reporter::new(host, "one"), Reporter::new(host, "two"));
        let emperor = host.emperor().start();
        emperor.write("app001.ini", &app.checked());
        emperor.write("one.ini", &one.vassal(""));
        emperor.write("two.ini", &two.vassal(""));
        served(app.port, "from the zip", LONG);
        let (_one, _two) = (one.started(1), two.started(1));
        let before = [emperor.vassal("app001.ini"), emperor.vassal("reports/one"), emperor.vassal("reports/two")];
        let daemon = before[0].process("fuse-zip");
        let mark = emperor.mark();

        emperor.signal(Signal::SIGHUP);
        let (_one, _two) = (one.started(2), two.started(2));
        emperor.wait_log_from(mark, &["app001.ini", "reloaded"]);
        served(app.port, "from the zip", LONG);
        let after = [emperor.vassal("app001.ini"), emperor.vassal("reports/one"), emperor.vassal("reports/two")];
        assert_eq!(after, before, "the same inits");
        assert_eq!(after[0].process("fuse-zip"), daemon);
    });
}
