//! The manual pages and the shells' completions are made of the command line's own definition, and work.

use std::process::Command;

use liege_integration_tests::story;
use liege_integration_tests::tools::{liege, need, run_liege};

#[test]
fn every_verb_has_a_manual_page_without_a_fault() {
    need("mandoc");
    story(|host| {
        let dir = host.path("man");
        let (status, said) = run_liege(&["man".as_ref(), dir.as_os_str()]);
        assert_eq!(status, 0, "{said}");
        let mut pages: Vec<_> = std::fs::read_dir(&dir).expect("it was made").flatten().map(|entry| entry.path()).collect();
        pages.sort();
        let (_, help) = run_liege(&["--help"]);
        for verb in ["run", "check", "status", "top", "start", "stop", "restart", "reload", "clear", "rescan", "events", "replay"]
        {
            assert!(help.contains(&format!("\n  {verb} ")), "{verb} is no verb: {help}");
            assert!(pages.contains(&dir.join(format!("liege-{verb}.1"))), "{verb}: {pages:?}");
        }
        let hidden = |name: &str| pages.contains(&dir.join(format!("liege-{name}.1")));
        assert!(!hidden("prober") && !hidden("man"));
        let lint = Command::new("mandoc").args(["-T", "lint", "-W", "error"]).args(&pages).output().expect("mandoc is there");
        assert!(lint.status.success(), "{}", String::from_utf8_lossy(&lint.stdout));
        let shown =
            Command::new("mandoc").args(["-T", "ascii"]).arg(dir.join("liege-restart.1")).output().expect("mandoc is there");
        // What is bold is typed twice, with a step back.
        let mut plain = String::new();
        for c in String::from_utf8_lossy(&shown.stdout).chars() {
            let _ = if c == '\u{8}' {
                plain.pop()
            } else {
                plain.push(c);
                None
            };
        }
        assert!(plain.starts_with("liege-restart(1)") && plain.contains("--keep-going"), "{plain}");
    });
}

#[test]
fn bash_completes_verbs_and_options() {
    story(|_| {
        let script = r#"
            source <("$0" completions bash)
            complete_words() {
                COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
                _liege liege "${@: -1}" "${@: -2:1}"
                echo "${COMPREPLY[@]}"
            }
            complete_words liege sta
            complete_words liege restart --par
            complete_words liege stop --w
            complete_words liege pro
        "#;
        let output = Command::new("bash").args(["-c", script]).arg(liege()).output().expect("bash is there");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines, ["status start", "--parallel", "--wait", ""], "{}", String::from_utf8_lossy(&output.stderr));
        for shell in ["zsh", "fish"] {
            let (status, said) = run_liege(&["completions", shell]);
            assert!(status == 0 && said.contains("rescan") && !said.contains("prober"), "{shell}: {said}");
        }
    });
}
