//! A stop that comes while a uwsgi makes its workers is heard. A worker that was forked a moment ago has the handlers of the app's language and
//! none of uwsgi's, and loses the signal that its master passes on: the vassal would go on until its `stop-timeout`.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use liege_integration_tests::apps::{USER, own};
use liege_integration_tests::http::free_port;
use liege_integration_tests::wait::{bar, breathe};
use liege_integration_tests::{Emperor, LONG, story, wait_until};

/// A uwsgi whose workers have ended looks once a second whether they have.
const AT_ONCE: Duration = Duration::from_secs(10);

fn python(path: &Path, lines: &str, text: &str) -> String {
    fs::write(path, format!("{text}\ndef application(e, s):\n    s('200 OK', [])\n    return [b'good']\n")).unwrap();
    own(path);
    format!(
        "[uwsgi]\nuid = {USER}\ngid = {USER}\nmaster = true\nprocesses = 3\nplugin = python3\nhttp-socket = 127.0.0.1:{}\nwsgi-file = {}\n{lines}\n",
        free_port(),
        path.display()
    )
}

/// At each of these moments of its start.
fn is_stopped_at_once(emperor: &Emperor, name: &str, file: &str) {
    emperor.write(name, file);
    for delay in [0, 0, 10, 60, 120, 180, 400] {
        wait_until(&format!("{name} to run"), LONG, || emperor.ask(&["status", name]).1.contains("running"));
        breathe(Duration::from_millis(delay));
        let (mark, asked) = (emperor.mark(), Instant::now());
        let (status, said) = emperor.ask(&["stop", name, "--wait"]);
        assert!(status == 0 && asked.elapsed() < bar(AT_ONCE), "{name}, {delay} ms: {said} after {:?}", asked.elapsed());
        let line = emperor.wait_log_from(mark, &[name, "ended after"]);
        assert!(!line.contains("lost"), "{line}");
        emperor.ask_well(&["start", name]);
    }
}

#[test]
fn its_end_is_not_held_up_and_nothing_is_lost() {
    story(|host| {
        let emperor = host.emperor().start();
        let sleeps = "import time\ntime.sleep(0.5)";
        is_stopped_at_once(&emperor, "plain.ini", &python(&host.path("plain.py"), "", ""));
        is_stopped_at_once(&emperor, "slow.ini", &python(&host.path("slow.py"), "", sleeps));
        is_stopped_at_once(&emperor, "lazy.ini", &python(&host.path("lazy.py"), "lazy-apps = true", sleeps));
        // It makes no workers before the first request.
        is_stopped_at_once(&emperor, "cheap.ini", &python(&host.path("cheap.py"), "cheap = true", ""));
    });
}

#[test]
fn a_graceful_end_is_not_held_up_either() {
    story(|host| {
        let emperor = host.emperor().arg("--emperor-graceful-shutdown").start();
        is_stopped_at_once(&emperor, "plain.ini", &python(&host.path("plain.py"), "", ""));
    });
}

/// No request has reached it, so there is nothing that it could have to write back.
#[test]
fn one_that_never_got_ready_has_lost_nothing() {
    story(|host| {
        let emperor = host.emperor().start();
        let file = python(&host.path("app.py"), "stop-timeout = 2", "import time\nprint('loads', flush=True)\ntime.sleep(1000)");
        emperor.write("app.ini", &file);
        emperor.wait_said("app.ini", "loads");
        let (status, said) = emperor.ask(&["stop", "app.ini", "--wait"]);
        assert!(status == 0 && !said.contains("lost"), "{said}");
        let line = emperor.wait_log_from(0, &["app.ini", "ended after"]);
        assert!(!line.contains("lost"), "{line}");
    });
}
