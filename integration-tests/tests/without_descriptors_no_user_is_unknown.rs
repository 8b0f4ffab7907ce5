//! A daemon that has no descriptor left to look a user up does not call the user unknown: the reading has failed, is told as that, and
//! is done again.

use std::fs;
use std::process::Command;

use liege_integration_tests::apps::USER;
use liege_integration_tests::{Emperor, LONG, story, wait_until};
use nix::sys::signal::Signal;

fn limit(emperor: &Emperor, descriptors: u64) {
    let words = [format!("--pid={}", emperor.pid), format!("--nofile={descriptors}:1024")];
    assert!(Command::new("prlimit").args(words).status().expect("prlimit: make deps").success());
}

#[test]
fn without_descriptors_no_user_is_unknown() {
    story(|host| {
        let emperor = host.emperor().under(&["prlimit", "--nofile=1024:1024"]).start();
        let numbers = fs::read_dir(format!("/proc/{}/fd", emperor.pid)).unwrap().map(|entry| entry.unwrap().file_name());
        let held = numbers.map(|name| name.to_str().unwrap().parse::<u64>().unwrap()).max().unwrap() + 1;
        // As many readings at once as will, with less than they need.
        for left in (0..=5).rev() {
            let names: Vec<String> = (0..8).map(|number| format!("left{left}-{number}.ini")).collect();
            let mark = emperor.mark();
            limit(&emperor, held + left);
            for name in &names {
                emperor.write(name, &format!("[vassal]\nuid = {USER}\ngid = {USER}\ncommand = /bin/sleep 100000\n"));
            }
            wait_until("a word of each file, or of what is lacking", LONG, || {
                let log = emperor.log().split_off(mark);
                let is_told = |name: &String| log.iter().any(|line| line.contains(name.as_str()));
                let is_lack = |line: &String| line.contains("EMFILE") || line.contains("Too many open files");
                names.iter().all(is_told) || log.iter().any(is_lack)
            });
            limit(&emperor, 1024);
            emperor.signal(Signal::SIGWINCH);
            wait_until("all to run", LONG, || emperor.vassals().len() == names.len());
            names.iter().for_each(|name| emperor.remove(name));
            wait_until("all to be gone", LONG, || emperor.vassals().is_empty());
        }
        let log = emperor.log();
        assert!(!log.iter().any(|line| line.contains("there is no user") || line.contains("there is no group")), "{log:#?}");
    });
}
