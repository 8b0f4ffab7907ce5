//! An order has the vassal's file read first. A file whose reading lasts has the order wait: it is carried out then, unless a stop was asked
//! for meanwhile.

use std::fs;
use std::thread;

use liege_integration_tests::{Emperor, Host, LONG, story, wait_until};

/// A file that takes long to read where `hold` is there: as long as it is.
fn held(host: &Host) -> String {
    let (hold, asked) = (host.path("hold").display().to_string(), host.path("asked").display().to_string());
    let command = format!("if [ -e {hold} ]; then touch {asked}; fi; while [ -e {hold} ]; do sleep 0.05; done; echo word");
    format!("[vassal]\nuid = root\ncommand = /bin/sleep 100000\nenv = WORD=@(exec://{command})\n")
}

/// What runs is stopped while this order waits, and then the file can be read.
fn is_overtaken(host: &Host, emperor: &Emperor, order: &str) {
    let (hold, asked) = (host.path("hold"), host.path("asked"));
    fs::write(&hold, "").unwrap();
    thread::scope(|scope| {
        let waits = scope.spawn(|| emperor.ask(&[order, "v.ini"]));
        wait_until("the file to be read for it", LONG, || asked.exists());
        emperor.ask_well(&["stop", "v.ini", "--wait"]);
        fs::remove_file(&hold).unwrap();
        let (status, said) = waits.join().unwrap();
        assert!(status == 1 && said.contains("refused: overtaken by a later order: stop"), "{order}: {status} {said}");
    });
    fs::remove_file(&asked).unwrap();
    assert!(emperor.vassals().is_empty() && emperor.ask_well(&["status", "v.ini"]).contains("stopped"), "{order}");
}

#[test]
fn a_stop_overtakes_an_order_that_waits_for_its_file() {
    story(|host| {
        let emperor = host.emperor().arg("--emperor-freq").arg("3600").start();
        emperor.write("v.ini", &held(host));
        for order in ["restart", "reload", "start"] {
            emperor.wait_log("v.ini: started");
            wait_until("it to run", LONG, || emperor.vassals().len() == 1);
            is_overtaken(host, &emperor, order);
            emperor.ask_well(&["start", "v.ini"]);
        }
    });
}

/// The command takes longer than one that waits for its turn is waited for.
#[test]
fn a_file_that_is_slow_to_read_is_started_by_an_order() {
    story(|host| {
        let emperor = host.emperor().arg("--emperor-freq").arg("3600").start();
        emperor.write("v.ini", "[vassal]\nuid = root\ncommand = /bin/sleep 100000\n");
        wait_until("it to run", LONG, || emperor.vassals().len() == 1);
        emperor.ask_well(&["stop", "v.ini", "--wait"]);
        let mark = emperor.mark();
        emperor.write("v.ini", "[vassal]\nuid = root\ncommand = /bin/sleep 100000\nenv = WORD=@(exec://sleep 4; echo word)\n");
        let said = emperor.ask_well(&["start", "v.ini"]);
        assert!(said.contains("waiting for its file to be read"), "{said}");
        emperor.wait_log_from(mark, &["v.ini: started"]);
    });
}
