//! `attach-daemon` and its family beside a `command`: started as the vassal's user, started again when they end, ended with the vassal.

use std::fs;
use std::time::{Duration, Instant};

use liege_integration_tests::apps::{Reporter, USER, ZipApp, own, user};
use liege_integration_tests::procs::Process;
use liege_integration_tests::wait::holds_for;
use liege_integration_tests::{Emperor, LONG, SHORT, Vassal, served, story, wait_for, wait_until};
use nix::sys::signal::Signal;

/// Its process, by a word of its command line.
fn process(vassal: &Vassal, word: &str) -> Process {
    let found =
        || vassal.processes().into_iter().find(|process| process.name == "report" && process.command_line().contains(word));
    wait_for(&format!("{word} in the vassal"), SHORT, found)
}

fn as_user(more: &str) -> String {
    format!("uid = {USER}\ngid = {USER}\n{more}")
}

/// The vassal, once its daemons are there.
fn vassal(emperor: &Emperor, app: &Reporter, starts: usize) -> Vassal {
    let _started = app.started(starts);
    emperor.vassal(&app.file.to_string_lossy())
}

#[test]
fn one_that_ends_is_started_again_after_a_pause() {
    story(|host| {
        let (app, daemon) = (Reporter::new(host, "app"), Reporter::new(host, "daemon"));
        let emperor = host.emperor().start();
        let file = app.vassal(&as_user(&format!("env = SEEN=by all\nattach-daemon = exec {} 'a word'\n", daemon.command())));
        emperor.write("v.ini", &file);
        let seen = daemon.started(1);
        assert_eq!(seen["arguments"][2], "a word", "a shell has split its line");
        assert!(seen["status"]["Uid"].as_str().unwrap().starts_with(&user().0.to_string()), "{seen}");
        assert_eq!(seen["environment"]["SEEN"].as_str(), Some("by all"));
        // Behind a read-only mount its path is short.
        assert!(seen["fds"]["0"].as_str().is_some_and(|path| path.ends_with("/null")), "{seen}");
        assert_eq!((&seen["session"], seen["parent"].as_i64()), (&seen["pid"], Some(1)), "init's child, in a session of its own");
        emperor.wait_log("daemon started");

        let (vassal, mark, start) = (vassal(&emperor, &app, 1), emperor.mark(), Instant::now());
        process(&vassal, "reports/daemon").kill(Signal::SIGKILL);
        let line = emperor.wait_log_from(mark, &["the daemon was killed by SIGKILL: ", "; starts again in 1.000s"]);
        assert!(line.contains("v.ini:6: attach-daemon") && line.contains("WARN"), "{line}");
        println!("the end of an attached daemon is known after {:.1?}", start.elapsed());
        let _again = daemon.started(2);
        assert!(start.elapsed() >= Duration::from_secs(1), "it was started too early");
        assert!(vassal.init.lives() && app.starts().len() == 1, "nothing else has happened");

        let processes = vassal.processes();
        emperor.remove("v.ini");
        wait_until("all of it to be gone", LONG, || vassal.is_gone(&processes));
    });
}

#[test]
fn the_end_of_a_control_daemon_is_the_end_of_the_instance() {
    story(|host| {
        let (app, daemon) = (Reporter::new(host, "app"), Reporter::new(host, "daemon"));
        let emperor = host.emperor().start();
        emperor.write("v.ini", &app.vassal(&as_user(&format!("attach-control-daemon = exec {}\n", daemon.command()))));
        let _started = daemon.started(1);
        let (first, mark) = (vassal(&emperor, &app, 1), emperor.mark());
        let start = Instant::now();
        process(&first, "reports/daemon").kill(Signal::SIGTERM);
        let line = emperor.wait_log_from(mark, &["v.ini: stopping"]);
        println!("the end of a control daemon is known after {:.1?}", start.elapsed());
        assert!(line.contains("v.ini:5: attach-control-daemon"), "{line}");
        emperor.wait_cause(mark, "v.ini", "daemon_ended");
        let second = vassal(&emperor, &app, 2);
        assert_ne!(first.init, second.init, "born again");
        let _again = daemon.started(2);

        // One that cannot even start says so.
        let mark = emperor.mark();
        emperor.write("typo.ini", &app.vassal("attach-control-daemon = /no/such/daemon\n"));
        let line = emperor.wait_cause(mark, "typo.ini", "daemon_ended");
        assert!(line.contains("exited with status 127"), "{line}");
        emperor.remove("typo.ini");
    });
}

#[test]
fn one_in_the_background_is_followed_by_its_pidfile() {
    story(|host| {
        let [app, smart, dumb] = ["app", "smart", "dumb"].map(|name| Reporter::new(host, name));
        let pidfile = host.open_dir("run").join("smart.pid");
        fs::write(&pidfile, "2\n").unwrap(); // of an earlier life: the app's number in the new one
        own(&pidfile);
        let emperor = host.emperor().start();
        let lines = format!(
            "smart-attach-daemon = {0} setsid {1} & pid=$!; sleep 0.3; echo $pid > {0}\nattach-daemon = exec {2}\n",
            pidfile.display(),
            smart.command(),
            dumb.command()
        );
        emperor.write("v.ini", &app.vassal(&as_user(&lines)));
        let (_smart, _dumb) = (smart.started(1), dumb.started(1));
        let vassal = vassal(&emperor, &app, 1);
        emperor.wait_log("daemon started (pid");
        let (first, old) = (process(&vassal, "reports/smart"), process(&vassal, "reports/dumb"));
        wait_until("it to be followed", SHORT, || {
            emperor.log().iter().filter(|line| line.contains("daemon started")).count() == 2
        });

        // A reload starts those in the foreground again, as uWSGI's does, and keeps the other.
        emperor.touch("v.ini");
        let _reloaded = (app.started(2), dumb.started(2));
        assert!(!old.lives() && first.lives() && smart.starts().len() == 1, "kept over the reload");

        let mark = emperor.mark();
        let start = Instant::now();
        first.kill(Signal::SIGKILL);
        emperor.wait_log_from(mark, &["was killed by SIGKILL", "smart-attach-daemon"]);
        println!("the end of a daemon that is followed is known after {:.1?}", start.elapsed());
        let _again = smart.started(2);
        assert!(vassal.init.lives());
        let processes = vassal.processes();
        emperor.remove("v.ini");
        wait_until("all of it to be gone", LONG, || vassal.is_gone(&processes));
    });
}

#[test]
fn one_in_the_foreground_gets_its_pidfile_written() {
    story(|host| {
        let (app, daemon) = (Reporter::new(host, "app"), Reporter::new(host, "daemon"));
        let pidfile = host.open_dir("run").join("daemon.pid");
        let emperor = host.emperor().start();
        let lines = format!("smart-attach-daemon2 = {} exec {}\n", pidfile.display(), daemon.command());
        emperor.write("v.ini", &app.vassal(&as_user(&lines)));
        let seen = daemon.started(1);
        assert_eq!(fs::read_to_string(&pidfile).unwrap().trim(), seen["pid"].to_string());
        emperor.touch("v.ini");
        let _reloaded = app.started(2);
        holds_for("it is kept over the reload", Duration::from_millis(200), || daemon.starts().len() == 1);
    });
}

#[test]
fn one_with_keys_has_its_own_user_and_signal() {
    story(|host| {
        let (app, daemon) = (Reporter::new(host, "app"), Reporter::new(host, "daemon"));
        let emperor = host.emperor().start();
        let lines = format!("attach-daemon2 = cmd=exec {},uid=31998,gid=31997,chdir=/tmp,max_throttle=1\n", daemon.command());
        emperor.write("v.ini", &app.vassal(&as_user(&lines)));
        let seen = daemon.started(1);
        let first = |field: &str| seen["status"][field].as_str().unwrap_or_default().split_whitespace().next().map(str::to_owned);
        assert_eq!((first("Uid"), first("Gid"), first("Groups")), (Some("31998".into()), Some("31997".into()), None));
        assert_eq!(seen["cwd"], "/tmp");
    });
}

#[test]
fn one_that_never_leaves_a_pid_is_tried_again() {
    story(|host| {
        let app = Reporter::new(host, "app");
        let emperor = host.emperor().start();
        let pidfile = host.open_dir("run").join("never.pid");
        emperor.write("v.ini", &app.vassal(&format!("smart-attach-daemon = {},1 echo here I am\n", pidfile.display())));
        emperor.wait_said("v.ini", "daemon: here I am");
        let line = emperor.wait_log("has no living pid in");
        assert!(line.contains("starts again in 1.000s") && line.contains("v.ini:3: smart-attach-daemon"), "{line}");
        assert_eq!(app.starts().len(), 1);
    });
}

/// A FUSE server that stays in the foreground is a control daemon: its end is known at once, without any probe.
#[test]
fn a_fuse_server_in_the_foreground_is_watched_and_replaced() {
    story(|host| {
        let app = ZipApp::new(host, "app", "from the zip");
        let (zip, mount) = (app.zip.display(), app.mount.display());
        let emperor = host.emperor().start();
        let text = format!(
            "[vassal]\n{}attach-control-daemon = exec fuse-zip -f -r {zip} {mount}\n\
             command = /bin/sh -c 'until mountpoint -q {mount}; do sleep 0.01; done; exec python3 -m http.server --bind 127.0.0.1 --directory {mount} {}'\n\
             mountpoint-check = {mount}\n",
            as_user(""),
            app.port
        );
        emperor.write("v.ini", &text);
        served(app.port, "page.txt", LONG);
        emperor.wait_log("is healthy");
        for _ in 0..3 {
            let mark = emperor.mark();
            let start = Instant::now();
            emperor.vassal("http.server").process("fuse-zip").kill(Signal::SIGKILL);
            emperor.wait_log_from(mark, &["v.ini: stopping", "attach-control-daemon"]);
            println!("its end is known after {:.1?}", start.elapsed());
            emperor.wait_cause(mark, "v.ini", "daemon_ended");
            emperor.wait_log_from(mark, &["is healthy"]);
            served(app.port, "page.txt", LONG);
        }
        let gone = emperor.log().iter().filter(|line| line.contains("cause=mountpoint_gone")).count();
        assert_eq!(gone, 0, "a mount that comes after the first probe is no loss");
    });
}
