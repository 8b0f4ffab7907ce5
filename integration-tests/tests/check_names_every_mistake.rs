//! `liege check`: every mistake at once, each with path:line:col, the line, a caret and a hint; `--show-config` and `--plan`. And
//! what `liege run` refuses before it starts.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use liege_integration_tests::apps::{USER, ZipApp};
use liege_integration_tests::story;
use liege_integration_tests::tools::{liege, run_liege};

#[test]
fn check_names_every_mistake() {
    story(|host| {
        let file = host.path("bad.ini");
        let text = "[vassal]\ncommand = /bin/echo \"never closed\nuid = nobody-of-this-name\nhook-pre-jail = nosuchverb:x\nmountpoint-check-interval = soon\n";
        fs::write(&file, text).unwrap();
        let (status, said) = run_liege(&["check".as_ref(), file.as_os_str()]);
        assert_eq!(status, 1, "{said}");
        for (line, word) in [(2, "command"), (3, "nobody-of-this-name"), (4, "nosuchverb"), (5, "soon")] {
            assert!(said.contains(&format!("bad.ini:{line}:")), "line {line} is not named:\n{said}");
            assert!(said.contains(word), "{word} is not shown:\n{said}");
        }
        assert!(said.contains('^'), "{said}");
    });
}

#[test]
fn check_is_content_with_the_seed() {
    story(|host| {
        let app = ZipApp::new(host, "app", "text");
        let file = host.path("app001.ini");
        fs::write(&file, app.checked()).unwrap();
        let (status, said) = run_liege(&["check".as_ref(), file.as_os_str()]);
        assert_eq!(status, 0, "{said}");

        let (status, said) = run_liege(&["check".as_ref(), file.as_os_str(), "--show-config".as_ref()]);
        assert_eq!(status, 0, "{said}");
        assert!(said.contains(&format!("uid = {USER}")) && said.contains("psgi = "), "{said}");

        let (status, said) = run_liege(&["check".as_ref(), file.as_os_str(), "--plan".as_ref()]);
        assert_eq!(status, 0, "{said}");
        let (cut, mount) =
            (said.find("slave").expect("the propagation is cut"), said.find("fuse-zip").expect("the mount is made"));
        assert!(cut < mount, "first the one, then the other:\n{said}");
    });
}

#[test]
fn check_of_a_missing_file_fails() {
    story(|host| {
        let file = host.path("not-there.ini");
        let (status, said) = run_liege(&["check".as_ref(), file.as_os_str()]);
        assert_eq!(status, 1, "{said}");
        assert!(said.contains("not-there.ini") && said.contains("No such file"), "{said}");
    });
}

#[test]
fn a_level_that_is_none_is_a_usage_error() {
    story(|_host| {
        let (status, said) = run_liege(&["run", "--emperor", "/nonexistent", "--log", "loud"]);
        assert!(status == 2 && said.contains("loud") && said.contains("--log"), "{said}");
    });
}

#[test]
fn only_root_rules_and_hears_it_first() {
    story(|host| {
        let copy = host.open_dir("bin").join("liege");
        fs::copy(liege(), &copy).unwrap(); // where a user may execute it
        let nobody = Command::new(&copy).args(["run", "--ini", "/nonexistent"]).uid(65534).gid(65534).output().unwrap();
        let said = String::from_utf8_lossy(&nobody.stderr);
        assert!(nobody.status.code() == Some(1) && said.contains("needs root") && !said.contains("nonexistent"), "{said}");
    });
}

#[test]
fn an_emperor_without_fs_is_warned_of() {
    story(|host| {
        let file = host.path("emperor.ini");
        for (clone, warned) in [("", true), ("emperor-use-clone = pid\n", true), ("emperor-use-clone = fs,pid\n", false)] {
            fs::write(&file, format!("[uwsgi]\nemperor = /nonexistent\n{clone}")).unwrap();
            let (status, said) = run_liege(&["check".as_ref(), file.as_os_str()]);
            assert_eq!((status, said.contains("share the host's mount table")), (0, warned), "{said}");
        }
        let emperor = host.emperor().namespaces(None).start();
        emperor.wait_log("share the host's mount table");
    });
}

#[test]
fn a_directory_is_all_its_files() {
    story(|host| {
        let vassals = host.open_dir("vassals");
        let empty = run_liege(&["check".as_ref(), vassals.as_os_str()]);
        assert!(empty.0 == 1 && empty.1.contains("no vassal's file"), "{}", empty.1);
        fs::write(vassals.join("a.ini"), "[uwsgi]\nsocket = /nonexistent/a.sock\nuid www-data\nno-new-privs\n").unwrap();
        fs::write(vassals.join("b.ini"), "[vassal]\nuid = nobody-of-this-name\n").unwrap();
        fs::write(vassals.join("b.ini.swp"), "nonsense").unwrap();
        let (status, said) = run_liege(&["check".as_ref(), vassals.as_os_str()]);
        assert!(status == 1 && said.contains("b.ini:2:") && !said.contains(".swp"), "{said}");
        for doubt in ["a.ini: warning: runs as root", "a.ini:3:1: warning: there is no =", "write uid = www-data"] {
            assert!(said.contains(doubt), "{doubt}: {said}");
        }
        assert!(!said.contains("a.ini:4:") && !said.contains("b.ini: warning: runs as root"), "{said}");
    });
}
