//! fuse-zip writes its archive back when it is unmounted. Whatever ends a vassal in order, what its app had written is in the archive
//! afterwards, with namespaces and without, and nothing is left behind.

use std::process::Command;
use std::rc::Rc;
use std::time::Instant;

use liege_integration_tests::archive::Archive;
use liege_integration_tests::tools::need;
use liege_integration_tests::wait::slowness;
use liege_integration_tests::{Emperor, Host, LONG, story, wait_until};
use nix::sys::signal::Signal;

const NAMESPACES: [Option<&str>; 2] = [Some("fs,pid"), None];

/// Tells the story of one end, under each kind of namespaces: `end` makes it and waits for it.
fn saves(text: impl Fn(&Archive) -> String + Send + Sync, end: impl Fn(&Rc<Emperor>, &Archive) + Send + Sync) {
    need("unzip");
    for namespaces in NAMESPACES {
        story(|host| saves_under(host, namespaces, &text, &end));
    }
}

fn saves_under(host: &Host, namespaces: Option<&str>, text: impl Fn(&Archive) -> String, end: impl Fn(&Rc<Emperor>, &Archive)) {
    let archive = Archive::new(host, "app");
    let emperor = host.emperor().namespaces(namespaces).start();
    emperor.write("v.ini", &text(&archive));
    archive.written(1);
    let start = Instant::now();
    end(&emperor, &archive);
    archive.assert_saved(&emperor, namespaces);
    println!("{namespaces:?}: saved after {:.1?}", start.elapsed());
}

fn is_down(emperor: &Emperor) {
    wait_until("the vassal to be down", LONG, || emperor.vassals().is_empty());
}

/// The app has written a second time: another life of it runs, and has found the first one's archive.
fn is_born_again(emperor: &Emperor, archive: &Archive) {
    archive.written(2);
    assert_eq!(emperor.vassals().len(), 1);
}

#[test]
fn a_stop() {
    saves(
        |archive| archive.vassal(""),
        |emperor, _| {
            emperor.ask_well(&["stop", "v"]);
            is_down(emperor);
        },
    );
}

/// What was written before is the daemon's to write back.
#[test]
fn a_stop_after_the_mount_was_made_read_only() {
    saves(
        |archive| archive.vassal(""),
        |emperor, archive| {
            let app = emperor.vassal("sleep 1001").process("sleep").pid;
            let remount = ["--mount", "mount", "-i", "-o", "remount,ro"];
            let done = Command::new("nsenter").arg(format!("--target={app}")).args(remount).arg(&archive.mount).status();
            assert!(done.expect("nsenter: make deps").success());
            emperor.ask_well(&["stop", "v"]);
            is_down(emperor);
        },
    );
}

#[test]
fn a_stop_of_all() {
    saves(
        |archive| archive.vassal(""),
        |emperor, _| {
            emperor.ask_well(&["stop", "--all"]);
            is_down(emperor);
        },
    );
}

#[test]
fn a_removed_file() {
    saves(
        |archive| archive.vassal(""),
        |emperor, _| {
            emperor.remove("v.ini");
            is_down(emperor);
        },
    );
}

#[test]
fn a_restart() {
    saves(
        |archive| archive.vassal(""),
        |emperor, archive| {
            emperor.ask_well(&["restart", "v"]);
            is_born_again(emperor, archive);
        },
    );
}

#[test]
fn a_rebuild() {
    saves(
        |archive| archive.vassal(""),
        |emperor, archive| {
            emperor.write("v.ini", &archive.vassal("exec-as-root = true\n"));
            is_born_again(emperor, archive);
        },
    );
}

#[test]
fn the_end_of_the_daemon_by_each_of_its_signals() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT] {
        saves(
            |archive| archive.vassal(""),
            |emperor, _| {
                emperor.signal(signal);
                assert!(emperor.wait_exit(LONG).success());
            },
        );
    }
}

#[test]
fn the_death_of_the_app() {
    saves(
        |archive| archive.vassal(""),
        |emperor, archive| {
            emperor.vassal("sleep 1001").process("sleep").kill(Signal::SIGKILL);
            is_born_again(emperor, archive);
        },
    );
}

#[test]
fn a_hook_that_unmounts_it_does_not_have_to_wait() {
    saves(
        |archive| archive.vassal(&format!("exec-as-user-atexit = fusermount -u {}\n", archive.mount.display())),
        |emperor, _| {
            emperor.ask_well(&["stop", "v"]);
            is_down(emperor);
        },
    );
}

/// Vassals whose archive is served by a daemon in the foreground.
fn attached(archive: &Archive, more: &str) -> String {
    format!("[vassal]\n{}{}{}{more}", archive.identity(), archive.attached(), archive.command("exec sleep 1001"))
}

#[test]
fn a_daemon_in_the_foreground_at_a_stop() {
    saves(
        |archive| attached(archive, ""),
        |emperor, _| {
            emperor.ask_well(&["stop", "v"]);
            is_down(emperor);
        },
    );
}

#[test]
fn a_daemon_in_the_foreground_at_a_reload_that_replaces_the_app() {
    saves(
        |archive| attached(archive, ""),
        |emperor, archive| {
            emperor.write("v.ini", &attached(archive, "env = CHANGED=yes\n"));
            is_born_again(emperor, archive);
        },
    );
}

/// What the app leaves behind keeps the mount busy, and does not heed a TERM.
#[test]
fn a_process_of_the_app_that_stays_holds_it_open() {
    need("unzip");
    for namespaces in NAMESPACES {
        story(|host| {
            let archive = Archive::new(host, "app");
            let emperor = host.emperor().namespaces(namespaces).start();
            let busy =
                format!("setsid sh -c \"trap : TERM; exec 3<{}/precious; while :; do sleep 1; done\" &", archive.mount.display());
            let text = archive
                .vassal(&format!("stop-timeout = {}\n", 4 * slowness()))
                .replace("exec sleep 1001", &format!("{busy} exec sleep 1001"));
            emperor.write("v.ini", &text);
            archive.written(1);
            // It has set its trap when it has the file open.
            let holds = |pid: i32| std::fs::read_link(format!("/proc/{pid}/fd/3")).is_ok_and(|file| file.ends_with("precious"));
            wait_until("the process that stays to hold the file", LONG, || {
                emperor.vassals().iter().flat_map(|vassal| vassal.processes()).any(|process| holds(process.pid))
            });
            emperor.ask_well(&["stop", "v"]);
            is_down(&emperor);
            assert!(archive.is_saved(), "{namespaces:?}: lost");
            // It had half of the time, and is named.
            emperor.wait_log("what was not written back is lost: sh (pid ");
        });
    }
}

/// One archive lies in the other: the inner one is written back into the outer one first.
#[test]
fn one_archive_in_the_other() {
    need("unzip");
    for namespaces in NAMESPACES {
        story(|host| {
            let [outer, inner] = ["outer", "inner"].map(|name| Archive::new(host, name));
            let (inside, zip) = (outer.mount.join("inner.zip"), inner.zip.display());
            let hook = format!("exec-as-user = cp {zip} {0} && fuse-zip {0} {1}\n", inside.display(), inner.mount.display());
            let (identity, command) = (outer.identity(), inner.command("exec sleep 1001"));
            let text = format!("[vassal]\n{identity}{}{hook}{command}stop-timeout = 60\n", outer.hook());
            let emperor = host.emperor().namespaces(namespaces).start();
            emperor.write("v.ini", &text);
            inner.written(1);
            emperor.ask_well(&["stop", "v"]);
            is_down(&emperor);
            let unpacked = std::process::Command::new("unzip").arg("-p").arg(&outer.zip).arg("inner.zip").output().unwrap();
            // Debian's fs.protected_regular keeps root from writing into a user's file in a directory like /tmp.
            std::fs::remove_file(&inner.zip).unwrap();
            std::fs::write(&inner.zip, unpacked.stdout).unwrap();
            assert!(inner.is_saved(), "{namespaces:?}: lost");
        });
    }
}

/// A hook of the birth has written into the archive, and a later one lasts.
mod while_it_is_prepared {
    use super::*;

    #[test]
    fn a_stop() {
        saves(
            |archive| archive.prepared(""),
            |emperor, _| {
                emperor.ask_well(&["stop", "v"]);
                is_down(emperor);
            },
        );
    }

    #[test]
    fn a_removed_file() {
        saves(
            |archive| archive.prepared(""),
            |emperor, _| {
                emperor.remove("v.ini");
                is_down(emperor);
            },
        );
    }

    #[test]
    fn a_changed_file() {
        saves(
            |archive| archive.prepared(""),
            |emperor, archive| {
                emperor.write("v.ini", &archive.prepared("exec-as-root = true\n"));
                is_born_again(emperor, archive);
            },
        );
    }

    #[test]
    fn the_end_of_the_daemon() {
        saves(
            |archive| archive.prepared(""),
            |emperor, _| {
                emperor.signal(Signal::SIGTERM);
                assert!(emperor.wait_exit(LONG).success());
            },
        );
    }

    /// It has a handler for TERM that does nothing, and is killed; the daemon in its own group is not.
    #[test]
    fn a_stop_of_one_whose_step_does_not_heed_a_term_and_serves_the_mount() {
        saves(
            |archive| {
                let served = format!(
                    "fuse-zip -f {} {} & until test -e {}/small.txt; do sleep 0.02; done",
                    archive.zip.display(),
                    archive.mount.display(),
                    archive.mount.display()
                );
                let text = archive.prepared("");
                let (head, steps) = text.split_once(&archive.hook()).expect("it has the hook");
                let steps = steps.replacen("exec-as-user = cp", &format!("exec-as-user = trap : TERM; {served}; cp"), 1);
                let steps = steps.replace("\nexec-as-user = sleep 1001", "; while :; do sleep 1; done");
                format!("{head}{steps}")
            },
            |emperor, _| {
                emperor.ask_well(&["stop", "v"]);
                is_down(emperor);
            },
        );
    }
}
