//! `liege status NAME` names the sockets a vassal listens at, of TCP and of unix, in its own network namespace too; each once.

use std::fs;

use liege_integration_tests::apps::ZipApp;
use liege_integration_tests::{Emperor, LONG, SHORT, served, story, wait_until};

/// The line of `status` about it.
fn listens(emperor: &Emperor, name: &str) -> String {
    let (_, said) = emperor.ask(&["status", name]);
    let line = said.lines().find_map(|line| line.trim_start().strip_prefix("listens "));
    line.unwrap_or_default().trim().to_owned()
}

#[test]
fn workers_that_share_sockets_tell_them_once() {
    story(|host| {
        let app = ZipApp::new(host, "app", "inside the zip");
        let emperor = host.emperor().start();
        let socket = host.open_dir("sockets").join("app.sock");
        emperor.write("app.ini", &(app.checked() + &format!("workers = 3\nsocket = {}\n", socket.display())));
        served(app.port, "inside the zip", LONG);
        assert_eq!(listens(&emperor, "app"), format!("{}, 127.0.0.1:{}", socket.display(), app.port));
    });
}

#[test]
fn a_network_of_its_own_has_its_own_sockets() {
    story(|host| {
        let script = host.path("server.py");
        fs::write(&script, "import socket, time\ns = socket.create_server(('127.0.0.1', 80))\ntime.sleep(100000)\n").unwrap();
        let emperor = host.emperor().namespaces(Some("fs,pid,net")).start();
        emperor.write("server.ini", &format!("[vassal]\ncommand = /usr/bin/python3 {}\nuid = root\n", script.display()));
        emperor.write("silent.ini", "[vassal]\ncommand = /bin/sleep 100000\nuid = root\n");
        wait_until("it to listen", SHORT, || listens(&emperor, "server") == "127.0.0.1:80");
        assert_eq!(listens(&emperor, "silent"), "");
    });
}
