//! What a `[vassal]` begins with: its user's HOME, USER, LOGNAME and SHELL, a PATH, what its file says, and secrets of root's. Nothing
//! of the daemon's own.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use liege_integration_tests::apps::{Reporter, USER};
use liege_integration_tests::tools::run_liege;
use liege_integration_tests::{LONG, story, wait_until};
use serde_json::Value;

/// What a unit tells its daemon.
const OF_THE_UNIT: [&str; 6] =
    ["LISTEN_FDS", "LISTEN_PID", "NOTIFY_SOCKET", "INVOCATION_ID", "CREDENTIALS_DIRECTORY", "JOURNAL_STREAM"];

fn text(environment: &Value, name: &str) -> String {
    environment.get(name).and_then(Value::as_str).unwrap_or("nothing").to_owned()
}

/// USER's line of the host's passwd.
fn account() -> nix::unistd::User {
    nix::unistd::User::from_name(USER).unwrap().unwrap()
}

#[test]
fn the_app_its_daemons_and_its_hooks_are_at_home() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let out = host.open_dir("out");
        let says =
            |what: &str| format!("echo \"$HOME $USER $LOGNAME $SHELL ${{INVOCATION_ID:-none}} $OWN\" > {}/{what}", out.display());
        let mut launch = host.emperor().env("HOME", "/root").env("USER", "root").env("LANG", "xx");
        for name in OF_THE_UNIT.iter().filter(|name| **name != "NOTIFY_SOCKET") {
            launch = launch.env(name, "1");
        }
        let emperor = launch.start();
        emperor.write(
            "v.ini",
            &reporter.vassal(&format!(
                "uid = {USER}\ngid = {USER}\nenv = OWN=own\nexec-as-user = {}\nattach-daemon = {}; exec sleep 1000\nexec-as-root = {}\n",
                says("hook"),
                says("daemon"),
                says("root")
            )),
        );
        let started = reporter.started(1);
        let (environment, account) = (&started["environment"], account());
        let (home, shell) = (account.dir.to_string_lossy().into_owned(), account.shell.to_string_lossy().into_owned());
        assert_eq!(text(environment, "HOME"), home);
        assert_eq!((text(environment, "USER"), text(environment, "LOGNAME")), (USER.to_owned(), USER.to_owned()));
        assert_eq!((text(environment, "SHELL"), text(environment, "OWN")), (shell.clone(), "own".to_owned()));
        assert!(text(environment, "PATH").split(':').any(|directory| directory == "/usr/bin"), "{environment}");
        for name in OF_THE_UNIT.iter().chain(&["LANG"]) {
            assert_eq!(text(environment, name), "nothing", "{name}");
        }
        let meant = format!("{home} {USER} {USER} {shell} none own\n");
        for what in ["hook", "daemon"] {
            wait_until(what, LONG, || fs::read_to_string(out.join(what)).is_ok_and(|said| said == meant));
        }
        assert_eq!(fs::read_to_string(out.join("root")).unwrap(), "/root root root /bin/sh none own\n");
    });
}

#[test]
fn the_old_way_is_asked_for() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let emperor = host.emperor().env("HOME", "/elsewhere").env("MARK", "daemons").start();
        emperor.write("v.ini", &reporter.vassal(&format!("uid = {USER}\ngid = {USER}\ninherit-env = true\n")));
        let started = reporter.started(1);
        let environment = &started["environment"];
        assert_eq!((text(environment, "HOME"), text(environment, "MARK")), ("/elsewhere".to_owned(), "daemons".to_owned()));
    });
}

#[test]
fn secrets_come_from_a_file_of_roots_and_are_shown_nowhere() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let secrets = host.path("secrets.env");
        let write = |text: &str| {
            fs::write(&secrets, text).unwrap();
            fs::set_permissions(&secrets, Permissions::from_mode(0o600)).unwrap();
        };
        write("# of the shop\nTOKEN=\"s3cret one\"\nOWN=theirs\n");
        let trace = host.path("trace");
        let emperor = host.emperor().arg("--trace").arg(&trace).start();
        let file = format!("uid = {USER}\ngid = {USER}\nenv = OWN=own\nenv-file = {}\n", secrets.display());
        emperor.write("v.ini", &reporter.vassal(&file));
        let started = reporter.started(1);
        assert_eq!(text(&started["environment"], "TOKEN"), "s3cret one");
        assert_eq!(text(&started["environment"], "OWN"), "own", "the file's own lines win");
        // A reload takes what the secrets say by then.
        write("TOKEN=s3cret two\n");
        emperor.touch("v.ini");
        assert_eq!(text(&reporter.started(2)["environment"], "TOKEN"), "s3cret two");
        let control = format!("{}/control.sock", host.path("state").display());
        let vassal = emperor.file("v.ini").display().to_string();
        for words in [
            vec!["status", "--control", &control, "v"],
            vec!["status", "--control", &control, "--json"],
            vec!["check", "--plan", "--show-config", &vassal],
            vec!["check", "--json", "--plan", "--show-config", &vassal],
        ] {
            let said = run_liege(&words).1;
            assert!(!said.contains("s3cret"), "{words:?}: {said}");
        }
        assert!(!emperor.log().iter().any(|line| line.contains("s3cret")));
        assert!(!fs::read_to_string(&trace).unwrap().contains("s3cret"));
        // Others may read it: the file is bad, what runs goes on.
        fs::set_permissions(&secrets, Permissions::from_mode(0o644)).unwrap();
        let mark = emperor.mark();
        emperor.touch("v.ini");
        emperor.wait_log_from(mark, &["chmod 600"]);
        assert_eq!(reporter.starts().len(), 2);
    });
}
