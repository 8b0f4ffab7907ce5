//! `liege check`: every mistake at once, each with path:line:col, the line, a caret and a hint; `--show-config` and `--plan`. And
//! what `liege run` refuses before it starts. `--json` for editors, exit codes, colours.

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
fn what_a_name_leads_to_is_read_to_a_bound() {
    story(|host| {
        let at = |name: &str| host.path(name);
        nix::unistd::mkfifo(&at("fifo.ini"), nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
        std::os::unix::fs::symlink("/dev/zero", at("zero.ini")).expect("a link");
        fs::File::create(at("long.ini")).and_then(|file| file.set_len(100 << 30)).expect("a sparse file");
        fs::write(at("slow.ini"), "[vassal]\nuid = root\ncommand = @(exec://exec sleep 100)\n").expect("written");
        for (name, why) in [
            ("fifo.ini", "is a fifo, not a regular file"),
            ("zero.ini", "links to /dev/zero, which is a device"),
            ("long.ini", "longer than 1 MiB"),
            ("slow.ini", "no end after 9 s"),
        ] {
            let (status, said) = run_liege(&["check".as_ref(), at(name).as_os_str()]);
            assert_eq!(status, 1, "{said}");
            assert!(said.contains(name) && said.contains(why), "{name}: {said}");
        }
    });
}

#[test]
fn a_name_that_the_daemon_does_not_take_is_warned_of() {
    story(|host| {
        for (name, is_taken) in [("shop.ini", true), ("shop.conf", false), ("shop", false)] {
            let file = host.path(name);
            fs::write(&file, "[vassal]\nuid = root\ncommand = /bin/true\n").unwrap();
            let (status, said) = run_liege(&["check".as_ref(), file.as_os_str()]);
            assert_eq!(status, 0, "{said}");
            assert_eq!(!said.contains("is no vassal by its name"), is_taken, "{said}");
        }
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

#[test]
fn what_is_no_file_in_a_directory_is_a_mistake() {
    story(|host| {
        let vassals = host.open_dir("vassals");
        fs::write(vassals.join("good.ini"), "[vassal]\nuid = root\ncommand = /bin/true\n").unwrap();
        fs::create_dir(vassals.join("d.ini")).unwrap();
        let links = [("n.ini", "/nonexistent/foo.ini"), ("l.ini", "l.ini"), (".#good.ini", "someone@host.4711:1700000000")];
        for (name, target) in links {
            std::os::unix::fs::symlink(target, vassals.join(name)).unwrap();
        }
        let (status, said) = run_liege(&["check".as_ref(), vassals.as_os_str()]);
        for told in [
            "n.ini: error: links to /nonexistent/foo.ini, which is not there",
            "d.ini: error: is a directory, not a regular file",
            "l.ini: error: cannot be read: Too many levels of symbolic links",
        ] {
            assert!(said.contains(told), "{told}: {said}");
        }
        assert!(status == 1 && said.contains("good.ini: good") && !said.contains(".#good.ini"), "{said}");
    });
}

/// What is shown may be pasted back: an option of `[vassal]` would be a placeholder in `[uwsgi]`.
#[test]
fn a_configuration_is_shown_with_the_section_it_was() {
    story(|host| {
        let file = host.path("v.ini");
        let show = || run_liege(&["check".as_ref(), "--show-config".as_ref(), file.as_os_str()]).1;
        fs::write(&file, "[vassal]\nprogram = /bin/true\nuid = root\ncommand = %(program)\n").unwrap();
        let shown = show();
        assert!(shown.contains("[vassal]\n") && !shown.contains("[uwsgi]"), "{shown}");
        fs::write(&file, "[uwsgi]\nuid = www-data\ngid = www-data\nsocket = /run/v.sock\n").unwrap();
        assert!(show().contains("[uwsgi]\n"));
        fs::write(&file, "[liege]\nemperor = /nonexistent\n").unwrap();
        assert!(show().contains("[liege]\n"));
    });
}

/// Its uwsgi rules vassals of its own, and drops its rights before: among vassals that is ordinary.
#[test]
fn an_emperor_among_vassals_is_a_vassal() {
    story(|host| {
        let vassals = host.open_dir("vassals");
        let tenant = "[uwsgi]\nuid = www-data\ngid = www-data\nmaster = true\nemperor = /nonexistent/*.ini\n";
        fs::write(vassals.join("tenant.ini"), tenant).unwrap();
        let (status, said) = run_liege(&["check".as_ref(), vassals.as_os_str()]);
        assert!(status == 0 && said.ends_with("tenant.ini: good (vassal)\n"), "{said}");
    });
}

#[test]
fn editors_get_one_document_of_all_files() {
    story(|host| {
        let vassals = host.open_dir("vassals");
        fs::write(vassals.join("a.ini"), "[vassal]\nuid = nobody-of-this-name\ncommand = /bin/true\n").unwrap();
        fs::write(vassals.join("b.ini"), "[uwsgi]\nmaster = true\n").unwrap();
        let emperor = host.path("emperor.ini");
        fs::write(&emperor, "[uwsgi]\nemperor = /nonexistent\nemperor-use-clone = fs,pid\nemperor-frq = é\n").unwrap();
        let (empty, missing) = (host.open_dir("empty"), host.path("missing.ini"));
        let paths = [&vassals, &emperor, &empty, &missing].map(|path| path.as_os_str());
        let (status, said) = run_liege(&[&["check".as_ref(), "--json".as_ref()], &paths[..]].concat());
        assert_eq!(status, 1, "{said}");

        let document: serde_json::Value = serde_json::from_str(&said).expect("one JSON document and nothing else");
        assert_eq!(
            (&document["version"], &document["errors"], &document["warnings"]),
            (&1.into(), &4.into(), &1.into()),
            "{said}"
        );
        let kinds: Vec<&str> = document["files"].as_array().unwrap().iter().map(|file| file["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["vassal", "vassal", "emperor", "directory", "vassal"]);
        let name = |path: &std::path::Path| path.to_string_lossy().into_owned();
        let expected = serde_json::json!([
            { "file": name(&vassals.join("a.ini")), "line": 2, "column": 7, "end_column": 26, "severity": "error", "code": "unknown-user",
              "message": "there is no user \"nobody-of-this-name\"",
              "hint": "create it (useradd --system NAME), or name one that exists" },
            { "file": name(&vassals.join("b.ini")), "line": null, "column": null, "end_column": null, "severity": "warning",
              "code": "runs-as-root", "message": "runs as root: no uid is given", "hint": "add uid = NAME and gid = NAME" },
            { "file": name(&emperor), "line": 4, "column": 1, "end_column": 12, "severity": "error", "code": "unknown-option",
              "message": "emperor-frq is no option of an emperor", "hint": "did you mean emperor-freq?" },
            { "file": name(&empty), "line": null, "column": null, "end_column": null, "severity": "error", "code": "no-vassals",
              "message": "there is no vassal's file (NAME.ini) in this directory", "hint": null },
            { "file": name(&missing), "line": null, "column": null, "end_column": null, "severity": "error", "code": "unreadable",
              "message": "cannot be read: No such file or directory (os error 2)", "hint": null },
        ]);
        assert_eq!(document["diagnostics"], expected, "{said}");
    });
}

#[test]
fn warnings_fail_only_where_they_are_denied() {
    story(|host| {
        let file = host.path("root.ini");
        fs::write(&file, "[uwsgi]\nmaster = true\n").unwrap();
        let check = |flags: &[&str]| {
            let flags = flags.iter().map(std::ffi::OsStr::new);
            run_liege(&flags.chain([file.as_os_str()]).collect::<Vec<_>>())
        };
        let (status, said) = check(&["check"]);
        assert!(status == 0 && said.contains("[runs-as-root]"), "{said}");
        assert_eq!(check(&["check", "--deny-warnings"]).0, 1);
        assert_eq!(check(&["check", "--deny-warnings", "--json"]).0, 1);
        let (status, said) = check(&["check", "--emperor-use-clone", "fs,pdi"]);
        assert!(status == 2 && said.contains("did you mean pid?"), "a mistake of the command line: {said}");
        assert_eq!(check(&["check", "--no-such-flag"]).0, 2);

        fs::write(&file, "[vassal]\nuid = nobody\ngid = nogroup\ncommand = /bin/true\n").unwrap();
        assert_eq!(check(&["check", "--deny-warnings"]), (0, format!("{}: good (vassal)\n", file.display())));
    });
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    story(|host| {
        let file = host.path("bad.ini");
        fs::write(&file, "[vassal]\nuid = nobody-of-this-name\ncommand = /bin/true\n").unwrap();
        // script(1) runs it on a terminal of its own.
        let on_terminal = |no_color: Option<&str>| {
            let line = format!("{} check {}", liege().display(), file.display());
            let mut script = Command::new("script");
            script.args(["--quiet", "--return", "--command", &line, "/dev/null"]).env_remove("NO_COLOR");
            script.envs(no_color.map(|value| ("NO_COLOR", value)));
            let output = script.output().expect("script(1) is part of every Debian");
            assert_eq!(output.status.code(), Some(1), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        assert!(on_terminal(None).contains("\x1b[1;31m^^^^^^^^^^^^^^^^^^^\x1b[0m"), "{}", on_terminal(None));
        assert!(!on_terminal(Some("1")).contains('\x1b'));
        assert!(on_terminal(Some("")).contains('\x1b'), "an empty NO_COLOR is none");
        let piped = Command::new(liege()).arg("check").arg(&file).env_remove("NO_COLOR").output().unwrap();
        assert!(!piped.stderr.contains(&0x1b) && !piped.stderr.is_empty());
    });
}
