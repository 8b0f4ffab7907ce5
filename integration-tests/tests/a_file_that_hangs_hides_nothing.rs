//! A vassal's file, or one that it includes, is on a file system that does not answer. That hides neither that the vassal's file is gone
//! nor that it was changed, and no order is `done` that did not read the file.

use std::fs;
use std::os::unix::fs::symlink;

use liege_integration_tests::apps::Reporter;
use liege_integration_tests::remote::Remote;
use liege_integration_tests::{Emperor, LONG, story, wait_until};
use nix::sys::signal::Signal;

/// The order is refused, and the refusal names what does not answer.
fn is_refused(emperor: &Emperor, order: &str, vassal: &str, what: &str) {
    let (status, said) = emperor.ask(&[order, vassal]);
    assert!(status != 0 && said.contains("its file cannot be read: ") && said.contains(what), "{order}: {status}: {said}");
}

#[test]
fn a_file_that_hangs_hides_nothing() {
    story(|host| {
        let [edited, removed, linked, replaced] =
            ["edited", "removed", "linked", "replaced"].map(|name| Reporter::new(host, name));
        let remote = Remote::new(host);
        let word = remote.at.join("word");
        fs::write(&word, "one\n").unwrap();
        fs::write(remote.at.join("linked.ini"), linked.vassal("")).unwrap();
        fs::write(remote.at.join("replaced.ini"), replaced.vassal("")).unwrap();
        let emperor = host.emperor().arg("--emperor-freq").arg("1").start();
        let needs = format!("env = WORD=@({})\n", word.display());
        emperor.write("edited.ini", &edited.vassal(&needs));
        emperor.write("removed.ini", &removed.vassal(&needs));
        for name in ["linked.ini", "replaced.ini"] {
            symlink(remote.at.join(name), emperor.file(name)).unwrap();
        }
        for app in [&edited, &removed, &linked, &replaced] {
            let _ = app.started(1);
        }

        remote.daemon.kill(Signal::SIGSTOP);
        emperor.touch("edited.ini");
        emperor.touch("removed.ini");
        let word = word.display().to_string();
        is_refused(&emperor, "reload", "edited", &word);
        is_refused(&emperor, "restart", "removed", &word);
        is_refused(&emperor, "reload", "linked", &remote.at.display().to_string());
        let (status, said) = emperor.ask(&["reload", "--all"]);
        assert!(status != 0 && said.contains("its file cannot be read: "), "{status}: {said}");

        // The line that hangs is taken out.
        let mark = emperor.mark();
        emperor.write("edited.ini", &edited.vassal("env = WORD=two\n"));
        wait_until("a start without what hangs", LONG, || {
            edited.starts().last().is_some_and(|start| start["environment"]["WORD"] == "two")
        });
        emperor.remove("removed.ini");
        emperor.wait_log_from(mark, &["removed.ini: gone"]);
        fs::remove_file(emperor.file("linked.ini")).unwrap();
        emperor.wait_log_from(mark, &["linked.ini: gone"]);
        // Another file takes the place of the link.
        fs::write(host.path("new.ini"), replaced.vassal("env = WORD=here\n")).unwrap();
        fs::rename(host.path("new.ini"), emperor.file("replaced.ini")).unwrap();
        wait_until("a start with the new file", LONG, || {
            replaced.starts().last().is_some_and(|start| start["environment"]["WORD"] == "here")
        });

        // What was read at last is not told: it is older than what is known.
        let starts = [&edited, &replaced].map(|app| app.starts().len());
        remote.daemon.kill(Signal::SIGCONT);
        emperor.ask_well(&["rescan"]);
        emperor.write("removed.ini", &removed.vassal(&needs));
        let _ = removed.started(2);
        assert_eq!([&edited, &replaced].map(|app| app.starts().len()), starts);
        assert_eq!(emperor.vassals().len(), 3);
    });
}
