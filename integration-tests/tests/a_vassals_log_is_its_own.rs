//! What hooks, FUSE daemons and app of a vassal say is in its own log, line by line with who said it, and nowhere else; it outlives
//! the vassal and the daemon, and nobody has to listen for it to be written.

use std::fs;
use std::process::Command;

use liege_integration_tests::apps::ZipApp;
use liege_integration_tests::procs::{self, Process};
use liege_integration_tests::{LONG, SHORT, served, story, wait_until};
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::Signal;

#[test]
fn a_real_uwsgi_with_its_hooks() {
    story(|host| {
        let app = ZipApp::new(host, "app", "hello");
        let emperor = host.emperor().start();
        let hooks = "hook-pre-jail = exec:echo made ready; echo with an error >&2\nhook-as-root = print:as root now\n";
        emperor.write("app.ini", &format!("{}{hooks}", app.checked()));
        served(app.port, "hello", LONG);
        for said in ["pre-jail: made ready", "pre-jail: with an error", "as-root: as root now", "app: *** Starting uWSGI"] {
            emperor.wait_said("app.ini", said);
        }
        emperor.remove("app.ini");
        wait_until("the vassal to be gone", LONG, || emperor.vassals().is_empty());
        let said = emperor.said("app.ini");
        assert!(
            said.iter().any(|line| line.starts_with("app: ") && line.contains("goodbye to uWSGI")),
            "its last words: {said:#?}"
        );
        let log = emperor.log();
        assert!(!log.iter().any(|line| line.contains("made ready") || line.contains("goodbye to uWSGI")), "{log:#?}");
    });
}

#[test]
fn it_goes_on_where_the_last_life_and_the_last_daemon_stopped() {
    story(|host| {
        let text = "[vassal]\ncommand = sh -c 'echo life; exec sleep infinity'\nuid = root\n";
        let lives = |emperor: &liege_integration_tests::Emperor, wanted: usize| {
            wait_until(&format!("{wanted} lives in the log"), LONG, || {
                emperor.said("v.ini").iter().filter(|line| *line == "app: life").count() == wanted
            });
        };
        let first = host.emperor().start();
        first.write("v.ini", text);
        lives(&first, 1);
        let init = first.vassal("sleep").init.pid;
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(init), Signal::SIGKILL).unwrap();
        lives(&first, 2);
        first.signal(Signal::SIGTERM);
        first.wait_exit(SHORT);
        lives(&host.emperor().start(), 3);
    });
}

#[test]
fn a_daemon_that_is_stopped_holds_up_no_line() {
    story(|host| {
        let emperor = host.emperor().start();
        emperor.write("v.ini", "[vassal]\ncommand = sh -c 'while :; do echo tick; sleep 0.02; done'\nuid = root\n");
        emperor.wait_said("v.ini", "tick");
        emperor.signal(Signal::SIGSTOP);
        let before = emperor.said("v.ini").len();
        // More than any pipe holds a line for.
        wait_until("more lines", LONG, || emperor.said("v.ini").len() > before + 50);
        emperor.signal(Signal::SIGCONT);
    });
}

#[test]
fn a_failed_hooks_last_words_are_there_when_its_end_is_told() {
    story(|host| {
        let emperor = host.emperor().arg("--emperor-throttle").arg("60000").start();
        for round in 0..20 {
            let (name, mark) = (format!("v{round}.ini"), emperor.mark());
            emperor.write(
                &name,
                &format!("[vassal]\ncommand = sleep infinity\nhook-as-root = exec:echo words {round} >&2; exit 3\nuid = root\n"),
            );
            emperor.wait_cause(mark, &name, "hook_failed");
            assert!(emperor.said(&name).contains(&format!("as-root: words {round}")), "round {round}: {:?}", emperor.said(&name));
        }
    });
}

#[test]
fn who_wants_it_gets_the_daemons_output() {
    story(|host| {
        let emperor = host.emperor().arg("--vassal-set").arg("vassal-log=inherit").start();
        emperor.write("v.ini", "[vassal]\ncommand = sh -c 'echo to the daemon; exec sleep infinity'\nuid = root\n");
        emperor.wait_log("to the daemon");
        emperor.wait_log("v.ini: started");
        assert!(emperor.said("v.ini").is_empty());
        // Where it goes is a thing of the birth.
        emperor
            .write("v.ini", "[vassal]\ncommand = sh -c 'echo to its own; exec sleep infinity'\nvassal-log = file\nuid = root\n");
        emperor.wait_log("vassal-log changed");
        emperor.wait_said("v.ini", "app: to its own");
    });
}

#[test]
fn a_log_disk_that_hangs_keeps_nobody_from_starting() {
    story(|host| {
        let disk = host.path("disk");
        fs::create_dir_all(host.path("backing")).unwrap();
        fs::create_dir(&disk).unwrap();
        let mounted =
            Command::new("bindfs").args(["-o", "attr_timeout=0,entry_timeout=0"]).arg(host.path("backing")).arg(&disk).status();
        assert!(mounted.expect("bindfs: make deps").success());
        let is_daemon = |process: &Process| process.name == "bindfs" && process.command_line().contains(&*disk.to_string_lossy());
        let daemon = procs::all().into_iter().find(is_daemon).expect("the daemon of the mount");
        daemon.kill(Signal::SIGSTOP);
        let emperor = host.emperor().arg("--emperor-log-dir").arg(disk.join("logs")).start();
        let words = "while :; do echo all the same; sleep 0.1; done";
        emperor.write("v.ini", &format!("[vassal]\ncommand = sh -c '{words}'\nuid = root\n"));
        emperor.wait_log_from(0, &["WARN", "v.ini", "its log in", "no answer"]);
        emperor.wait_log("v.ini: started");
        daemon.kill(Signal::SIGCONT);
        let log = || fs::read_to_string(disk.join("logs/v.ini/log")).unwrap_or_default();
        wait_until("its words to be in its log", LONG, || log().contains("app: all the same"));
        assert!(log().contains("could not be written: there was no log"), "{}", log());
        assert!(!emperor.log().iter().any(|line| line.contains("all the same")), "the daemon's output is no log of a vassal");
        emperor.remove("v.ini");
        wait_until("the vassal to be gone", LONG, || emperor.vassals().is_empty());
        emperor.put_to_rest();
        umount2(&disk, MntFlags::MNT_DETACH).unwrap();
    });
}
