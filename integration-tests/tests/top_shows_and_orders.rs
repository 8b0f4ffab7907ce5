//! `liege top` on a real terminal: shows vassals, sorts them, opens a log, stops one after a yes; and the terminal is what it was,
//! however it ends.

use std::process::{Command, Stdio};

use liege_integration_tests::terminal::Terminal;
use liege_integration_tests::tools::{PATH, liege, run_liege};
use liege_integration_tests::{Emperor, LONG, story};
use nix::sys::signal::Signal;

const TALKER: &str = "[vassal]\ncommand = /bin/sh -c \"echo the shop is open; exec sleep 100000\"\nuid = root\n";
const SLEEPER: &str = "[vassal]\ncommand = /bin/sleep 100000\nuid = root\n";

fn top(emperor: &Emperor, columns: u16, lines: u16) -> Terminal {
    let mut command = Command::new(liege());
    command.arg("top").arg("--control").arg(&emperor.control);
    Terminal::start(&mut command, columns, lines)
}

/// The line about somebody.
fn line<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines().find(|line| line[1.min(line.len())..].starts_with(name)).unwrap_or_default()
}

#[test]
fn a_vassal_is_seen_sorted_read_and_stopped() {
    story(|host| {
        let emperor = host.emperor().start();
        emperor.write("shop.ini", TALKER);
        emperor.write("blog.ini", SLEEPER);
        emperor.wait_said("shop.ini", "the shop is open");
        let mut top = top(&emperor, 100, 24);
        top.wait("both to run", |text| ["shop.ini", "blog.ini"].iter().all(|name| line(text, name).contains("running")));
        assert!(line(&top.text(), "blog.ini").starts_with('>'), "{}", top.text());
        top.wait("its memory", |text| line(text, "shop.ini").split_whitespace().any(|word| word.ends_with(['K', 'M'])));

        let is_above = |text: &str, a: &str, b: &str| text.find(a).zip(text.find(b)).is_some_and(|(a, b)| a < b);
        assert!(is_above(&top.text(), "blog.ini", "shop.ini"));
        top.press("o");
        top.wait("the other order", |text| text.contains("^NAME") && is_above(text, ">shop.ini", " blog.ini"));
        top.press("os");
        top.wait("the order of states", |text| text.contains("*STATE"));

        top.press("/SHOP\r");
        top.wait("one alone", |text| line(text, "blog.ini").is_empty() && line(text, "shop.ini").starts_with('>'));
        top.press("l");
        top.wait("its log", |text| text.contains("the last lines of shop.ini") && text.contains("app: the shop is open"));
        top.press("c");
        top.wait("its cause", |text| text.contains("shop.ini: running, ready") && text.contains("(its init), "));
        top.press("\x1b");
        top.wait("the table", |text| line(text, "shop.ini").contains("running"));

        // A no first.
        top.press("S");
        top.wait("a question", |text| text.contains("stop shop.ini? y: yes"));
        top.press("n");
        top.wait("the keys again", |text| text.contains("q quit"));
        top.press("Sy");
        top.wait("the answer", |text| text.contains("stop shop.ini: asked to stop"));
        top.wait("its end", |text| line(text, "shop.ini").contains("stopped"));
        assert_eq!(emperor.vassals().len(), 1);
        top.press("ay");
        top.wait("its return", |text| line(text, "shop.ini").contains("running"));
        assert_eq!(emperor.vassals().len(), 2);
        top.press("q");
        let (code, said) = top.end();
        assert_eq!(code, Some(0), "{said:?}");
    });
}

#[test]
fn a_small_terminal_and_one_that_changes_are_enough() {
    story(|host| {
        let emperor = host.emperor().start();
        emperor.write("shop.ini", SLEEPER);
        let mut top = top(&emperor, 60, 10);
        top.wait("a narrow table", |text| {
            line(text, "shop.ini").contains("running") && text.contains("MOUNTS") && !text.contains("CHECKS")
        });
        assert!(top.text().lines().all(|line| line.chars().count() <= 60), "{}", top.text());
        top.resize(140, 30);
        top.wait("a wide table", |text| text.contains("CHECKS") && text.lines().count() == 30);
        top.press("\x03");
        assert_eq!(top.end().0, Some(0));
    });
}

#[test]
fn the_daemons_end_is_the_end() {
    story(|host| {
        let emperor = host.emperor().start();
        emperor.write("shop.ini", SLEEPER);
        let on = top(&emperor, 80, 24);
        on.wait("it to run", |text| line(text, "shop.ini").contains("running"));
        let terminated = top(&emperor, 80, 24);
        terminated.wait("it to run", |text| line(text, "shop.ini").contains("running"));
        terminated.signal(Signal::SIGTERM);
        assert_eq!(terminated.end().0, Some(0), "whoever ends it wants his terminal back");
        emperor.signal(Signal::SIGTERM);
        assert!(emperor.wait_exit(LONG).success());
        let (code, said) = on.end();
        assert!(code == Some(3) && said.contains("liege: the daemon has ended"), "{code:?} {said:?}");
        let (code, said) = top(&emperor, 80, 24).end();
        assert!(code == Some(3) && said.contains("no daemon answers") && !said.contains("\x1b["), "{code:?} {said:?}");
    });
}

#[test]
fn a_killed_daemon_is_an_end_too() {
    story(|host| {
        let emperor = host.emperor().start();
        emperor.write("shop.ini", SLEEPER);
        let on = top(&emperor, 80, 24);
        on.wait("it to run", |text| line(text, "shop.ini").contains("running"));
        emperor.signal(Signal::SIGKILL);
        let _ = emperor.wait_exit(LONG);
        let (code, said) = on.end();
        assert!(code == Some(3) && said.contains("liege: the daemon has ended"), "{code:?} {said:?}");
    });
}

#[test]
fn without_a_terminal_it_says_so() {
    story(|host| {
        let emperor = host.emperor().start();
        let control = emperor.control.display().to_string();
        let mut command = Command::new(liege());
        command.args(["top", "--control", &control]).env_clear().env("PATH", PATH).stdin(Stdio::null());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains("top needs a terminal"), "{said}");
        assert!(output.stdout.is_empty());
        assert_eq!(run_liege(&["top", "--nonsense"]).0, 2);
    });
}
