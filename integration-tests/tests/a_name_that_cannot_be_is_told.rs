//! Files whose names make them no vassals are told and have a row in the status; long names have a log and a record of their own.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use liege_integration_tests::{LONG, story, wait_until};
use nix::sys::signal::Signal;

const SLEEPER: &str = "[vassal]\nuid = root\ncommand = /bin/sh -c \"echo hello from long; exec sleep 100000\"\n";

#[test]
fn a_name_that_is_no_text_or_too_long_is_told() {
    story(|host| {
        let emperor = host.emperor().arg("--emperor-freq").arg("1").start();
        let latin = emperor.watched.join(OsStr::from_bytes(b"caf\xe9.ini"));
        let long = emperor.file(&format!("{}.ini", "x".repeat(251)));
        for path in [&latin, &long] {
            fs::write(path, SLEEPER).unwrap();
        }
        emperor.wait_log("is no vassal: its name is no UTF-8");
        emperor.wait_log("is no vassal: its name is longer than 254 bytes");
        let said = emperor.ask(&["status"]).1;
        assert!(said.contains("caf\\xe9.ini") && said.contains("xxx") && said.matches("bad file").count() == 2, "{said}");
        fs::remove_file(&latin).unwrap();
        fs::remove_file(&long).unwrap();
        wait_until("both rows to go", LONG, || !emperor.ask(&["status"]).1.contains("bad file"));
        assert!(emperor.vassals().is_empty());
    });
}

#[test]
fn a_long_name_has_its_log_and_its_record() {
    story(|host| {
        let emperor = host.emperor().start();
        let names = ["a", "b"].map(|last| format!("{}{last}.ini", "n".repeat(248)));
        for name in &names {
            emperor.write(name, SLEEPER);
        }
        wait_until("both to run", LONG, || emperor.vassals().len() == 2);
        for name in &names {
            wait_until("its log", LONG, || emperor.ask(&["logs", name]).1.contains("hello from long"));
        }
        let logs: Vec<String> =
            fs::read_dir(&emperor.logs).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        assert!(logs.len() == 2 && logs.iter().all(|log| log.len() <= 200), "{logs:?}");
        emperor.vassals()[0].process("sleep").kill(Signal::SIGKILL);
        let recorded = || names.iter().filter(|name| emperor.ask(&["status", name]).1.contains("killed by")).count();
        wait_until("one record of an end", LONG, || recorded() == 1);
    });
}
