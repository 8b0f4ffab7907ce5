//! `liege logs`: the last lines of a vassal, over all its files; what comes, followed; and of one that is gone what is left.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use liege_integration_tests::tools::liege;
use liege_integration_tests::{Emperor, LONG, story, wait_until};
use nix::sys::stat::Mode;

/// `liege logs WORDS... --control SOCKET`: exit code and output.
fn logs(emperor: &Emperor, words: &[&str]) -> (i32, String) {
    emperor.ask(&[&["logs"], words].concat())
}

/// Says three lines and whatever is written to the fifo.
const TALK: &str = "[vassal]
command = sh -c 'for i in 1 2 3; do echo line $i; done; while read word; do echo heard $word; done < <fifo>'
hook-as-root = exec:echo from a hook
vassal-log-size = 4K
uid = root
";

#[test]
fn what_a_vassal_says_is_shown_and_followed() {
    story(|host| {
        let emperor = host.emperor().start();
        let fifo = host.path("fifo");
        nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        emperor.write("talk.ini", &TALK.replace("<fifo>", &fifo.display().to_string()));
        emperor.wait_said("talk.ini", "app: line 3");
        let (status, said) = logs(&emperor, &["talk", "-n", "2"]);
        assert!(status == 0 && said.lines().count() == 2 && said.contains("Z app: line 3"), "{status}: {said}");
        let (_, said) = logs(&emperor, &["talk", "-n", "all"]);
        assert!(said.contains("as-root: from a hook") && said.contains("app: line 1"), "{said}");
        assert_eq!(logs(&emperor, &["nobody"]).0, 4);

        let mut follower = Command::new(liege())
            .args(["logs", "-f", "-n", "1", "talk", "--control"])
            .arg(&emperor.control)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.next().unwrap().ends_with("app: line 3"));
        // Kept open: without a writer its loop would end.
        let mut writer = fs::File::options().write(true).open(&fifo).unwrap();
        writeln!(writer, "word").unwrap();
        assert!(lines.next().unwrap().ends_with("app: heard word"));
        // Over the edge of a file.
        for n in 0..200 {
            writeln!(writer, "{n} {}", "x".repeat(100)).unwrap();
            assert!(lines.next().unwrap().contains(&format!("heard {n} ")));
        }
        follower.kill().unwrap();
        follower.wait().unwrap();

        emperor.remove("talk.ini");
        wait_until("the vassal to be gone", LONG, || emperor.vassals().is_empty());
        let (status, said) = logs(&emperor, &["talk.ini"]);
        assert!(status == 0 && said.contains("heard 199"), "its log outlives it: {said}");
    });
}

#[test]
fn a_log_that_was_removed_is_told() {
    story(|host| {
        let emperor = host.emperor().start();
        emperor.write("talk.ini", "[vassal]\nuid = root\ncommand = sh -c 'echo begun; exec sleep 100000'\n");
        emperor.wait_said("talk.ini", "app: begun");
        fs::remove_dir_all(emperor.logs.join("talk.ini")).unwrap();
        let (status, said) = logs(&emperor, &["talk"]);
        assert!(
            status == 1 && said.contains("was removed while it ran") && said.contains("liege restart talk.ini"),
            "{status}: {said}"
        );
        emperor.ask_well(&["restart", "talk"]);
        emperor.wait_said("talk.ini", "app: begun");
        assert_eq!(logs(&emperor, &["talk"]).0, 0);
    });
}
