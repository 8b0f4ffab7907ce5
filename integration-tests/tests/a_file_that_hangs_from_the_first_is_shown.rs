//! A file that hangs at its first reading has no vassal, and is shown all the same: as one that is not read yet, with what does not answer
//! and for how long. It is a vassal's as soon as that answers, and is forgotten when it goes.

use std::fs;
use std::os::unix::fs::symlink;

use liege_integration_tests::remote::Remote;
use liege_integration_tests::scrape::{ANY_PORT, Listener};
use liege_integration_tests::{LONG, story, wait_until};
use nix::sys::signal::Signal;

#[test]
fn a_file_that_hangs_from_the_first_is_shown() {
    story(|host| {
        let remote = Remote::new(host);
        for name in ["back.ini", "gone.ini"] {
            fs::write(remote.at.join(name), "[vassal]\nuid = root\ncommand = /bin/sleep 100000\n").unwrap();
        }
        let emperor = host.emperor().arg("--emperor-metrics").arg(ANY_PORT).start();
        let metrics = Listener::of(&emperor);
        remote.daemon.kill(Signal::SIGSTOP);
        for name in ["back.ini", "gone.ini"] {
            symlink(remote.at.join(name), emperor.file(name)).unwrap();
        }
        let hangs = format!("{} has not answered for ", remote.at.display());
        let row = |name: &str| {
            let status = emperor.ask_well(&["status"]);
            status.lines().find(|line| line.starts_with(name)).map(str::to_owned)
        };
        for name in ["back.ini", "gone.ini"] {
            wait_until("a row of the file", LONG, || row(name).is_some());
            let row = row(name).unwrap();
            assert!(row.contains("not read yet") && row.contains(&hangs), "{row}");
            metrics.wait_value(&format!("liege_vassal_up{{vassal=\"{name}\"}}"), LONG, |value| value == 0.0);
            let (status, said) = emperor.ask(&["start", name]);
            assert!(status == 1 && said.contains("its file cannot be read: ") && said.contains(&hangs), "{status} {said}");
        }
        assert!(emperor.ask_well(&["status", "--json"]).contains(&hangs));

        fs::remove_file(emperor.file("gone.ini")).unwrap();
        wait_until("the row to go", LONG, || row("gone.ini").is_none());
        remote.daemon.kill(Signal::SIGCONT);
        metrics.wait_value("liege_vassal_up{vassal=\"back.ini\"}", LONG, |value| value == 1.0);
        assert_eq!(emperor.vassals().len(), 1);
    });
}
