//! Five hundred files at once, then none: exactly the directory's state, no zombie, and the descriptors back to where they were
//! (the leak guard compares those after every story).

use std::collections::BTreeSet;

use liege_integration_tests::{LONG, procs, story, wait_until};

const FILES: usize = 500;

#[test]
fn five_hundred_files_come_and_go() {
    story(|host| {
        let emperor = host.emperor().start();
        let names: BTreeSet<String> = (0..FILES).map(|n| format!("v{n:03}.ini")).collect();
        for name in &names {
            emperor.write(name, "[vassal]\ncommand = /bin/sleep 100000\nuid = root\n");
        }
        let running = || procs::descendants(emperor.pid).iter().filter(|process| process.name == "sleep").count();
        wait_until("five hundred running vassals", LONG, || running() == FILES);
        assert_eq!(emperor.vassals().len(), FILES, "exactly the directory's state");
        let fds = emperor.gauge().fds.len();
        assert!(fds < 2 * FILES + 100, "{fds} descriptors are more than two per vassal");

        for name in &names {
            emperor.remove(name);
        }
        wait_until("none left", LONG, || emperor.vassals().is_empty());
        wait_until("no zombie", LONG, || procs::descendants(emperor.pid).iter().all(|process| process.state != 'Z'));
    });
}
