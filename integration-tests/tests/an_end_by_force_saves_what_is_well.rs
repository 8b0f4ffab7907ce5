//! Not every end is asked for. What destroys a vassal whose mounts are well (a reload that fails, a step that fails or lasts, another mount
//! that dies) costs nothing that was written, and what it does cost is told.

use std::fs;
use std::process::Command;
use std::rc::Rc;

use liege_integration_tests::archive::Archive;
use liege_integration_tests::faults::{Filesystem, Kind, Owner};
use liege_integration_tests::tools::need;
use liege_integration_tests::{Emperor, Host, LONG, SHORT, story, wait_until};
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const NAMESPACES: [Option<&str>; 2] = [Some("fs,pid"), None];

/// Tells the story of one vassal that has written into an archive, under each kind of namespaces.
fn told(text: impl Fn(&Archive) -> String + Send + Sync, end: impl Fn(&Host, &Rc<Emperor>, &Archive) + Send + Sync) {
    need("unzip");
    for namespaces in NAMESPACES {
        story(|host| {
            let archive = Archive::new(host, "app");
            let emperor = host.emperor().namespaces(namespaces).start();
            emperor.write("v.ini", &text(&archive));
            archive.written(1);
            end(host, &emperor, &archive);
            archive.assert_saved(&emperor, namespaces);
        });
    }
}

#[test]
fn a_reload_whose_new_app_cannot_be_started() {
    for broken in ["chdir = /nowhere\n", "command = /no/such/program\n"] {
        told(
            |archive| archive.vassal(""),
            |_, emperor, archive| {
                let mark = emperor.mark();
                let before = archive.vassal("start-limit = 1\n");
                let text = if broken.starts_with("command") {
                    let lines = before.lines().filter(|line| !line.starts_with("command"));
                    lines.map(|line| format!("{line}\n")).collect::<String>() + broken
                } else {
                    before + broken
                };
                emperor.write("v.ini", &text);
                emperor.wait_log_from(mark, &["v.ini", "ended after"]);
            },
        );
    }
}

#[test]
fn a_step_of_a_start_that_fails_or_lasts() {
    for (last, timeout) in [("false", 60), ("sleep 1001", 1)] {
        told(
            |archive| archive.prepared(&format!("hook-timeout = {timeout}\nstart-limit = 1\n")).replace("sleep 1001", last),
            |_, emperor, _| {
                emperor.wait_log("ended after");
            },
        );
    }
}

#[test]
fn a_hook_of_a_reload_that_lasts_is_no_outage() {
    told(
        |archive| archive.vassal("hook-timeout = 1\n"),
        |_, emperor, archive| {
            let (app, mark) = (emperor.vassal("sleep 1001"), emperor.mark());
            let lasts = "hook-timeout = 1\nif-reload =\nhook-asap = exec:sleep 1003\nendif =\n";
            emperor.write("v.ini", &archive.vassal(lasts));
            emperor.wait_log_from(mark, &["the app goes on as it was"]);
            let line = emperor.wait_log_from(mark, &["did not end in time"]);
            assert!(line.contains("sleep 1003"), "{line}");
            assert!(app.init.lives() && emperor.vassals().len() == 1, "the app was ended");
            let runs = |words: &str| emperor.vassal("sleep 1001").processes().iter().any(|one| one.command_line() == words);
            wait_until("the step to have ended", SHORT, || !runs("sleep 1003"));
            emperor.ask_well(&["stop", "v"]);
            wait_until("the vassal to be down", LONG, || emperor.vassals().is_empty());
        },
    );
}

#[test]
fn the_death_of_another_mount() {
    need("unzip");
    for namespaces in NAMESPACES {
        story(|host| {
            let archive = Archive::new(host, "app");
            let other = Filesystem::new(host, "other", Kind::Faultfs, Owner::User);
            let emperor = host.emperor().namespaces(namespaces).start();
            let check = format!("mountpoint-check = {}\nmountpoint-check-interval = 0.2\n", other.mount.display());
            emperor.write("v.ini", &archive.vassal(&format!("start-limit = 1\n{}{check}", other.lines_with(""))));
            archive.written(1);
            emperor.wait_log(&format!("{} is healthy", other.mount.display()));
            let mark = emperor.mark();
            let daemon = emperor.vassal("sleep 1001").process("faultfs");
            kill(Pid::from_raw(daemon.pid), Signal::SIGKILL).expect("ours");
            emperor.wait_log_from(mark, &["v.ini", "ended after"]);
            wait_until("the vassal to be down", LONG, || emperor.vassals().is_empty());
            archive.assert_saved(&emperor, namespaces);
        });
    }
}

/// A database that a hook has put into the background: uWSGI leaves it running, and here it hears of the end.
#[test]
fn what_a_hook_has_left_running_is_asked() {
    for namespaces in NAMESPACES {
        story(|host| {
            let place = host.open_dir("database");
            let script = host.path("database.sh");
            let state = place.join("state");
            let text = format!(
                "#!/bin/sh\ntrap 'sleep 0.5; echo saved > {0}; exit' TERM\necho dirty > {0}\nwhile :; do sleep 0.05; done\n",
                state.display()
            );
            fs::write(&script, text).expect("write in our own directory");
            let emperor = host.emperor().namespaces(namespaces).start();
            let hook = format!("exec-as-root = sh {} >/dev/null 2>&1 &\n", script.display());
            emperor.write("v.ini", &format!("[vassal]\nuid = root\n{hook}command = sleep 1001\n"));
            wait_until("the database to run", LONG, || fs::read_to_string(&state).is_ok_and(|text| text == "dirty\n"));
            emperor.wait_log("started");
            emperor.ask_well(&["stop", "v"]);
            wait_until("the vassal to be down", LONG, || emperor.vassals().is_empty());
            assert_eq!(fs::read_to_string(&state).expect("it is there"), "saved\n", "{namespaces:?}");
        });
    }
}

/// The daemon is well. The path of the check, or what lies there, tells nothing of it.
#[test]
fn the_loss_of_a_path_alone() {
    for is_covered in [false, true] {
        for namespaces in NAMESPACES {
            story(|host| {
                let archive = Archive::new(host, "app");
                let mount = archive.mount.display();
                let go = host.open_dir("marks").join("go");
                let loses = match is_covered {
                    true => "exec sleep 1001".to_owned(),
                    false => {
                        format!("until test -e {}; do sleep 0.02; done; rm {mount}/small.txt; exec sleep 1001", go.display())
                    }
                };
                let emperor = host.emperor().namespaces(namespaces).start();
                let check = format!("mountpoint-check = {mount}/small.txt\nmountpoint-check-interval = 0.2\n");
                let app = archive.command(&loses);
                emperor
                    .write("v.ini", &format!("[vassal]\n{}{}{app}start-limit = 1\n{check}", archive.identity(), archive.hook()));
                archive.written(1);
                emperor.wait_log("is healthy");
                let (init, mark) = (emperor.vassals()[0].init.pid.to_string(), emperor.mark());
                if is_covered {
                    let cover = Command::new("nsenter")
                        .args(["-t", &init, "-m", "mount", "-i", "-t", "tmpfs", "none"])
                        .arg(&archive.mount)
                        .status();
                    assert!(cover.expect("util-linux is installed").success());
                } else {
                    fs::write(&go, "").expect("write in our own directory");
                }
                emperor.wait_log_from(mark, &["v.ini", "ended after"]);
                wait_until("the vassal to be down", LONG, || emperor.vassals().is_empty());
                if is_covered && namespaces.is_none() {
                    umount2(&archive.mount, MntFlags::MNT_DETACH).ok(); // the cover, or what lay under it, went with the vassal
                }
                archive.assert_saved(&emperor, namespaces);
            });
        }
    }
}
