//! Only the app differs: it is replaced inside the kept namespaces, and the mounts are not touched.

use liege_integration_tests::apps::{Reporter, ZipApp};
use liege_integration_tests::{LONG, served, story};

#[test]
fn a_changed_command_replaces_only_the_app() {
    story(|host| {
        let (zip, one, two) = (ZipApp::new(host, "app", "text"), Reporter::new(host, "one"), Reporter::new(host, "two"));
        let mount = format!(
            "uid = www-data\ngid = www-data\nif-not-reload =\nexec-as-user = fuse-zip -r {} {}\nendif =\n",
            zip.zip.display(),
            zip.mount.display()
        );
        let emperor = host.emperor().start();
        emperor.write("v.ini", &one.vassal(&mount));
        let _first = one.started(1);
        emperor.wait_log("started"); // the app says so before the daemon knows
        let before = emperor.vassal("reports/one");
        let (daemon, mounted) = (before.process("fuse-zip"), before.mount(&zip.mount).expect("mounted"));

        emperor.write("v.ini", &two.vassal(&mount));
        let _second = two.started(1);
        let after = emperor.vassal("reports/two");
        assert_eq!(after.init, before.init, "the same init");
        assert_eq!(after.process("fuse-zip"), daemon, "the same daemon");
        assert_eq!(after.mount(&zip.mount), Some(mounted), "the same mount");
        assert!(emperor.vassal_with("reports/one").is_none(), "the old app is gone");
    });
}

#[test]
fn a_changed_uwsgi_option_reaches_uwsgi_by_its_reload() {
    story(|host| {
        let app = ZipApp::new(host, "app", "from the zip");
        let emperor = host.emperor().start();
        emperor.write("app001.ini", &app.checked());
        served(app.port, "from the zip", LONG);
        let before = emperor.vassal("app001.ini");
        let (init, daemon) = (before.init.clone(), before.process("fuse-zip"));

        // A second app file on the same mount, which answers the same page with another header.
        emperor.write("app001.ini", &format!("{}\nadd-header = X-Generation: two\n", app.checked()));
        liege_integration_tests::wait_until("the new header", LONG, || head(app.port).contains("X-Generation: two"));
        let after = emperor.vassal("app001.ini");
        assert_eq!((after.init.clone(), after.process("fuse-zip")), (init, daemon), "same init, same daemon");
    });
}

/// The whole answer, head and all.
fn head(port: u16) -> String {
    use std::io::{Read as _, Write as _};
    let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) else { return String::new() };
    let mut answer = String::new();
    let _ = stream.write_all(b"GET / HTTP/1.0\r\n\r\n").and_then(|()| stream.read_to_string(&mut answer).map(drop));
    answer
}
