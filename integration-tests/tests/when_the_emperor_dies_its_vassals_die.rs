//! `emperor-death = kill`: `kill -9` of the daemon ends every vassal, the stubborn and the half-started too.

use liege_integration_tests::apps::{Reporter, ZipApp};
use liege_integration_tests::{LONG, SHORT, procs, served, story, wait_until};
use nix::sys::signal::Signal;

fn emperor_dies(namespaces: Option<&'static str>) {
    story(move |host| {
        let (app, hook) = (ZipApp::new(host, "app", "text"), Reporter::new(host, "hook"));
        let pids = host.open_dir("pids");
        let emperor = host.emperor().namespaces(namespaces).start();
        if namespaces.is_some() {
            emperor.write("app001.ini", &app.checked());
            served(app.port, "text", LONG);
        }
        emperor.write(
            "stubborn.ini",
            &format!(
                "[vassal]\ncommand = {} {}\nstop-timeout = 1\nuid = root\n",
                host.helper("stubborn").display(),
                pids.join("s").display()
            ),
        );
        emperor.write(
            "starting.ini",
            &format!("[vassal]\ncommand = /bin/true\nhook-pre-jail = exec:{}\nuid = root\n", hook.command()),
        );
        let _hanging = hook.started(1);
        wait_until("the stubborn one", SHORT, || pids.join("s").exists());
        let below = procs::descendants(emperor.pid);
        assert!(below.len() >= 4);

        emperor.signal(Signal::SIGKILL);
        let _killed = emperor.wait_exit(SHORT);
        wait_until("every vassal to end with its emperor", LONG, || below.iter().all(|process| !process.lives()));
    });
}

#[test]
fn vassals_with_namespaces_die() {
    emperor_dies(Some("fs,pid"));
}

#[test]
fn vassals_without_namespaces_die() {
    emperor_dies(None);
}
