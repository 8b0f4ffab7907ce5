//! An app hangs, beyond SIGKILL, in a mount of the host's that is not liege's to end. Its pid namespace cannot be reaped. When the daemon is
//! told to end it waits for that only for a bounded time, names what it leaves behind, and has given all others their own.

use liege_integration_tests::faults::{Filesystem, Kind, Owner};
use liege_integration_tests::{LONG, SHORT, procs, story, wait_until};
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::Signal;

fn ends(namespaces: &'static str) {
    story(move |host| {
        let filesystem = Filesystem::new(host, "host", Kind::Faultfs, Owner::Root);
        filesystem.mount_here();
        let faultfs = filesystem.faultfs.as_ref().expect("it is a faultfs");
        let (hello, _) = filesystem.hello();
        let hangs = || {
            let mut all = procs::all().into_iter();
            all.find(|process| process.name == "stat" && process.command_line().contains(&*hello.to_string_lossy()))
        };
        let (asked, saves, saved) = (host.path("asked"), host.path("saves"), host.path("saved"));

        let emperor = host.emperor().namespaces(Some(namespaces)).start();
        let [asked_at, saves_at, saved_at] = [&asked, &saves, &saved].map(|path| path.display());
        let script = format!(
            "trap \": > {asked_at}\" TERM; : > {saves_at}.up; until [ -e {saves_at} ]; do sleep 0.1; done; : > {saved_at}"
        );
        emperor.write("saves.ini", &format!("[vassal]\nuid = root\ncommand = /bin/sh -c '{script}'\nstop-timeout = 60\n"));
        faultfs.order("swallow").expect("it obeys");
        emperor.write("hangs.ini", &format!("[vassal]\nuid = root\ncommand = stat {}\nstop-timeout = 1\n", hello.display()));
        wait_until("it to hang, and the other one to run", SHORT, || {
            hangs().is_some() && faultfs.swallowed().is_ok_and(|requests| requests > 0) && saves.with_extension("up").exists()
        });

        let mark = emperor.mark();
        emperor.signal(Signal::SIGTERM);
        let held_up = emperor.wait_log_from(mark, &["hangs.ini", "stat (pid "]);
        assert!(held_up.contains("state D") && asked.exists(), "{held_up}");
        std::fs::write(&saves, "").expect("our own directory");
        assert_eq!(emperor.wait_exit(LONG).code(), Some(0));
        assert!(saved.exists(), "the other one had its time");
        let last = emperor.log().pop().expect("it said something");
        assert!(
            last.contains("ERROR") && last.contains("the emperor is gone; beyond SIGKILL and left behind: hangs.ini: "),
            "{last}"
        );
        assert!(last.contains("stat (pid ") && last.contains("state D") && !last.contains("saves.ini"), "{last}");
        emperor.assert_state_gone();

        // The host's own business: what frees it ends it.
        assert!(hangs().is_some());
        faultfs.order("crash").expect("it obeys");
        wait_until("it to be gone", LONG, || hangs().is_none());
        let _ = umount2(&filesystem.mount, MntFlags::MNT_DETACH); // dead by now
    });
}

#[test]
fn in_namespaces_of_its_own() {
    ends("fs,pid");
}

#[test]
fn in_the_hosts_mounts() {
    ends("pid");
}
