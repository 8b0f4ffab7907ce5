//! What a uwsgi has said at the start of a run is told of that run: after each reload anew, and whatever a request brings up.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    time::Duration,
};

use liege_integration_tests::apps::{USER, own};
use liege_integration_tests::http::{free_port, get, served};
use liege_integration_tests::{Emperor, LONG, story, wait_until};

const GOOD: &str = "sub { [200, ['Content-Type' => 'text/plain'], ['good']] };\n";

fn program(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    own(path);
}

fn uwsgi(lines: &str) -> String {
    format!("[uwsgi]\nuid = {USER}\ngid = {USER}\nmaster = true\n{lines}\n")
}

fn psgi(port: u16, app: &Path) -> String {
    uwsgi(&format!("plugin = psgi\nhttp-socket = 127.0.0.1:{port}\npsgi = {}", app.display()))
}

/// Until one that serves nothing has answered a request: its workers are up.
fn wait_answered(emperor: &Emperor, name: &str, port: u16) {
    let is_answered = || {
        let is_refused = get(port, "/").is_ok_and(|(status, _)| status == 500);
        is_refused || emperor.said(name).iter().any(|line| line.contains("unavailable modifier requested"))
    };
    wait_until(&format!("{name} to have answered a request"), LONG, is_answered);
}

#[test]
fn an_app_that_is_broken_at_each_reload_is_doubted_in_each_run() {
    story(|host| {
        let (emperor, app, port) = (host.emperor().start(), host.path("myapp.pl"), free_port());
        program(&app, GOOD);
        emperor.write("shop.ini", &psgi(port, &app));
        served(port, "good", LONG);
        program(&app, "die \"boom\";\n");
        for run in 1..=3 {
            let mark = emperor.mark();
            emperor.ask_well(&["reload", "shop.ini"]);
            emperor.wait_log_from(mark, &["shop.ini", "reloaded"]);
            emperor.wait_log_from(mark, &["shop.ini", "it may serve nothing", "boom"]);
            assert!(emperor.ask(&["status", "shop.ini"]).1.starts_with("shop.ini: doubtful, running"), "run {run}");
        }
        program(&app, GOOD);
        let mark = emperor.mark();
        emperor.ask_well(&["reload", "shop.ini"]);
        emperor.wait_log_from(mark, &["shop.ini", "reloaded"]);
        served(port, "good", LONG);
        assert!(emperor.ask(&["status", "shop.ini"]).1.starts_with("shop.ini: running"));
    });
}

/// Its fifo has it reload itself.
#[test]
fn a_reload_of_its_own_is_a_run_too() {
    story(|host| {
        let (emperor, app, port) = (host.emperor().start(), host.path("myapp.pl"), free_port());
        let fifo = host.open_dir("run").join("fifo");
        program(&app, "die \"boom\";\n");
        emperor.write("shop.ini", &format!("{}master-fifo = {}\n", psgi(port, &app), fifo.display()));
        let shows = |what: &str| {
            wait_until(&format!("it to be {what}"), LONG, || emperor.ask(&["status", "shop.ini"]).1.starts_with(what));
        };
        shows("shop.ini: doubtful, running");
        wait_answered(&emperor, "shop.ini", port);
        program(&app, GOOD);
        fs::write(&fifo, "r").unwrap();
        served(port, "good", LONG);
        shows("shop.ini: running");
        program(&app, "die \"boom\";\n");
        fs::write(&fifo, "r").unwrap();
        shows("shop.ini: doubtful, running");
    });
}

#[test]
fn a_request_does_not_change_why_the_app_could_not_be_loaded() {
    story(|host| {
        let emperor = host.emperor().start();
        let (die, syntax, python) = (host.path("die.pl"), host.path("syntax.pl"), host.path("app.py"));
        program(&die, "die \"boom\";\n");
        program(&syntax, "sub { \n");
        program(&python, "import nothere\n");
        for (name, app, why) in [
            (
                "missing.ini",
                "plugin = psgi\npsgi = /x/nosuch.psgi".to_owned(),
                "psgi = /x/nosuch.psgi, its uwsgi says: No such file",
            ),
            ("die.ini", format!("plugin = psgi\npsgi = {}", die.display()), "its uwsgi says: boom at "),
            ("syntax.ini", format!("plugin = psgi\npsgi = {}", syntax.display()), "its uwsgi says: syntax error at "),
            ("python.ini", format!("plugin = python3\nwsgi-file = {}", python.display()), "No module named 'nothere'"),
            ("noplugin.ini", "wsgi-file = /x/app.py".to_owned(), "wsgi-file needs plugin = python3, its uwsgi says: *** no app"),
        ] {
            let port = free_port();
            emperor.write(name, &uwsgi(&format!("{app}\nhttp-socket = 127.0.0.1:{port}")));
            let line = emperor.wait_log_from(0, &[name, "it may serve nothing", why]);
            wait_answered(&emperor, name, port);
            // It is told after the first request, so all before it was told as well.
            emperor.wait_log_from(0, &[name, "loyal"]);
            let (_, status) = emperor.ask(&["status", name]);
            assert!(status.contains(why) && !status.contains("a plugin is missing"), "{status}\n{line}");
        }
    });
}

/// Any client of its port can ask it for that.
#[test]
fn an_odd_request_puts_a_uwsgi_in_no_doubt() {
    story(|host| {
        let (emperor, app, port) = (host.emperor().start(), host.path("myapp.pl"), free_port());
        program(&app, GOOD);
        emperor.write("shop.ini", &uwsgi(&format!("plugin = psgi\nsocket = 127.0.0.1:{port}\npsgi = {}", app.display())));
        emperor.wait_log_from(0, &["shop.ini", "ready after"]);
        let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket.write_all(b"\x16\0\0\0").unwrap();
        let _ = socket.read(&mut [0]);
        emperor.wait_said("shop.ini", "unavailable modifier requested: 22");
        emperor.wait_log_from(0, &["shop.ini", "loyal"]);
        assert!(emperor.ask(&["status", "shop.ini"]).1.starts_with("shop.ini: running"));
    });
}
