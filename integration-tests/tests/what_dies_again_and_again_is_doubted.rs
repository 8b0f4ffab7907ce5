//! A uwsgi whose workers die for ever runs, and is ready by its own words; so does a command whose attached daemon ends each time it is
//! started. Neither is told as well: each is a doubt in the views until what dies lives.

use std::fs;

use liege_integration_tests::apps::{USER, own};
use liege_integration_tests::http::{free_port, get};
use liege_integration_tests::{Emperor, Host, LONG, story, wait_until};

fn shows(emperor: &Emperor, view: &[&str], what: &str) {
    wait_until(&format!("{view:?} to show {what}"), LONG, || emperor.ask(view).1.contains(what));
}

fn is_shown_no_more(emperor: &Emperor, what: &str) {
    for view in [&["status"][..], &["status", "v.ini"]] {
        wait_until(&format!("{view:?} to show {what} no more"), LONG, || !emperor.ask(view).1.contains(what));
    }
}

#[test]
fn workers_that_cannot_live() {
    story(|host| {
        let emperor = host.emperor().start();
        let (app, healed) = (host.path("app.py"), host.path("healed"));
        let program = format!(
            "import os, time\nif not os.path.exists({healed:?}):\n    os._exit(1)\ndef application(e, s):\n    s('200 OK', [])\n    return []\n"
        );
        fs::write(&app, program).unwrap();
        own(&app);
        let file = format!(
            "[uwsgi]\nuid = {USER}\ngid = {USER}\nmaster = true\nlazy-apps = true\nplugin = python3\nhttp-socket = 127.0.0.1:{}\n\
             wsgi-file = {}\n",
            free_port(),
            app.display()
        );
        emperor.write("v.ini", &file);
        let doubt = "its processes die again and again, it says: ";
        let line = emperor.wait_log(doubt);
        assert!(line.contains("WARN") && line.contains("v.ini"), "{line}");
        shows(&emperor, &["status"], doubt);
        shows(&emperor, &["status", "v.ini"], doubt);
        fs::write(&healed, "").unwrap();
        emperor.wait_log("its processes live again");
        is_shown_no_more(&emperor, doubt);
        assert_eq!(emperor.vassals().len(), 1);
    });
}

/// A uwsgi with one worker, and the port it listens at.
fn serves(host: &Host, emperor: &Emperor, keys: &str) -> u16 {
    let (app, port) = (host.path("app.py"), free_port());
    let program = "import time\nkept = []\ndef application(e, s):\n    if e['PATH_INFO'] == '/slow':\n        time.sleep(1000)\n\
                   \x20   kept.append('x' * 30000000)\n    s('200 OK', [])\n    return [b'ok']\n";
    fs::write(&app, program).unwrap();
    own(&app);
    let identity = format!("uid = {USER}\ngid = {USER}\nmaster = true\nplugin = python3\n");
    let app = format!("wsgi-file = {}\nhttp-socket = 127.0.0.1:{port}\n", app.display());
    emperor.write("v.ini", &format!("[uwsgi]\n{identity}{app}{keys}"));
    emperor.wait_log("v.ini: ready");
    port
}

#[test]
fn requests_that_its_uwsgi_ends_are_told_by_that() {
    story(|host| {
        let emperor = host.emperor().start();
        let port = serves(host, &emperor, "harakiri = 1\n");
        (0..3).for_each(|_| drop(get(port, "/slow")));
        let doubt = "requests take longer than harakiri, its uwsgi says: ";
        let line = emperor.wait_log("v.ini: requests take longer");
        assert!(line.contains("WARN") && line.contains("*** HARAKIRI ON WORKER 1"), "{line}");
        shows(&emperor, &["status"], doubt);
        assert!(!emperor.log().iter().any(|line| line.contains("die again and again")), "{:#?}", emperor.log());
    });
}

#[test]
fn workers_that_its_uwsgi_replaces_are_none() {
    story(|host| {
        let emperor = host.emperor().start();
        let port = serves(host, &emperor, "evil-reload-on-rss = 20\n");
        let replaced = || emperor.ask(&["logs", "v", "-n", "all"]).1.matches("EVIL RELOAD ON WORKER").count();
        for count in 1..=4 {
            wait_until("a worker to be replaced", LONG, || {
                drop(get(port, "/"));
                replaced() >= count
            });
        }
        // What counts comes through the same pipe, behind it.
        assert_eq!(emperor.ask(&["status", "v"]).1.matches("its uwsgi says").count(), 0);
        assert!(!emperor.log().iter().any(|line| line.contains("die again and again")), "{:#?}", emperor.log());
    });
}

#[test]
fn an_attached_daemon_that_always_fails() {
    story(|host| {
        let emperor = host.emperor().start();
        let healed = host.path("healed");
        emperor.write(
            "v.ini",
            &format!(
                "[vassal]\nuid = root\ncommand = /bin/sleep 100000\nattach-daemon = test -e {} && exec sleep 200000; exit 3\n",
                healed.display()
            ),
        );
        let doubt = "does not stay up: the daemon exited with status 3";
        let line = emperor.wait_log(doubt);
        assert!(line.contains("WARN") && line.contains("v.ini:4: attach-daemon"), "{line}");
        shows(&emperor, &["status"], doubt);
        shows(&emperor, &["status", "v.ini"], doubt);
        fs::write(&healed, "").unwrap();
        emperor.wait_log("stays up again");
        is_shown_no_more(&emperor, doubt);
        assert_eq!(emperor.vassals().len(), 1);
    });
}

/// Each of them with its own words, although all say something at about the same time.
#[test]
fn an_attached_daemon_that_fails_is_quoted() {
    story(|host| {
        let emperor = host.emperor().start();
        let daemons = [
            ("echo 'FATAL: lock file' >&2; echo 'HINT: is another one running' >&2; exit 1", "\"FATAL: lock file\"", "1"),
            ("echo no data directory >&2; exit 2", "\"no data directory\"", "2"),
            ("exec postgresx", "postgresx: not found\"", "127"),
        ];
        let attach: String = daemons.iter().map(|(command, ..)| format!("attach-daemon = {command}\n")).collect();
        emperor.write("v.ini", &format!("[vassal]\nuid = {USER}\ngid = {USER}\ncommand = /bin/sleep 100000\n{attach}"));
        for (command, said, status) in daemons {
            let told = format!("{said} (the daemon exited with status {status}: {command} (");
            emperor.wait_log_from(0, &["v.ini: does not stay up: ", &told]);
            shows(&emperor, &["status"], &told);
            shows(&emperor, &["status", "v.ini"], &told);
        }
        let control = "attach-control-daemon = echo no data directory >&2; exit 2";
        emperor.write("control.ini", &format!("[vassal]\nuid = root\ncommand = /bin/sleep 100001\n{control}\n"));
        let line = emperor.wait_cause(0, "control.ini", "daemon_ended");
        assert!(line.contains("\"no data directory\" (the daemon exited with status 2: "), "{line}");
    });
}
