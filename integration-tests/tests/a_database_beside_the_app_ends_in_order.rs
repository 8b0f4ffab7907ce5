//! A database that runs beside the app sees its stop signal and has until `stop-timeout` to write down what it holds: attached to a
//! command, or left behind by a uwsgi that does not end what it keeps by a pidfile.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use liege_integration_tests::http::free_port;
use liege_integration_tests::{Emperor, Host, LONG, story, wait_until};

/// A script that lives until this signal, and takes so long to write that it was saved.
fn database(host: &Host, signal: &str, seconds: u32) -> (PathBuf, PathBuf, PathBuf) {
    let dir = host.open_dir("db");
    let [script, up, saved] = ["db.sh", "up", "saved"].map(|name| dir.join(name));
    let [up_at, saved_at] = [&up, &saved].map(|path| path.display());
    let text = format!(
        "trap 'sleep {seconds}; echo saved > {saved_at}; exit 0' {signal}\necho up > {up_at}\nwhile :; do sleep 0.1; done\n"
    );
    fs::write(&script, text).unwrap();
    (script, up, saved)
}

fn stops(emperor: &Emperor, up: &std::path::Path, saved: &std::path::Path) {
    wait_until("the database to be up", LONG, || up.exists());
    emperor.wait_log("started");
    let start = Instant::now();
    emperor.ask_well(&["stop", "v"]);
    wait_until("the vassal to be down", LONG, || emperor.vassals().is_empty());
    assert!(saved.exists(), "it was killed");
    println!("down after {:.1?}", start.elapsed());
}

#[test]
fn one_that_is_attached_has_more_than_three_seconds() {
    story(|host| {
        let (script, up, saved) = database(host, "TERM", 4);
        let emperor = host.emperor().start();
        let daemon = format!("attach-daemon = exec sh {}\n", script.display());
        emperor.write("v.ini", &format!("[vassal]\nuid = root\ncommand = sleep 1001\n{daemon}"));
        stops(&emperor, &up, &saved);
    });
}

#[test]
fn one_that_never_ends_has_stop_timeout_and_is_told() {
    story(|host| {
        let (script, up, _) = database(host, "USR1", 0);
        let emperor = host.emperor().start();
        let daemon = format!("attach-daemon2 = cmd=exec sh {},stopsignal=28\n", script.display());
        emperor.write("v.ini", &format!("[vassal]\nuid = root\ncommand = sleep 1001\n{daemon}stop-timeout = 1\n"));
        wait_until("the database to be up", LONG, || up.exists());
        emperor.wait_log("started");
        let (mark, start) = (emperor.mark(), Instant::now());
        emperor.remove("v.ini");
        let line = emperor.wait_log_from(mark, &["v.ini", "what was not written back is lost: exec sh "]);
        wait_until("the vassal to be down", LONG, || emperor.vassals().is_empty());
        assert!((Duration::from_millis(900)..Duration::from_secs(8)).contains(&start.elapsed()), "{line}");
    });
}

#[test]
fn one_that_a_uwsgi_leaves_behind() {
    for (key, namespaces) in
        [("smart-attach-daemon2", Some("fs,pid")), ("smart-attach-daemon2", None), ("attach-daemon2", Some("fs,pid"))]
    {
        story(|host| {
            let signal = if key == "attach-daemon2" { "INT" } else { "TERM" };
            let (script, up, saved) = database(host, signal, 1);
            let pidfile = host.open_dir("run").join("db.pid");
            let (script, pidfile) = (script.display(), pidfile.display());
            let line = match key {
                "attach-daemon2" => format!("attach-daemon2 = cmd=sh {script},pidfile={pidfile},daemonize=1,stopsignal=2\n"),
                key => format!("{key} = {pidfile} sh {script}\n"),
            };
            let emperor = host.emperor().namespaces(namespaces).start();
            let http = format!("master = true\nhttp-socket = 127.0.0.1:{}\nuid = www-data\ngid = www-data\n", free_port());
            emperor.write("v.ini", &format!("[uwsgi]\n{http}{line}"));
            stops(&emperor, &up, &saved);
        });
    }
}
