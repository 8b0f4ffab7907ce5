//! With no thread or process left (`pids.max`), or with 64 descriptors of which a crowd takes what it can, the daemon answers what
//! it is asked, or says why not (503); it lives on, and so do its vassals. A vassal that could not be started meanwhile is told
//! with the reason, and starts when there is room.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use liege_integration_tests::apps::{Reporter, ZipApp};
use liege_integration_tests::groups::PidsGroup;
use liege_integration_tests::scrape::{ANY_PORT, Listener};
use liege_integration_tests::{Emperor, LONG, get, get_ok, served, story, wait_until};
use nix::sys::signal::Signal;

/// What needs a thread to be answered, and what does not.
const QUESTIONS: [&str; 5] =
    ["/v1/vassals", "/v1/vassals?usage", "/v1/vassals/app.ini", "/v1/vassals/app.ini/log?n=1", "/v1/events?n=1"];

/// The status of the answer; every question has one.
fn ask(control: &Path, path: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(control).expect("the control socket is served");
    stream.set_read_timeout(Some(LONG)).expect("a time");
    let _ = write!(stream, "GET {path} HTTP/1.1\r\nHost: liege\r\n\r\n"); // one that is refused has its answer, and may be put out by now
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer); // a reset after it, where the question was not read
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("{path}: no answer but {answer:?}")), answer)
}

/// Everything is asked several times at once.
fn ask_all(emperor: &Emperor, web: Listener) {
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for path in QUESTIONS {
                    let (status, answer) = ask(&emperor.control, path);
                    assert!(matches!(status, 200 | 503), "{path}: {answer}");
                }
                for path in ["/metrics", "/healthz", "/"] {
                    let (status, answer) = get(web.port, path).unwrap_or_else(|e| panic!("{path}: {e}"));
                    assert!(matches!(status, 200 | 503), "{path}: {answer}");
                }
            });
        }
    });
    assert_eq!(emperor.ended(), None, "it lives on");
}

#[test]
fn no_thread_left_is_an_answer_and_no_end() {
    no_thread_is_left("fs,pid");
}

#[test]
fn no_thread_left_is_no_end_where_vassals_have_user_namespaces() {
    no_thread_is_left("fs,pid,user");
}

fn no_thread_is_left(namespaces: &'static str) {
    let group = PidsGroup::new();
    story(|host| {
        let (app, late) = (ZipApp::new(host, "app", "inside the zip"), Reporter::new(host, "late"));
        let words = group.wrapper();
        let emperor = host.emperor().namespaces(Some(namespaces)).under(&words.each_ref().map(String::as_str));
        let emperor = emperor.arg("--emperor-metrics").arg(ANY_PORT).start();
        let web = Listener::of(&emperor);
        emperor.write("app.ini", &app.checked());
        served(app.port, "inside the zip", LONG);
        emperor.wait_log("is healthy");
        let init = emperor.vassals().remove(0).init;

        group.close_for_good();
        ask_all(&emperor, web);
        let mark = emperor.mark();
        emperor.write("late.ini", &late.vassal(""));
        let line = emperor.wait_log_from(mark, &["late.ini", "EAGAIN"]);
        assert!(line.contains("pids.max"), "the likely cause is named: {line}");
        // Where it stays so, idle threads leave, and then nothing is left but what the daemon started with.
        emperor.wait_log_from(emperor.mark(), &["late.ini", "EAGAIN"]);
        ask_all(&emperor, web);
        let (_, detail) = ask(&emperor.control, "/v1/vassals/late.ini");
        assert!(detail.contains("pids.max"), "{detail}");
        assert!(late.starts().is_empty());

        group.open();
        let _ = late.started_within(LONG);
        ask_all(&emperor, web);
        served(app.port, "inside the zip", LONG);
        assert!(init.lives(), "nothing happened to it");
        emperor.remove("app.ini");
        emperor.remove("late.ini");
        emperor.put_to_rest();
    });
}

#[test]
fn a_prober_without_threads_lives_on_and_its_vassals_too() {
    let group = PidsGroup::new();
    story(|host| {
        let app = ZipApp::new(host, "app", "inside the zip");
        let words = group.wrapper();
        let emperor = host.emperor().under(&words.each_ref().map(String::as_str)).start();
        emperor.write("app.ini", &app.checked());
        served(app.port, "inside the zip", LONG);
        emperor.wait_log("is healthy");
        let vassal = emperor.vassals().remove(0);
        let prober = || emperor.helpers().into_iter().next();
        let first = prober().expect("a prober");
        group.close();
        let mark = emperor.mark();
        first.kill(Signal::SIGKILL);
        emperor.wait_log_from(mark, &["the prober", "died"]);
        ask(&emperor.control, "/v1/vassals/app.ini");
        group.open();
        wait_until("another prober", LONG, || prober().is_some_and(|next| next != first));
        assert!(vassal.init.lives(), "nothing happened to it");
        // It is watched as before.
        let daemon = vassal.processes().into_iter().find(|process| process.name.contains("fuse-zip")).expect("it runs");
        daemon.kill(Signal::SIGKILL);
        emperor.wait_cause(mark, "app.ini", "mountpoint_dead");
        served(app.port, "inside the zip", LONG);
        emperor.put_to_rest();
    });
}

#[test]
fn few_descriptors_are_shared_and_a_crowd_is_told_so() {
    story(|host| {
        let (app, late) = (ZipApp::new(host, "app", "inside the zip"), Reporter::new(host, "late"));
        let emperor = host.emperor().under(&["prlimit", "--nofile=64:64"]).arg("--emperor-metrics").arg(ANY_PORT).start();
        let web = Listener::of(&emperor);
        emperor.write("app.ini", &app.checked());
        served(app.port, "inside the zip", LONG);
        let init = emperor.vassals().remove(0).init;

        // A crowd that says nothing, at both doors, as large as may be.
        let mut crowd = Vec::new();
        for _ in 0..200 {
            crowd.extend(UnixStream::connect(&emperor.control));
        }
        let mut others = Vec::new();
        for _ in 0..100 {
            others.extend(std::net::TcpStream::connect_timeout(&([127, 0, 0, 1], web.port).into(), Duration::from_secs(5)));
        }
        ask_all(&emperor, web);
        emperor.write("late.ini", &late.vassal(""));
        let _ = late.started_within(LONG);
        drop((crowd, others));
        // Many vassals take what there is.
        for n in 0..40 {
            emperor.write(&format!("many{n}.ini"), "[vassal]\nuid = root\ncommand = /bin/sleep 100000\n");
        }
        emperor.wait_log("EMFILE");
        ask_all(&emperor, web);
        assert!(init.lives(), "nothing happened to it");
        for n in 0..40 {
            emperor.remove(&format!("many{n}.ini"));
        }
        wait_until("it to be as before", LONG, || {
            get_ok(web.port, "/healthz").is_some() && emperor.vassals().len() == 2 && init.lives()
        });
        emperor.put_to_rest();
    });
}
